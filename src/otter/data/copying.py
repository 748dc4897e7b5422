"""Records of several stores, or some records of one, as a new store.

Ids are compared first, so that whatever collides is known before anything is written. Then whole
batches are copied, with rows exchanged for new rows; a picture is stored once, wherever it comes
from. Memory holds a batch, and for each picture its id and checksum.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from otter.data.arrow import (
    ALIAS_SCHEMA,
    ALIASES,
    IMAGE_SCHEMA,
    IMAGES,
    RECORD_SCHEMA,
    RECORDS,
    VIDEO_SCHEMA,
    VIDEOS,
    ArrowStream,
)
from otter.data.manifest import count_tasks, file_entry, new_manifest, write_manifest
from otter.data.records import Problem, Problems
from otter.data.store import Store

Rows: TypeAlias = npt.NDArray[np.int64]
Codes: TypeAlias = npt.NDArray[np.int32]

ABSENT = -1


@dataclass(frozen=True, eq=False)
class _Part:
    """What is taken from one store, with the new row of everything; ``ABSENT`` is not taken."""

    store: Store
    prefix: str
    records: Codes
    images: Codes
    is_new_image: npt.NDArray[np.bool_]
    videos: Codes


class Copy:
    """A new store in the making.

    Args:
        folder: where it shall stand.
        step: what a person can do about colliding ids.
    """

    def __init__(self, folder: Path, step: str = "Give them ids of their own.") -> None:
        self.folder = folder
        self.problems = Problems()
        self.dropped = 0
        """Examples that were left out because their records were not taken."""
        self._step = step
        self._parts: list[_Part] = []
        self._records = 0
        self._image_rows: dict[bytes, int] = {}
        self._names: dict[str, tuple[int, str]] = {}  # the row, ~row of a video; from which store
        self._aliases: list[tuple[str, int]] = []
        self._videos: list[tuple[Any, ...]] = []

    def take(self, store: Store, rows: Rows | None = None, prefix: str = "") -> None:
        """Plans to copy records with all their pictures; notes ids that collide.

        Args:
            store: where they are.
            rows: ascending; None for all records, and pictures that no record shows as well.
            prefix: put before every id.
        """
        taken = np.arange(len(store)) if rows is None else rows
        records = np.full(len(store), ABSENT, dtype=np.int32)
        records[taken] = self._records + np.arange(len(taken))
        self._records += len(taken)
        shown = None if rows is None else _codes_shown(store, records)
        wanted = np.ones(store.image_count, dtype=bool)
        if shown is not None:
            wanted[:] = False
            wanted[shown[shown >= 0]] = True
        images, is_new = self._plan_images(store, wanted, prefix)
        is_shown = np.ones(store.video_count, dtype=bool)
        if shown is not None:
            is_shown[:] = False
            is_shown[~shown[shown < 0]] = True
        videos = self._plan_videos(store, is_shown, prefix)
        self._parts.append(_Part(store, prefix, records, images, is_new, videos))

    def write(self, folder: Path, **more: Any) -> None:
        """Writes the store to a folder, which is then given its name.

        Args:
            folder: an empty folder on the same disk.
            more: further entries of the manifest.
        """
        with ArrowStream(folder / IMAGES, IMAGE_SCHEMA) as stream:
            for part in self._parts:
                for batch in _new_images(part):
                    stream.write(batch)
        with ArrowStream(folder / ALIASES, ALIAS_SCHEMA) as stream:
            for alias in self._aliases:
                stream.add(alias, len(alias[0]))
        tables = [RECORDS, IMAGES, ALIASES]
        if self._videos:
            tables.append(VIDEOS)
            with ArrowStream(folder / VIDEOS, VIDEO_SCHEMA) as stream:
                for video in self._videos:
                    stream.add(video, len(video[2]))
        tasks: list[Any] = []
        with ArrowStream(folder / RECORDS, RECORD_SCHEMA) as stream:
            for part in self._parts:
                for batch in self._new_records(part):
                    stream.write(batch)
                    tasks.append(batch.select(["task", "split"]))
        counts = {
            "records": self._records,
            "images": len(self._image_rows),
            "videos": len(self._videos),
        }
        files = {name: file_entry(folder / name) for name in tables}
        write_manifest(folder, new_manifest(counts, count_tasks(tasks), files, **more))

    def _plan_images(
        self, store: Store, wanted: npt.NDArray[np.bool_], prefix: str
    ) -> tuple[Codes, npt.NDArray[np.bool_]]:
        images = np.full(store.image_count, ABSENT, dtype=np.int32)
        is_new = np.zeros(store.image_count, dtype=bool)
        first = 0
        for batch in store.image_batches():
            chosen = np.flatnonzero(wanted[first : first + batch.num_rows])
            taken = batch.select(["id", "sha256"]).take(pa.array(chosen))
            columns = (column.to_pylist() for column in taken.columns)
            for row, name, digest in zip((first + chosen).tolist(), *columns, strict=True):
                known = self._image_rows.get(digest)
                is_new[row] = known is None
                images[row] = len(self._image_rows) if known is None else known
                self._image_rows.setdefault(digest, len(self._image_rows))
                self._name(prefix + name, int(images[row]), store, is_first=known is None)
            first += batch.num_rows
        for name, row in store.image_aliases():
            if images[row] != ABSENT:
                self._name(prefix + name, int(images[row]), store, is_first=False)
        return images, is_new

    def _plan_videos(self, store: Store, wanted: npt.NDArray[np.bool_], prefix: str) -> Codes:
        videos = np.full(store.video_count, ABSENT, dtype=np.int32)
        for row in np.flatnonzero(wanted).tolist():
            video = store.video(row).moved(store.folder, self.folder)
            name = prefix + video.id
            values = (name, video.kind, video.path, video.start, video.end, video.sha256)
            known = self._names.get(name)
            if known is not None and known[0] < 0 and self._videos[~known[0]][:5] == values[:5]:
                videos[row] = ~known[0]
                continue
            videos[row] = len(self._videos)
            self._name(name, ~len(self._videos), store, is_first=True)
            self._videos.append(values)
        return videos

    def _name(self, name: str, code: int, store: Store, *, is_first: bool) -> None:
        known = self._names.get(name)
        if known is None:
            self._names[name] = code, store.folder.name
            if not is_first:
                self._aliases.append((name, code))
        elif known[0] != code:
            kind = "image" if code >= 0 else "video"
            stores = f"different in {known[1]} and {store.folder.name}"
            what = "picture" if code >= 0 else "video"
            self.problems.add(
                Problem(
                    self.folder.name,
                    "id",
                    stores,
                    f"one {what} for each id",
                    self._step,
                    f"{kind} {name!r}",
                )
            )

    def _new_records(self, part: _Part) -> Iterator[pa.RecordBatch]:
        first = 0
        for whole in part.store.batches():
            rows = part.records[first : first + whole.num_rows]
            first += whole.num_rows
            batch = whole
            if (rows == ABSENT).any():
                batch = whole.filter(pa.array(rows != ABSENT))
            if not batch.num_rows:
                continue
            columns = dict(zip(batch.schema.names, batch.columns, strict=True))
            columns["id"] = _prefixed(columns["id"], part.prefix)
            columns["media"] = _media(columns["media"], part)
            columns["related"], dropped = _related(columns["related"], part.records)
            self.dropped += dropped
            yield pa.record_batch(
                [columns[name] for name in RECORD_SCHEMA.names], schema=RECORD_SCHEMA
            )


def _codes_shown(store: Store, records: Codes) -> Codes:
    """The pictures and videos of the records that are taken, each once."""
    found, first = [np.empty(0, dtype=np.int32)], 0
    for batch in store.batches():
        taken = records[first : first + batch.num_rows] != ABSENT
        first += batch.num_rows
        media = batch.column("media").filter(pa.array(taken))
        found.append(np.unique(media.flatten().flatten().to_numpy()))
    return np.unique(np.concatenate(found))


def _new_images(part: _Part) -> Iterator[pa.RecordBatch]:
    first = 0
    for batch in part.store.image_batches():
        is_new = part.is_new_image[first : first + batch.num_rows]
        first += batch.num_rows
        if is_new.any():
            chosen = batch if is_new.all() else batch.filter(pa.array(is_new))
            name, digest, data = chosen.columns
            columns = [_prefixed(name, part.prefix), digest, data]
            yield pa.record_batch(columns, schema=IMAGE_SCHEMA)


def _prefixed(ids: pa.Array, prefix: str) -> pa.Array:
    return pc.binary_join_element_wise(prefix, ids, "") if prefix else ids


def _media(media: pa.ListArray, part: _Part) -> pa.ListArray:
    codes = media.values.values.to_numpy()
    moved = np.empty_like(codes)
    is_video = codes < 0
    moved[~is_video] = part.images[codes[~is_video]]
    moved[is_video] = ~part.videos[~codes[is_video]]
    frames = pa.ListArray.from_arrays(media.values.offsets, pa.array(moved, pa.int32()))
    return pa.ListArray.from_arrays(media.offsets, frames)


def _related(related: pa.ListArray, records: Codes) -> tuple[pa.ListArray, int]:
    """The examples by their new rows, without those that were not taken; how many these are."""
    offsets = related.offsets.to_numpy()
    rows = records[related.values.to_numpy()]
    kept = rows != ABSENT
    before = np.concatenate([[0], np.cumsum(kept)])
    lists = pa.ListArray.from_arrays(
        pa.array(before[offsets].astype(np.int32)), pa.array(rows[kept], pa.int32())
    )
    return lists, int(len(rows) - kept.sum())
