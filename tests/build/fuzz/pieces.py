"""Files of a dataset in pieces, of which it is known what hangs on them."""

import csv
import io
import json
import tarfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

NOBODY: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Entry:
    """What stands for a record, a conversation or a picture in a file.

    Args:
        value: a JSON value, a list of cells, or the bytes of a member.
        records: what is lost if this is.
        key: of a JSON object, or the name of a member.
        pictures: ids of the pictures that it is or names.
    """

    value: Any
    records: frozenset[str]
    key: str = ""
    pictures: tuple[str, ...] = ()


@dataclass(frozen=True)
class File:
    """A file of entries.

    Args:
        kind: "array", "lines", "object", "data" (an object within an object), "csv", "tar", or
            "blob" for bytes that nothing is known about.
        entries: in order; a blob has one.
        head: of a CSV file, the first line; of an array, the name that it has in an object.
    """

    kind: str
    entries: tuple[Entry, ...]
    head: tuple[str, ...] = ()

    @property
    def records(self) -> frozenset[str]:
        """All that hangs on the file."""
        return NOBODY.union(*(entry.records for entry in self.entries))


@dataclass(frozen=True)
class Piece:
    """Bytes of a file; ``follows``: whether what comes behind may be lost with them."""

    data: bytes
    records: frozenset[str]
    follows: bool = False


@dataclass(frozen=True)
class Dataset:
    """A dataset that imports without any problem.

    Args:
        name: of the dataset.
        format: as on the command line.
        files: by their paths.
        sources: which of them are named on the command line.
        options: of the format; a value that is one of the files or folders is a path.
        repeats: whether records may share an id.
        numbered: whether records are named by the number of their line, and what has no picture is
            passed over without a word.
    """

    name: str
    format: str
    files: Mapping[str, File]
    sources: tuple[str, ...]
    options: Mapping[str, str] = field(default_factory=dict)
    repeats: bool = False
    numbered: bool = False

    def with_file(self, path: str, file: File) -> "Dataset":
        """The same with another file."""
        return replace(self, files={**self.files, path: file})

    def write(self, folder: Path, changed: Mapping[str, bytes] | None = None) -> None:
        """Writes the files, some of them as they were changed."""
        for path, file in self.files.items():
            data = (changed or {}).get(path)
            if data is None:
                data = b"".join(piece.data for piece in pieces(file))
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)


def pieces(file: File) -> list[Piece]:
    """A file as bytes, piece by piece."""
    return _ENCODERS[file.kind](file)


def dump(value: Any) -> bytes:
    return json.dumps(value).encode()


def _array(file: File) -> list[Piece]:
    values = [dump(entry.value) for entry in file.entries]
    if file.head:
        return _joined(b'{"' + file.head[0].encode() + b'": [', values, b"]}", file)
    return _joined(b"[", values, b"]", file)


def _object(file: File, head: bytes = b"{", tail: bytes = b"}") -> list[Piece]:
    values = [dump(entry.key) + b": " + dump(entry.value) for entry in file.entries]
    return _joined(head, values, tail, file)


def _data(file: File) -> list[Piece]:
    return _object(file, b'{"meta": {"version": "0.0.1"}, "data": {', b"}}")


def _joined(head: bytes, values: list[bytes], tail: bytes, file: File) -> list[Piece]:
    made = [Piece(head, file.records, True)]
    for number, (value, entry) in enumerate(zip(values, file.entries, strict=True)):
        made.append(Piece((b",\n" if number else b"") + value, entry.records, True))
    return [*made, Piece(tail, NOBODY, True)]


def _lines(file: File) -> list[Piece]:
    return [Piece(dump(entry.value) + b"\n", entry.records) for entry in file.entries]


def _csv(file: File) -> list[Piece]:
    head = Piece(_row(file.head), file.records, True)
    return [head, *(Piece(_row(entry.value), entry.records) for entry in file.entries)]


def _row(cells: Iterable[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode("utf-8", "surrogateescape")


def _tar(file: File) -> list[Piece]:
    made = []
    for entry in file.entries:
        info = tarfile.TarInfo(entry.key)
        info.size = len(entry.value)
        made.append(Piece(info.tobuf(), entry.records, True))
        padding = -len(entry.value) % tarfile.BLOCKSIZE
        made.append(Piece(entry.value + bytes(padding), entry.records))
    return [*made, Piece(bytes(2 * tarfile.BLOCKSIZE), NOBODY)]


def _blob(file: File) -> list[Piece]:
    return [Piece(entry.value, entry.records, True) for entry in file.entries]


_ENCODERS: dict[str, Callable[[File], list[Piece]]] = {
    "array": _array,
    "lines": _lines,
    "object": _object,
    "data": _data,
    "csv": _csv,
    "tar": _tar,
    "blob": _blob,
}
