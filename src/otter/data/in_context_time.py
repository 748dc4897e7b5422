"""Where clips stand in their videos: which come just before or after, and which overlap.

A clip is a stretch of a video file, or a medium of several frames, whose ids end in a number:
``DC_IMG_v7_0012`` is frame 12 of the video ``DC_IMG_v7_``.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

# Of more digits an int64 could not hold the number.
FRAME_ID = r"^(?P<video>.*\D)(?P<frame>\d{1,18})$"


class Stretch(NamedTuple):
    """A part of a video file; ``end`` is infinite where it goes on to the end of the video."""

    file: str
    start: float
    end: float


class ClipTimes(NamedTuple):
    """Where the clip of each record stands.

    Args:
        videos: int32[records], the number of its video; -1 for a record without a clip, or with
            one whose frames have no numbers.
        times: float64[records], the middle of its seconds or of its frames' numbers.
    """

    videos: npt.NDArray[np.int32]
    times: npt.NDArray[np.float64]


def clip_times(
    ids: pa.ChunkedArray,
    stretches: Sequence[Stretch],
    images: npt.NDArray[np.int32],
    owners: npt.NDArray[np.int64],
    records: int,
) -> ClipTimes:
    """Reads the ids of all frames, and the seconds of all videos.

    A picture that occurs in several videos, such as a black one, bears the id under which it came
    first. So a clip belongs to the video that most of its frames name, and only these tell when.

    Args:
        ids: of all pictures.
        stretches: all videos.
        images: int32[frames], the row of each frame of a clip; of videos -1 for the first.
        owners: int64[frames], the record that each belongs to.
        records: how many there are in all.
    """
    video_of, number_of = _numbered(ids, stretches)
    images = np.where(images < 0, len(ids) + ~images, images)
    result = ClipTimes(np.full(records, -1, np.int32), np.zeros(records))
    named = video_of[images] >= 0
    if not named.any():
        return result
    owners, video = owners[named], video_of[images[named]]
    # One number for each pair of a record and a video that it names.
    pairs = owners * (int(video.max()) + 1) + video
    _, first, inverse, counts = np.unique(
        pairs, return_index=True, return_inverse=True, return_counts=True
    )
    owners, video = owners[first], video[first]
    means = np.bincount(inverse, number_of[images[named]]) / counts
    # By record, then by count: the last of each record is the video that it names most often, the
    # first of several.
    order = np.lexsort((-np.arange(len(first)), counts, owners))
    chosen = order[np.append(np.diff(owners[order]) > 0, True)]
    result.videos[owners[chosen]] = video[chosen]
    result.times[owners[chosen]] = means[chosen]
    return result


def overlaps(stretches: Sequence[Stretch]) -> dict[int, set[int]]:
    """For each stretch those of the same file that have a second in common with it.

    Both are counted as records do: -1 is the first. Where nothing overlaps, nothing is listed.
    """
    by_file: dict[str, list[int]] = defaultdict(list)
    for number, stretch in enumerate(stretches):
        by_file[stretch.file].append(number)
    found: dict[int, set[int]] = defaultdict(set)
    for numbers in by_file.values():
        numbers.sort(key=lambda number: stretches[number].start)
        for place, one in enumerate(numbers):
            for other in numbers[place + 1 :]:
                if stretches[other].start >= stretches[one].end:
                    break
                found[~one].add(~other)
                found[~other].add(~one)
    return dict(found)


def _numbered(
    ids: pa.ChunkedArray, stretches: Sequence[Stretch]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """The number of each picture's and each stretch's video, -1 for none, and its own time.

    Returns:
        int64[pictures + stretches] and float64[pictures + stretches].
    """
    parts = pc.extract_regex(ids, pattern=FRAME_ID)
    names = pc.struct_field(parts, "video")
    known = pc.unique(names).drop_null()
    videos = pc.index_in(names, value_set=known).fill_null(-1)
    times = pc.cast(pc.struct_field(parts, "frame"), pa.int64()).fill_null(0)
    files = {file: number for number, file in enumerate({s.file: None for s in stretches})}
    of_stretches = [len(known) + files[stretch.file] for stretch in stretches]
    middles = [s.start if math.isinf(s.end) else (s.start + s.end) / 2 for s in stretches]
    return (
        np.concatenate([videos.to_numpy(), np.array(of_stretches, dtype=np.int64)]),
        np.concatenate([times.to_numpy(), np.array(middles, dtype=np.float64)]),
    )
