"""From a picture or clip as it was found to the bytes that a store keeps.

A picture that is sound, of a format that the store holds and not too large keeps its bytes as they
are. Others are encoded anew: JPEG stays JPEG, everything else becomes PNG.
"""

import io
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from otter.build.clips import check_video, clip_frames
from otter.build.sources import ClipFrames, PictureBytes, PictureFile, PictureItem, VideoReference
from otter.media import MAX_PIXELS, MediaError, open_image

JPEG = b"\xff\xd8\xff"
KEPT = (b"\x89PNG\r\n\x1a\n", JPEG, b"GIF8", b"BM")
QUALITY = 95
MAX_FILE_BYTES = 2**28


@dataclass(frozen=True, slots=True)
class Preparation:
    """What is done to every picture.

    Args:
        resize: the shorter side of a larger picture becomes so many pixels, in the same
            proportions; None keeps the size. Smaller pictures are never enlarged.
        max_pixels: larger pictures are refused before they are decoded.
    """

    resize: int | None = None
    max_pixels: int = MAX_PIXELS


def prepare(item: PictureItem, preparation: Preparation) -> Iterator[bytes]:
    """The image files that an item becomes: one for a picture, one for each frame of a clip.

    Raises:
        MediaError: the item is broken; what was yielded before is not to be used.
    """
    with warnings.catch_warnings():
        # Decoders warn of oddities in files that they read well; nobody could act on them here.
        warnings.simplefilter("ignore")
        if isinstance(item, PictureFile):
            yield prepare_picture(_contents(item.path), preparation)
        elif isinstance(item, PictureBytes):
            yield prepare_picture(item.data, preparation)
        elif isinstance(item, ClipFrames):
            for frame in clip_frames(item, preparation.max_pixels):
                yield _encoded(_resized(frame, preparation.resize), "JPEG")
        elif isinstance(item, VideoReference):
            check_video(item.path)
        else:
            raise MediaError(item.reason)


def prepare_picture(data: bytes, preparation: Preparation) -> bytes:
    """The image file to keep; the very same bytes where nothing has to change.

    Raises:
        MediaError: not a picture, damaged, or too large.
    """
    if not data:
        raise MediaError("an empty file; expected a picture")
    is_jpeg = data.startswith(JPEG)
    image = None
    if is_jpeg and preparation.resize:
        image = _reduced(data, preparation)
    if image is None:
        image = open_image(data, preparation.max_pixels)
        if not _is_larger(image, preparation.resize) and _is_kept(data):
            return data
    return _encoded(_resized(image, preparation.resize), "JPEG" if is_jpeg else "PNG")


def _contents(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise MediaError(
                f"{path}: {path.stat().st_size:,} bytes; expected a picture of at most "
                f"{MAX_FILE_BYTES:,}"
            )
        return path.read_bytes()
    except OSError as error:
        raise MediaError(f"{path}: {error.strerror}; check the path") from error


def _reduced(data: bytes, preparation: Preparation) -> Image.Image | None:
    """A large JPEG, decoded at a half, a quarter or an eighth of its size, which is faster.

    At least twice the wanted size is left, for the filter to work with. None where that saves
    nothing, and where anything is wrong: the usual way finds the words for it.
    """
    wanted = 2 * (preparation.resize or 0)
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            width, height = image.size
            if min(width, height) < 2 * wanted or width * height > preparation.max_pixels:
                return None
            image.draft(None, (wanted * width // min(width, height), wanted))
            return open_image(image, preparation.max_pixels)
    except (OSError, ValueError, SyntaxError):
        return None


def _is_larger(image: Image.Image, resize: int | None) -> bool:
    return resize is not None and min(image.size) > resize


def _is_kept(data: bytes) -> bool:
    return data.startswith(KEPT) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")


def _resized(image: Image.Image, resize: int | None) -> Image.Image:
    if resize is None or not _is_larger(image, resize):
        return image
    scale = resize / min(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=3.0)


def _encoded(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    if kind == "JPEG":
        image.save(buffer, "JPEG", quality=QUALITY)
    else:
        image.save(buffer, "PNG")
    return buffer.getvalue()


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
