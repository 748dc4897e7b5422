"""Every record of a store as small integers: what is asked, shown, and when, comparable at once.

    index = RecordIndex(store)
    index.instructions[3] == index.instructions[8]      whether two records ask the same

Equal instructions, equal media and equal answers have equal codes. An instruction or an answer
counts as equal in other letter case or spacing.
"""

import math
import os
from functools import cached_property
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from otter.data.in_context_time import ClipTimes, Stretch, clip_times, overlaps
from otter.data.store import Store
from otter.data.videos import ADDRESS

Rows: TypeAlias = npt.NDArray[np.int64]


class Groups:
    """Rows by key: of keys [5, 2, 5] and rows [0, 1, 2], ``members(5)`` is [0, 2].

    Args:
        keys: int[n].
        rows: int64[n].
    """

    def __init__(self, keys: npt.NDArray[np.integer], rows: Rows) -> None:
        order = np.argsort(keys, kind="stable")
        self._rows = rows[order]
        self.keys, starts = np.unique(keys[order], return_index=True)
        self._starts = np.append(starts, len(keys))

    def members(self, key: int) -> Rows:
        """int64[...]: the rows of a key; none where the key is unknown."""
        # A key of another type would have all keys converted for every question.
        place = int(self.keys.searchsorted(self.keys.dtype.type(key)))
        if place == len(self.keys) or self.keys[place] != key:
            return self._rows[:0]
        return self._rows[self._starts[place] : self._starts[place + 1]]


class Frames(NamedTuple):
    """The pictures of all records, one record after another.

    Args:
        starts: int64[records + 1], where those of each record begin.
        images: int32[...], the row of each picture in the store; of videos -1 for the first.
        in_clip: bool[...], whether it is one of several frames of a medium, or a video.
    """

    starts: Rows
    images: npt.NDArray[np.int32]
    in_clip: npt.NDArray[np.bool_]


class RecordIndex:
    """The records of a store as codes; each column is read when it is first asked for.

    Args:
        store: any store. Several :class:`Candidates` of it may share one index.
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    @cached_property
    def instructions(self) -> npt.NDArray[np.int32]:
        """int32[records]: the code of each instruction, numbered as they first come."""
        return _codes(_plain(self.store.column("instruction")))

    @cached_property
    def answers(self) -> npt.NDArray[np.int32]:
        """int32[records]: the code of each answer."""
        return _codes(_plain(self.store.column("answer")))

    @cached_property
    def is_train(self) -> npt.NDArray[np.bool_]:
        """bool[records]: whether a model may learn from it."""
        is_train: npt.NDArray[np.bool_] = pc.equal(self.store.column("split"), "train").to_numpy()
        return is_train

    @cached_property
    def frames(self) -> "Frames":
        """Every picture of every record."""
        starts, images, total = [np.zeros(1, dtype=np.int64)], [np.empty(0, dtype=np.int32)], 0
        in_clip = [np.empty(0, dtype=bool)]
        for media in self.store.column("media").chunks:
            first_of_medium = media.values.offsets.to_numpy()
            starts.append(total + first_of_medium[media.offsets.to_numpy()[1:]].astype(np.int64))
            images.append(media.values.values.to_numpy())
            lengths = np.diff(first_of_medium)
            in_clip.append(np.repeat(lengths > 1, lengths) | (images[-1] < 0))
            total += len(images[-1])
        return Frames(np.concatenate(starts), np.concatenate(images), np.concatenate(in_clip))

    @cached_property
    def owners(self) -> Rows:
        """int64[...]: for each entry of ``frames`` the record that it belongs to."""
        return np.repeat(np.arange(len(self.store), dtype=np.int64), np.diff(self.frames.starts))

    @cached_property
    def media(self) -> npt.NDArray[np.int32]:
        """int32[records]: the code of what a record shows; -1 where it shows nothing.

        Records have the same code where they show the same images in the same order.
        """
        starts, images, _ = self.frames
        counts = np.diff(starts)
        place = np.arange(len(images)) - np.repeat(starts[:-1], counts)
        terms = _scrambled(
            images.view(np.uint32).astype(np.uint64) + (place.astype(np.uint64) << np.uint64(32))
        )
        # Sums of scrambled terms are 64 random bits for each list: two lists never meet by chance.
        sums = np.concatenate([np.zeros(1, dtype=np.uint64), np.cumsum(terms, dtype=np.uint64)])
        hashes = sums[starts[1:]] - sums[starts[:-1]]
        codes = np.full(len(self.store), -1, dtype=np.int32)
        shown = np.flatnonzero(counts)
        first, inverse = np.unique(hashes[shown], return_index=True, return_inverse=True)[1:]
        number = np.empty(len(first), dtype=np.int32)
        number[np.argsort(first, kind="stable")] = np.arange(len(first), dtype=np.int32)
        codes[shown] = number[inverse]
        return codes

    @cached_property
    def clip_times(self) -> ClipTimes:
        """Where the clip of each record stands in its video."""
        batches = self.store.image_batches()
        ids = pa.chunked_array([batch.column("id") for batch in batches], pa.string())
        used = self.frames.in_clip
        images, owners = self.frames.images[used], self.owners[used]
        return clip_times(ids, self._stretches, images, owners, len(self.store))

    def images(self, row: int) -> set[int]:
        """The rows of all pictures of a record; of videos -1 for the first, -2 for the second."""
        starts, images, _ = self.frames
        return set(images[starts[row] : starts[row + 1]].tolist())

    def touched(self, row: int) -> set[int]:
        """What another record must not show so that both have no frame in common.

        That is what the record shows, with every stretch of the same video that overlaps its own.
        """
        images = self.images(row)
        if self.store.video_count:
            for image in [image for image in images if image < 0]:
                images |= self._overlaps.get(image, set())
        return images

    @cached_property
    def _stretches(self) -> list[Stretch]:
        """For each video of the store the file and the seconds."""
        videos = map(self.store.video, range(self.store.video_count))
        return [
            Stretch(
                video.path
                if video.kind == ADDRESS
                else os.path.normpath(self.store.folder / video.path),
                video.start or 0.0,
                math.inf if video.end is None else video.end,
            )
            for video in videos
        ]

    @cached_property
    def _overlaps(self) -> dict[int, set[int]]:
        return overlaps(self._stretches)


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Texts without what does not change them: letter case, and how they are spaced."""
    spaced = pc.replace_substring_regex(pc.utf8_lower(column), pattern=r"\s+", replacement=" ")
    return pc.utf8_trim_whitespace(spaced)


def _codes(column: pa.ChunkedArray) -> npt.NDArray[np.int32]:
    """int32[rows]: equal texts get equal numbers, in the order in which they first come."""
    codes: npt.NDArray[np.int32] = pc.index_in(column, value_set=pc.unique(column)).to_numpy()
    return codes


def _scrambled(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """uint64[n]: the numbers that the generator splitmix64 makes of others."""
    state = values + np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
