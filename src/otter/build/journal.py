"""What an import has finished, on disk, so that it can go on after it was interrupted.

Beside the store that is to be, in a hidden folder, stand two files: one to which every prepared
picture is appended, and one with a line for each finished item, which says where its pictures
stand. A line is written after its pictures, so that whatever a line names is there.
"""

import hashlib
import json
import os
import shutil
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from otter.data.records import DataError, Problem

LINES = "finished.jsonl"
BYTES = "pictures.bin"
VERSION = 1
_SYNC_BYTES = 2**28


@dataclass(frozen=True, slots=True)
class Place:
    """Where a prepared picture stands in the file of pictures."""

    start: int
    length: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A finished item.

    Args:
        item: its id.
        images: the ids of the pictures that it became, with their places.
        kind: the class of the item, such as "ClipFrames".
        where: the file it came from.
        reason: why it is broken, if it is.
    """

    item: str
    kind: str
    where: str
    images: tuple[tuple[str, Place], ...] = ()
    reason: str | None = None


class Journal:
    """The journal of one import; use it in a ``with`` block.

    Args:
        folder: the hidden folder; :meth:`remove` takes it away.
        settings: what the pictures depend on, apart from the items. A journal with other settings
            starts anew.
        resume: go on with what stands there.

    Raises:
        DataError: another import into the same store is running.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], *, resume: bool = True) -> None:
        self.folder = folder
        self.resumed = 0
        self._settings = {"otter-import": VERSION, **settings}
        self._resume = resume
        self._line_starts = array("q")
        self._signatures = array("Q")
        self._old_end = 0
        self._unsynced = 0

    def __enter__(self) -> Self:
        """Opens the files, and reads what was finished before."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lines = (self.folder / LINES).open("a+b", buffering=0)
        try:
            _lock(self._lines, self.folder)
            self._bytes = (self.folder / BYTES).open("a+b", buffering=0)
        except (DataError, OSError):
            self._lines.close()
            raise
        self._end = self._bytes.seek(0, os.SEEK_END)
        self._read_old()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes the files; they stay for the next time unless there is nothing in them."""
        self._bytes.close()
        self._lines.close()
        if not self._end and self.folder.exists():
            self.remove()

    def remove(self) -> None:
        """Takes the journal away: the import is complete."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def holds(self, index: int, signature: int) -> bool:
        """Whether an item was finished before, and is still the same."""
        return (
            index < len(self._line_starts)
            and self._line_starts[index] >= 0
            and self._signatures[index] == signature
        )

    def append(self, data: bytes, sha256: bytes) -> Place:
        """Writes a picture."""
        place = Place(self._end, len(data), sha256.hex())
        _write(self._bytes, data)
        self._end += len(data)
        self._unsynced += len(data)
        return place

    def finish(self, index: int, signature: int, entry: Entry) -> None:
        """Writes down that an item is done."""
        if self._unsynced >= _SYNC_BYTES:
            os.fsync(self._bytes.fileno())
            self._unsynced = 0
        images = [(name, place.start, place.length, place.sha256) for name, place in entry.images]
        row = [index, signature, entry.item, entry.kind, entry.where, images, entry.reason]
        start = self._lines.seek(0, os.SEEK_END)
        _write(self._lines, json.dumps(row).encode() + b"\n")
        self._note(index, signature, start)

    def entries(self, count: int) -> Iterator[Entry]:
        """The first ``count`` items, in their order, however they were finished."""
        with (self.folder / LINES).open("rb") as lines:
            for index in range(count):
                lines.seek(self._line_starts[index])
                yield _entry(json.loads(lines.readline()))

    def read(self, place: Place) -> bytes:
        """The bytes of a picture.

        Raises:
            DataError: they are not what was written, as after a power failure.
        """
        self._bytes.seek(place.start)
        data = self._bytes.read(place.length)
        # What this process wrote needs no check.
        if place.start < self._old_end and hashlib.sha256(data).hexdigest() != place.sha256:
            step = "Run the import again without resuming."
            where = str(self.folder / BYTES)
            raise DataError([Problem(where, "", "damaged", "what was written", step)])
        return data

    def _read_old(self) -> None:
        """Takes in the lines of an earlier run, up to the first that is not whole."""
        rows = self._whole_lines()
        first = next(rows, None)
        if not self._resume or first is None or first[1] != json.loads(_dump(self._settings)):
            self._lines.truncate(0)
            self._bytes.truncate(0)
            self._end = 0
            _write(self._lines, _dump(self._settings) + b"\n")
            return
        sound = end = 0
        for start, row, after in rows:
            if not isinstance(row, list) or len(row) != 7:
                break
            entry = _entry(row)
            if any(place.start + place.length > self._end for _, place in entry.images):
                break
            sound = after
            end = max([end, *(place.start + place.length for _, place in entry.images)])
            if entry.reason is None:  # what was broken may have been mended
                self._note(row[0], row[1], start)
                self.resumed += 1
        self._lines.truncate(sound or first[2])
        self._bytes.truncate(end)
        self._end = self._old_end = end

    def _whole_lines(self) -> Iterator[tuple[int, Any, int]]:
        """Each line up to the first torn one: where it starts, what it says, where it ends."""
        start = 0
        with (self.folder / LINES).open("rb") as lines:
            for line in lines:
                try:
                    value = json.loads(line) if line.endswith(b"\n") else None
                except ValueError:
                    return
                if value is None:
                    return
                yield start, value, start + len(line)
                start += len(line)

    def _note(self, index: int, signature: int, start: int) -> None:
        missing = index + 1 - len(self._line_starts)
        if missing > 0:
            self._line_starts.extend([-1] * missing)
            self._signatures.extend([0] * missing)
        self._line_starts[index] = start
        self._signatures[index] = signature


def _entry(row: list[Any]) -> Entry:
    _, _, item, kind, where, images, reason = row
    return Entry(
        item,
        kind,
        where,
        tuple((name, Place(start, length, sha)) for name, start, length, sha in images),
        reason,
    )


def _dump(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


def _write(file: Any, data: bytes) -> None:
    """Writes all of it: an unbuffered file may take only a part."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _lock(file: Any, folder: Path) -> None:
    """Two imports must not write one journal; the lock goes with the process that holds it."""
    try:
        import fcntl
    except ImportError:  # not on Windows
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        step = "Wait until it ends, or choose another folder for the store."
        raise DataError(
            [Problem(str(folder), "", "in use", "no other import into this store", step)]
        ) from None
