"""The store: a folder of Arrow files, mapped into memory, that gives any record by its row.

    store/
      manifest.json    format, version, counts, a table of tasks and splits, checksum of every file
      records.arrow    id, instruction, answer, media (image rows), related (record rows), task, ...
      images.arrow     id, sha256, bytes: every distinct picture once
      aliases.arrow    further ids of pictures whose bytes are stored already

The files are Arrow IPC streams, so ``datasets.Dataset.from_file`` opens them too. Nothing is read
before it is asked for, and all processes on a machine share one copy in the page cache.
"""

import hashlib
import json
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from otter.data.arrow import ALIASES, IMAGES, RECORDS, ArrowTable
from otter.data.records import DataError, Problem, Problems
from otter.prompt import Episode, Example, Medium

FORMAT = "otter-store"
VERSION = 1
MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record as the store holds it: media are image rows, related are record rows.

    ``media=((4,), (7, 8))`` is the picture in row 4, then a clip of two frames.
    """

    row: int
    id: str
    instruction: str
    answer: str
    media: tuple[tuple[int, ...], ...]
    related: tuple[int, ...]
    task: str
    source: str
    split: str
    language: str
    weight: float


class Store:
    """A store that was written by :class:`otter.data.StoreWriter`, open for reading.

    Reading changes nothing, so threads may share one; a pickled store (for the workers of a loader)
    is only its path and opens again where it arrives.

    Args:
        folder: the folder of the store.

    Raises:
        DataError: the folder is not a store, is of another version, or its files are missing or cut
            short.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder).absolute()
        self.manifest = read_manifest(self.folder)
        self._records = ArrowTable(self.folder / RECORDS)
        self._images = ArrowTable(self.folder / IMAGES)

    def __len__(self) -> int:
        """How many records there are."""
        return self._records.length

    @property
    def image_count(self) -> int:
        """How many distinct pictures there are."""
        return self._images.length

    def __repr__(self) -> str:
        """The path and the counts."""
        return f"Store({str(self.folder)!r}: {len(self):,} records, {self.image_count:,} images)"

    def __reduce__(self) -> tuple[Any, ...]:
        """A store travels as its path."""
        return Store, (str(self.folder),)

    def record(self, row: int) -> StoredRecord:
        """The record of a row.

        Raises:
            IndexError: there is no such row.
        """
        batch, index = self._records.locate(row)
        value: dict[str, Any] = {
            name: column[batch][index].as_py() for name, column in self._records.columns.items()
        }
        value["media"] = tuple(map(tuple, value["media"]))
        value["related"] = tuple(value["related"])
        return StoredRecord(row=operator.index(row), **value)

    def image_bytes(self, row: int) -> bytes:
        """The picture of a row, as the bytes of its PNG or JPEG file.

        Raises:
            IndexError: there is no such row.
        """
        batch, index = self._images.locate(row)
        picture: bytes = self._images.columns["bytes"][batch][index].as_py()
        return picture

    def image_id(self, row: int) -> str:
        """The id under which the picture of a row was first added."""
        batch, index = self._images.locate(row)
        name: str = self._images.columns["id"][batch][index].as_py()
        return name

    def episode(
        self, row: int, shots: int | None = None, *, examples: Sequence[int] | None = None
    ) -> Episode:
        """The record of a row as a question with its answer, after its related records as examples.

        Args:
            row: the row of the question.
            shots: take only the first so many examples; None for all. Where there are fewer, all
                are taken.
            examples: rows of other records to take instead of the related ones.

        Raises:
            IndexError: there is no such row.
            ValueError: ``shots`` is negative, or the question is among the examples.
        """
        if shots is not None and shots < 0:
            raise ValueError(f"shots = {shots}: expected 0 or more, or None for all examples")
        batch, index = self._records.locate(row)
        if examples is None:
            examples = self._records.columns["related"][batch][index].as_py()
        chosen = [int(other) for other in examples[:shots]]
        if row in chosen:
            raise ValueError(
                f"examples = {chosen}: expected rows other than {row}, which is the question; "
                "remove it"
            )
        # One bytes object per picture: whoever encodes pictures finds repeated ones at no cost.
        pictures: dict[int, bytes] = {}
        turns = []
        for other in chosen:
            question, answer, media, weight = self._turn(*self._records.locate(other), pictures)
            turns.append(Example(question, answer, media, weight))
        question, answer, media, weight = self._turn(batch, index, pictures)
        return Episode(question, media, turns, answer=answer, weight=weight)

    def rows(
        self, split: str | None = None, tasks: Sequence[str] | str | None = None
    ) -> npt.NDArray[np.int64]:
        """The rows of a split and of some tasks, ascending; without arguments, all.

        Returns:
            int64[rows].

        Raises:
            ValueError: the store has no such split or task.
        """
        wanted = {
            "split": None if split is None else [split],
            "task": None if tasks is None else [tasks] if isinstance(tasks, str) else list(tasks),
        }
        mask = np.ones(len(self), dtype=bool)
        for field, names in wanted.items():
            if names is None:
                continue
            known = sorted({group[field] for group in self.manifest["tasks"]})
            for name in names:
                if name not in known:
                    raise ValueError(
                        f"{self.folder.name}: {field} = {name!r}: "
                        f"expected one of {', '.join(map(repr, known))}"
                    )
            found = pc.is_in(self.column(field), value_set=pa.array(names, pa.string()))
            mask &= found.to_numpy()
        return np.flatnonzero(mask).astype(np.int64, copy=False)

    def column(self, name: str) -> pa.ChunkedArray:
        """A whole column of the records, still in the mapped file: to count or to search."""
        return pa.chunked_array(self._records.columns[name], self._records.schema.field(name).type)

    def verify(self) -> None:
        """Reads every file and compares it with its checksum.

        Raises:
            DataError: naming every file that has changed.
        """
        problems = Problems()
        for name, entry in self.manifest["files"].items():
            found = file_checksum(self.folder / name)
            if found != entry["sha256"]:
                problems.add(
                    Problem(
                        str(self.folder / name),
                        "sha256",
                        found,
                        f"{entry['sha256']} (manifest.json)",
                        "The file was changed: copy the store again or build it again.",
                    )
                )
        problems.raise_if_any()

    def _turn(
        self, batch: int, index: int, pictures: dict[int, bytes]
    ) -> tuple[str, str, list[Medium], float]:
        columns = self._records.columns
        media: list[Medium] = []
        for medium in columns["media"][batch][index].as_py():
            for image in medium:
                if image not in pictures:
                    pictures[image] = self.image_bytes(image)
            frames = [pictures[image] for image in medium]
            media.append(frames[0] if len(frames) == 1 else frames)
        question = columns["instruction"][batch][index].as_py()
        answer = columns["answer"][batch][index].as_py()
        return question, answer, media, columns["weight"][batch][index].as_py()


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a store, after checking that the folder is one and that its files are whole.

    Raises:
        DataError: listing everything that is missing or cut short.
    """
    if not folder.is_dir():
        next_step = "Check the path, or write a store there with otter.data.StoreWriter."
        raise DataError(
            [Problem(str(folder), "", "no such folder", "the folder of a store", next_step)]
        )
    path = folder / MANIFEST
    if not path.is_file():
        next_step = "Give the folder of a finished store; an interrupted build leaves none."
        raise DataError([Problem(str(folder), "", f"no {MANIFEST}", "a store", next_step)])
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        next_step = "Copy the store again or build it again."
        raise DataError([Problem(str(path), "", str(error), "JSON", next_step)]) from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        value = repr(manifest.get("format") if isinstance(manifest, dict) else manifest)[:80]
        next_step = "This is the manifest of something else: give the folder of a store."
        raise DataError([Problem(str(path), "format", value, repr(FORMAT), next_step)])
    if manifest.get("version") != VERSION:
        next_step = "Build the store again, or install the version of Otter that wrote it."
        raise DataError(
            [Problem(str(path), "version", repr(manifest.get("version")), str(VERSION), next_step)]
        )
    problems = Problems()
    for name in (RECORDS, IMAGES, ALIASES):
        file = folder / name
        size = f"{file.stat().st_size:,} bytes" if file.is_file() else "missing"
        expected = _bytes_expected(manifest, name)
        if expected is None:
            next_step = "The manifest was changed: copy the store again or build it again."
            problems.add(Problem(str(path), "files", "missing", f"an entry for {name}", next_step))
        elif size != f"{expected:,} bytes":
            whole = f"{expected:,} bytes ({MANIFEST})"
            next_step = "Copy the store again or build it again."
            problems.add(Problem(str(file), "", size, whole, next_step))
    problems.raise_if_any()
    return manifest


def _bytes_expected(manifest: dict[str, Any], name: str) -> int | None:
    try:
        return int(manifest["files"][name]["bytes"])
    except (KeyError, TypeError, ValueError):
        return None


def file_checksum(path: Path) -> str:
    """The SHA-256 of a file, as hexadecimal text."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
