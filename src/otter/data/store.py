"""The store: a folder of Arrow files that gives any record by its row.

    store/
      manifest.json    format, version, counts, a table of tasks and splits, checksum of every file
      records.arrow    id, instruction, answer, media (image rows), related (record rows), task, ...
      images.arrow     id, sha256, bytes: every distinct picture once
      aliases.arrow    further ids of pictures whose bytes are stored already
      videos.arrow     id, path, start, end: videos that stay where they are (only if there are any)

The files are Arrow IPC streams, so ``datasets.Dataset.from_file`` opens them too. Nothing is read
before it is asked for, and all processes on a machine share one copy in the page cache.
"""

import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from otter.data.arrow import ALIASES, IMAGES, RECORDS, SCHEMAS, VIDEOS
from otter.data.manifest import MANIFEST, file_checksum, parts_of, read_manifest
from otter.data.records import DataError, Problem, Problems
from otter.data.table import (
    ArrowTable,
    BytesColumn,
    ListColumn,
    NameColumn,
    NestedColumn,
    NumberColumn,
)
from otter.data.videos import VideoReference, decode, find_changes
from otter.prompt import Episode, Example, Medium

# What a picture or a clip becomes, by its rows, while an episode is put together.
_Loaded = dict[int, Any]


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record as the store holds it: media are image rows, related are record rows.

    ``media=((4,), (7, 8), (-1,))`` is the picture in row 4, then a clip of two frames, then the
    video in row 0: videos are counted downwards from -1, so ``store.video(~-1)`` is the first.
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

    Reading changes nothing and keeps no place in a file, so threads and forked processes may share
    a store; a pickled one (for the workers of a loader) is only its path and opens again where it
    arrives.

    Args:
        folder: the folder of the store.
        frames: how many frames of a video an episode shows.

    Raises:
        DataError: the folder is not a store, is of another version, or its files are missing or cut
            short.
        ValueError: ``frames`` is below 1.
    """

    def __init__(self, folder: Path | str, *, frames: int = 8) -> None:
        if frames < 1:
            raise ValueError(f"frames = {frames}: expected at least 1 frame of a video")
        self.folder = Path(folder).absolute()
        self.frames = frames
        self._open()
        self._ids = NameColumn(self._records, "id")
        self._instructions = BytesColumn(self._records, "instruction")
        self._answers = BytesColumn(self._records, "answer")
        self._names = {
            name: NameColumn(self._records, name)
            for name in ("task", "source", "split", "language")
        }
        self._weights = NumberColumn(self._records, "weight")
        self._media = NestedColumn(self._records, "media")
        self._related = ListColumn(self._records, "related")
        self._pictures = BytesColumn(self._images, "bytes")
        self._picture_ids = NameColumn(self._images, "id")

    def _open(self) -> None:
        """Maps the files that the manifest names, all of one state of the store."""
        while True:
            before = _bytes_of(self.folder / MANIFEST)
            try:
                self.manifest = read_manifest(self.folder)
                self._records, self._images, self._aliases = (
                    self._table(table) for table in (RECORDS, IMAGES, ALIASES)
                )
                has_videos = bool(parts_of(self.manifest, VIDEOS))
                self._videos = self._table(VIDEOS) if has_videos else None
            except (DataError, FileNotFoundError):
                # Somebody may have replaced the store between its manifest and its files.
                if _bytes_of(self.folder / MANIFEST) == before:
                    raise
            else:
                return

    def _table(self, name: str) -> ArrowTable:
        parts = parts_of(self.manifest, name)
        return ArrowTable(*(self.folder / part for part in parts), schema=SCHEMAS[name])

    @classmethod
    def load(cls, name: Path | str, *, allow_download: bool = False, frames: int = 8) -> "Store":
        """The store in a folder, or that of a dataset on the Hugging Face hub.

        Args:
            name: a folder, or the id of a dataset such as ``owner/name``.
            allow_download: whether a hub id may be fetched from the network; without it, only what
                is in the local cache is used.
            frames: how many frames of a video an episode shows.

        Raises:
            DataError: neither a store nor a dataset that is in the cache or may be fetched.
        """
        from otter.data.hub import find_store

        return cls(find_store(name, allow_download=allow_download), frames=frames)

    def __len__(self) -> int:
        """How many records there are."""
        return self._records.length

    @property
    def image_count(self) -> int:
        """How many distinct pictures there are."""
        return self._images.length

    @property
    def video_count(self) -> int:
        """How many videos the store refers to."""
        return 0 if self._videos is None else self._videos.length

    def __repr__(self) -> str:
        """The path and the counts."""
        videos = f", {self.video_count:,} videos" if self.video_count else ""
        counts = f"{len(self):,} records, {self.image_count:,} images{videos}"
        return f"Store({str(self.folder)!r}: {counts})"

    def __reduce__(self) -> tuple[Any, ...]:
        """A store travels as its path."""
        return _reopened, (str(self.folder), self.frames)

    def record(self, row: int) -> StoredRecord:
        """The record of a row.

        Raises:
            IndexError: there is no such row.
        """
        batch, index = self._records.locate(row)
        return StoredRecord(
            row=operator.index(row),
            id=self._ids.text_at(batch, index),
            instruction=self._instructions.text_at(batch, index),
            answer=self._answers.text_at(batch, index),
            media=tuple(map(tuple, self._media.at(batch, index))),
            related=tuple(self._related.at(batch, index)),
            weight=self._weights.at(batch, index),
            **{name: column.text_at(batch, index) for name, column in self._names.items()},
        )

    def image_bytes(self, row: int) -> bytes:
        """The picture of a row, as the bytes of its PNG or JPEG file.

        Raises:
            IndexError: there is no such row.
        """
        return self._pictures.bytes_at(*self._images.locate(row))

    def image_id(self, row: int) -> str:
        """The id under which the picture of a row was first added."""
        return self._picture_ids.text_at(*self._images.locate(row))

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The records in the batches in which they stand in the files, to go through all."""
        return (batch for _, batch in self._records.parts)

    def image_batches(self) -> Iterator[pa.RecordBatch]:
        """The pictures likewise: id, sha256 and bytes."""
        return (batch for _, batch in self._images.parts)

    def image_hashes(self) -> pa.ChunkedArray:
        """The SHA-256 of every picture, 32 bytes each, by row."""
        return self._images.column("sha256")

    def image_aliases(self) -> Iterator[tuple[str, int]]:
        """Further ids of pictures, with their rows."""
        columns = (self._aliases.columns[name] for name in ("id", "image"))
        for ids, rows in zip(*columns, strict=True):
            yield from zip(ids.to_pylist(), rows.to_pylist(), strict=True)

    def media_ids(self) -> tuple[pa.ChunkedArray, npt.NDArray[np.int32]]:
        """All ids of pictures and videos, with what they stand for.

        Returns:
            The ids, and int32[ids]: image rows, and ``~row`` for a video. A picture that was added
            under several ids comes several times.
        """
        tables = [self._images, self._aliases, *([self._videos] if self._videos else [])]
        ids = pa.chunked_array([c for table in tables for c in table.columns["id"]], pa.string())
        codes = [
            np.arange(self.image_count),
            self._aliases.column("image").to_numpy(),
            ~np.arange(self.video_count),
        ]
        return ids, np.concatenate(codes).astype(np.int32)

    def video(self, row: int) -> VideoReference:
        """The video of a row; a record whose medium is ``(-3,)`` shows that of row ``~-3 == 2``.

        Raises:
            IndexError: there is no such row.
        """
        if self._videos is None:
            raise IndexError(f"row {row}: the store has no videos")
        batch, index = self._videos.locate(row)
        return VideoReference(
            **{name: column[batch][index].as_py() for name, column in self._videos.columns.items()}
        )

    def video_frames(self, row: int) -> list[Any]:
        """Frames of the video of a row, decoded now: RGB pictures spread evenly over its stretch.

        Raises:
            DataError: the file is not where it was, or cannot be decoded.
            ImportError: PyAV, the extra ``video``, is not installed.
            IndexError: there is no such row.
        """
        return decode(self.video(row), self.folder, self.frames)

    def episode(
        self, row: int, shots: int | None = None, *, examples: Sequence[int] | None = None
    ) -> Episode:
        """The record of a row as a question with its answer, after its related records as examples.

        Args:
            row: the row of the question.
            shots: take only the first so many examples; None for all. Where there are fewer, all
                are taken.
            examples: rows of other records to take instead of the related ones.

        Returns:
            An episode whose pictures are the bytes of image files; of a video, frames are decoded.

        Raises:
            DataError: a video is not where it was, or cannot be decoded.
            ImportError: there is a video, and the extra ``video`` is not installed.
            IndexError: there is no such row.
            ValueError: ``shots`` is negative, or the question is among the examples.
        """
        if shots is not None and shots < 0:
            raise ValueError(f"shots = {shots}: expected 0 or more, or None for all examples")
        place = self._records.locate(row)
        if examples is None:
            examples = self._related.at(*place)
        chosen = [int(other) for other in examples[:shots]]
        if row in chosen:
            raise ValueError(
                f"examples = {chosen}: expected rows other than {row}, which is the question; "
                "remove it"
            )
        # One object per picture: whoever encodes pictures finds repeated ones at no cost.
        loaded: _Loaded = {}
        turns = []
        for other in chosen:
            question, answer, media, weight = self._turn(*self._records.locate(other), loaded)
            turns.append(Example(question, answer, media, weight))
        question, answer, media, weight = self._turn(*place, loaded)
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
        self.release()
        return np.flatnonzero(mask).astype(np.int64, copy=False)

    def column(self, name: str) -> pa.ChunkedArray:
        """A whole column of the records, still in the mapped file: to count or to search."""
        return self._records.column(name)

    def release(self) -> None:
        """Gives back the memory that searching whole columns took; reading goes on as before."""
        for table in (self._records, self._images, self._aliases):
            table.release()

    def verify(self, *, videos: bool = True) -> None:
        """Reads every file and compares it with its checksum.

        Args:
            videos: look also for the videos, and compare those whose checksum was noted.

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
        if videos:
            references = map(self.video, range(self.video_count))
            for problem in find_changes(references, self.folder):
                problems.add(problem)
        problems.raise_if_any()

    def _turn(
        self, batch: int, index: int, loaded: _Loaded
    ) -> tuple[str, str, list[Medium], float]:
        media: list[Medium] = []
        for medium in self._media.at(batch, index):
            for row in medium:
                if row not in loaded:
                    loaded[row] = self.image_bytes(row) if row >= 0 else self.video_frames(~row)
            frames = [loaded[row] for row in medium]
            media.append(frames[0] if len(frames) == 1 else frames)
        question = self._instructions.text_at(batch, index)
        answer = self._answers.text_at(batch, index)
        return question, answer, media, self._weights.at(batch, index)


def _reopened(folder: str, frames: int) -> Store:
    return Store(folder, frames=frames)


def _bytes_of(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None
