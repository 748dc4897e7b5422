"""Which picture belongs where: from nested lists of media to distinct images and an index.

A batch of chats shows many pictures more than once. :func:`distinct_images` finds them before
anything is decoded, by equal bytes, equal path or being the same object:

    >>> images, index = distinct_images([["a.png", "b.png"], ["a.png"]])
    >>> len(images), index.tolist()          # index: [batch, media, frames], -1 where there is none
    (2, [[[0], [1]], [[0], [-1]]])
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL.Image import Image

from otter.media import MediaError, is_video_file, open_clip, open_image
from otter.prompt import Medium, is_clip


def distinct_images(
    media: Sequence[Sequence[Medium]], num_frames: int = 8
) -> tuple[list[Image], npt.NDArray[np.int64]]:
    """The distinct images of the media of each row, and which image each frame is.

    Args:
        media: for each row its media: pictures, lists of frames, video files, or arrays of 3
            dimensions (a picture) or 4 (a clip, frames first).
        num_frames: how many frames to take from a video file.

    Returns:
        RGB images, and ``long[batch, media, frames]`` of their positions, padded at the ends with
        -1.

    Raises:
        MediaError: a clip without frames, or a picture that cannot be read.
    """
    images: list[Image] = []
    position: dict[Any, int] = {}
    kept: list[
        Any
    ] = []  # what is known by its id must stay alive, or another object may get that id
    clips: dict[str, list[Image]] = {}
    index: list[list[list[int]]] = []
    for given in media:
        index.append([])
        for medium in given:
            slots = []
            for frame in _frames(medium, num_frames, clips):
                key = _key(frame)
                if key not in position:
                    position[key] = len(images)
                    images.append(open_image(frame))
                    kept.append(frame)
                slots.append(position[key])
            index[-1].append(slots)
    most_media = max((len(row) for row in index), default=0)
    most_frames = max((len(slots) for row in index for slots in row), default=0)
    table = np.full((len(index), most_media, most_frames), -1, dtype=np.int64)
    for r, row in enumerate(index):
        for m, known in enumerate(row):
            table[r, m, : len(known)] = known
    return images, table


def rows_of_media(counts: Sequence[int], images: Any, videos: Any) -> list[list[Medium]]:
    """The media of each text, from the ``images`` and ``videos`` arguments in all their nestings.

    Args:
        counts: how many markers each text has.
        images: None; one picture; a flat list; or one list for each text. With one text, items of a
            flat list may be lists of frames beside pictures; with more, those of each text's list
            may.
        videos: None; one clip (a list of frames, an array of 4 dimensions or a video file); a flat
            list of clips; or one list of clips for each text.

    Raises:
        ValueError: there are not as many lists as texts, a flat list cannot be dealt out to the
            texts, or images and videos of one text would have to be put in an order that nobody
            gave.
    """
    if images is not None and videos is not None:
        return _both(len(counts), images, videos)
    if videos is not None:
        return _dealt(counts, *_videos(videos), "videos")
    if images is not None:
        return _dealt(counts, *_images(images, len(counts)), "images")
    return [[] for _ in counts]


def _images(images: Any, texts: int) -> tuple[list[Any], bool]:
    """The list of images, and whether it has a list for each text."""
    if not isinstance(images, list | tuple):
        return [images], False
    nested = [isinstance(item, list | tuple) for item in images]
    if all(nested):
        return list(images), bool(nested)
    if any(nested) and texts > 1:
        raise ValueError(
            f"images mixes lists and pictures for {texts} texts: give one list for each text"
        )
    return list(images), False


def _videos(videos: Any) -> tuple[list[Any], bool]:
    """The list of clips, and whether it has a list for each text."""
    if _is_clip(videos):
        return [videos], False
    if not isinstance(videos, list | tuple):
        raise ValueError(
            f"videos was given as {type(videos).__name__}: expected a video file, a list of "
            "frames, an array of 4 dimensions, or a list of these"
        )
    return list(videos), not all(_is_clip(item) for item in videos)


def _is_clip(item: Any) -> bool:
    if isinstance(item, list | tuple):
        return bool(item) and not any(
            _is_clip(part) or isinstance(part, list | tuple) for part in item
        )
    return is_video_file(item) or getattr(item, "ndim", 0) == 4


def _dealt(
    counts: Sequence[int], media: list[Any], per_text: bool, name: str
) -> list[list[Medium]]:
    if per_text:
        if len(media) != len(counts):
            raise ValueError(
                f"{name} has {len(media)} lists for {len(counts)} texts: give one list for each "
                "text"
            )
        return [list(row) for row in media]
    if len(counts) == 1:
        return [media]
    if sum(counts) != len(media):
        raise ValueError(
            f"{len(media)} {name} for {sum(counts)} markers in {len(counts)} texts: give one for "
            "each marker, or one list for each text"
        )
    rest = iter(media)
    return [[next(rest) for _ in range(count)] for count in counts]


def _both(texts: int, images: Any, videos: Any) -> list[list[Medium]]:
    pictures, clips = _images(images, texts), _videos(videos)
    if texts > 1 and not (pictures[1] and clips[1] and len(pictures[0]) == len(clips[0]) == texts):
        raise ValueError(
            f"images and videos for {texts} texts: give each as one list for each text"
        )
    rows = [_dealt([0] * texts, *given, "media") for given in (pictures, clips)]
    for row, (left, right) in enumerate(zip(*rows, strict=True)):
        if left and right:
            raise ValueError(
                f"row {row} has {len(left)} images and {len(right)} videos, and their order is "
                "lost in two arguments: use apply_chat_template(messages, tokenize=True), or put "
                "each clip into images as a list of frames"
            )
    return [[*left, *right] for left, right in zip(*rows, strict=True)]


def _key(frame: Any) -> Any:
    if isinstance(frame, str | bytes):
        return frame
    return str(frame) if isinstance(frame, Path) else id(frame)


def _frames(medium: Any, num_frames: int, clips: dict[str, list[Image]]) -> Sequence[Any]:
    if is_clip(medium):
        if not len(medium):
            raise MediaError("a clip is an empty list of frames: expected at least one picture")
        return list(medium)
    if is_video_file(medium):
        if str(medium) not in clips:
            clips[str(medium)] = open_clip(medium, num_frames)
        return clips[str(medium)]
    if getattr(medium, "ndim", 0) == 4:
        if not len(medium):
            raise MediaError("a clip is an array without frames: expected at least one")
        return list(medium)
    return [medium]
