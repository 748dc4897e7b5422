"""Pictures for a page: scaled down and written into the page itself."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image

from otter.data import DataError, Store
from otter.data.arrow import IMAGES
from otter.media import MediaError, open_image

MAX_SIDE = 320
"""Pixels of the longer side of a picture on a page."""
MAX_FRAMES = 12
"""Of a clip with more frames so many are shown, spread evenly."""
_AS_IT_IS = 24_000
"""A small picture of at most so many bytes goes into the page as it is."""
_ADDRESSES = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "GIF": "image/gif"}


@dataclass(frozen=True)
class Frame:
    """A picture on the page: a data address and its size, or why there is none."""

    name: str
    address: str = ""
    width: int = 0
    height: int = 0
    problem: str = ""


@dataclass(frozen=True)
class ShownMedium:
    """One medium on the page.

    Args:
        kind: "picture", "clip" or "video".
        frames: those that are shown.
        count: how many there are; 0 where a video does not say.
        note: what a reader should know of it, such as the stretch of a video.
    """

    kind: str
    frames: tuple[Frame, ...]
    count: int
    note: str = ""


class PictureShelf:
    """Makes the pictures of a store ready for a page, each once.

    Args:
        store: where they are.
        max_side: pixels of the longer side.
    """

    def __init__(self, store: Store, max_side: int = MAX_SIDE) -> None:
        self.store, self.max_side = store, max_side
        self._frame = lru_cache(maxsize=2_000)(self._load)

    def media(self, media: Sequence[Sequence[int]]) -> list[ShownMedium]:
        """The media of a stored record."""
        return [self._medium(medium) for medium in media]

    def _medium(self, rows: Sequence[int]) -> ShownMedium:
        if len(rows) == 1 and rows[0] < 0:
            return self._video(~rows[0])
        if len(rows) == 1:
            return ShownMedium("picture", (self._frame(rows[0]),), 1)
        shown = np.linspace(0, len(rows) - 1, min(len(rows), MAX_FRAMES)).astype(int)
        frames = tuple(self._frame(rows[place]) for place in shown)
        return ShownMedium("clip", frames, len(rows))

    def _video(self, row: int) -> ShownMedium:
        video = self.store.video(row)
        stretch = ""
        if video.start is not None or video.end is not None:
            end = "the end" if video.end is None else f"{video.end:g} s"
            stretch = f", {video.start or 0:g} s to {end}"
        note = f"{video.path}{stretch}"
        try:
            frames = [
                self._shrunk(frame, f"frame {number} of {video.id}")
                for number, frame in enumerate(self.store.video_frames(row), start=1)
            ]
        except (DataError, ImportError, MediaError) as error:
            frames = [Frame(video.id, problem=str(error))]
        return ShownMedium("video", tuple(frames), 0, note)

    def _load(self, row: int) -> Frame:
        if not 0 <= row < self.store.image_count:
            return Frame(f"row {row}", problem=f"{IMAGES} has no row {row}")
        name, data = self.store.image_id(row), self.store.image_bytes(row)
        try:
            picture = open_image(data)
            with Image.open(io.BytesIO(data)) as original:
                kind, is_upright = original.format or "", original.size == picture.size
        except MediaError as error:
            return Frame(name, problem=str(error))
        fits = len(data) <= _AS_IT_IS and max(picture.size) <= self.max_side
        if fits and is_upright and kind in _ADDRESSES:
            return Frame(name, _address(_ADDRESSES[kind], data), *picture.size)
        return self._shrunk(picture, name)

    def _shrunk(self, picture: Image.Image, name: str) -> Frame:
        picture.thumbnail((self.max_side, self.max_side), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=82, optimize=True)
        return Frame(name, _address("image/jpeg", buffer.getvalue()), *picture.size)


def _address(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
