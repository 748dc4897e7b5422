"""An upright RGB image from whatever a picture comes as: file, bytes, PIL image, array, video.

A photograph taken with the phone held sideways, a drawing on a transparent ground and a 16-bit scan
all arrive as the RGB picture that a person would see; what cannot be shown raises
:class:`MediaError`, which says why. Nothing here opens a network address.
"""

import base64
import binascii
import bisect
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from otter.prompt import Medium, is_clip

MAX_PIXELS = 80_000_000
"""The largest picture decoded by default: 240 MB as RGB, just below Pillow's own warning."""

# Raster formats only: Pillow also knows vector formats, for which it would start other programs.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "AVIF", "JPEG2000")
_VIDEO_SUFFIXES = frozenset(
    {
        ".mp4",
        ".m4v",
        ".mov",
        ".webm",
        ".mkv",
        ".avi",
        ".mpg",
        ".mpeg",
        ".wmv",
        ".flv",
        ".ogv",
        ".3gp",
    }
)
_EXIF_ORIENTATION = 0x0112
_TICK = 1e-6  # seconds: 1.2 s written as a fraction and as a float are the same time


class MediaError(ValueError):
    """A picture or clip that cannot be read; the message says which, why, and what to do."""


def open_image(picture: Any, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """An upright RGB image of what a person would see.

    Args:
        picture: a path, the bytes of an image file, a ``data:image/...;base64,`` address, a PIL
            image, or an array or CPU tensor ``[height, width]``, ``[height, width, channels]`` or
            ``[channels, height, width]``, of bytes 0 to 255 or of floats 0 to 1.
        max_pixels: larger pictures are refused before they are decoded.

    Raises:
        MediaError: no such file, not an image, damaged, or larger than ``max_pixels``.
        TypeError: ``picture`` is none of the kinds above.
    """
    if isinstance(picture, Image.Image | str | Path | bytes):
        name = _name_of(picture)
        try:
            if isinstance(picture, Image.Image):
                return _upright_rgb(picture, name, max_pixels)
            with Image.open(_source_of(picture), formats=_FORMATS) as image:
                return _upright_rgb(image, name, max_pixels)
        except MediaError:
            raise
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            size = re.search(r"\d+ pixels", str(error))  # Pillow does not say it in any other way
            raise MediaError(_too_large(name, size.group() if size else "", max_pixels)) from error
        except UnidentifiedImageError as error:
            raise MediaError(
                f"{name}: not an image that can be read; expected one of {', '.join(_FORMATS)}"
            ) from error
        except OSError as error:
            if error.errno is None:  # a decoder's, not the file system's
                raise MediaError(_damaged(name, error)) from error
            raise MediaError(f"{name}: {error.strerror}; check the path") from error
        except Exception as error:  # decoders raise every kind of error on damaged files
            raise MediaError(_damaged(name, error)) from error
    if hasattr(picture, "__array__"):
        return _from_array(picture, max_pixels)
    raise TypeError(
        f"a picture was given as {type(picture).__name__}: expected a path, bytes of an image "
        "file, a PIL image, an array or a tensor"
    )


def is_video_file(medium: Any) -> bool:
    """Whether ``medium`` is the path of a video, judged by its suffix."""
    return isinstance(medium, str | Path) and Path(medium).suffix.lower() in _VIDEO_SUFFIXES


def decode_frames(medium: Medium, frames: int = 8) -> list[Image.Image]:
    """The frames of one medium: one for a picture, all of a list, ``frames`` of a video file.

    Raises:
        MediaError: an empty list, or a frame that cannot be read.
    """
    if is_video_file(medium):
        return open_clip(medium, frames)  # type: ignore[arg-type]
    if is_clip(medium):
        if not len(medium):  # type: ignore[arg-type]
            raise MediaError("a clip is an empty list of frames: expected at least one picture")
        return [open_image(frame) for frame in medium]  # type: ignore[union-attr]
    return [open_image(medium)]


def _name_of(picture: Image.Image | Path | str | bytes) -> str:
    if isinstance(picture, Image.Image):
        return getattr(picture, "filename", "") or "the picture"
    if isinstance(picture, bytes):
        return f"a picture of {len(picture)} bytes"
    if isinstance(picture, str) and picture.startswith("data:"):
        return f"a picture given as {picture[:24]}..."
    return str(picture)


def _source_of(picture: str | Path | bytes) -> Path | io.BytesIO:
    if isinstance(picture, bytes):
        return io.BytesIO(picture)
    if isinstance(picture, str):
        if picture.startswith("data:"):
            return io.BytesIO(_data_address(picture))
        if picture.startswith(("http://", "https://")):
            raise MediaError(
                f"{picture}: network addresses are not opened; download the picture and give its "
                "path"
            )
    return Path(picture)


def _data_address(address: str) -> bytes:
    head, _, payload = address.partition(",")
    if not head.endswith(";base64"):
        raise MediaError(f"{_name_of(address)}: expected data:image/...;base64,...")
    try:
        return base64.b64decode(payload, validate=True)
    except binascii.Error as error:
        raise MediaError(f"{_name_of(address)}: not base64 ({error})") from error


def _damaged(name: str, error: Exception) -> str:
    return f"{name}: the image is damaged ({error}); open it elsewhere and save it again"


def _too_large(name: str, size: str, max_pixels: int) -> str:
    return f"{name}: {size}, where the limit is {max_pixels} pixels; make it smaller first"


def _upright_rgb(image: Image.Image, name: str, max_pixels: int) -> Image.Image:
    width, height = image.size
    if width * height > max_pixels:
        raise MediaError(_too_large(name, f"{width} x {height} pixels", max_pixels))
    if not width * height:
        raise MediaError(f"{name}: {width} x {height} pixels; expected at least one")
    if image.getexif().get(_EXIF_ORIENTATION, 1) != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):
        return _from_wide(image)
    if image.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in image.info:
        # What lies behind transparent pixels is arbitrary; people see such pictures on white.
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    if image.mode == "RGB":
        image.load()
        return image
    return image.convert("RGB")


def _from_wide(image: Image.Image) -> Image.Image:
    """More than 8 bits a channel, which ``convert`` would clip to white."""
    values = np.asarray(image, dtype=np.float64)
    if image.mode.startswith("I;16"):
        low, high = 0.0, 65535.0
    # 32-bit integers and floats have no white of their own: use the range that the picture uses
    else:
        low, high = float(values.min()), float(values.max())
    scaled = (values - low) / max(high - low, 1e-12) * 255
    return Image.fromarray(scaled.round().astype(np.uint8)).convert("RGB")


def _from_array(picture: Any, max_pixels: int) -> Image.Image:
    values = np.asarray(picture)
    shape = tuple(values.shape)
    if values.ndim == 3 and values.shape[-1] not in (1, 3, 4):
        values = np.moveaxis(values, 0, -1)
    if values.ndim == 2:
        values = values[..., None]
    if values.ndim != 3 or values.shape[-1] not in (1, 3, 4) or not values.size:
        raise MediaError(
            f"an array of shape {shape} is no picture: expected [height, width], "
            "[height, width, channels] or [channels, height, width] with 1, 3 or 4 channels"
        )
    if values.shape[0] * values.shape[1] > max_pixels:
        raise MediaError(
            _too_large("an array", f"{values.shape[1]} x {values.shape[0]} pixels", max_pixels)
        )
    if np.issubdtype(values.dtype, np.floating):
        low, high = float(values.min()), float(values.max())
        if not (low >= 0 and high <= 1):  # also catches NaN
            raise MediaError(
                f"an array of floats from {low:g} to {high:g}: expected 0 to 1, or bytes 0 to 255"
            )
        values = (values * 255).round().astype(np.uint8)
    if values.dtype != np.uint8:
        raise MediaError(
            f"an array of {values.dtype}: expected uint8 from 0 to 255, or floats from 0 to 1"
        )
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[values.shape[-1]]
    image = Image.fromarray(values[..., 0] if mode == "L" else np.ascontiguousarray(values))
    return _upright_rgb(image, "an array", max_pixels)


def open_clip(
    path: Path | str,
    frames: int = 8,
    max_pixels: int = MAX_PIXELS,
    *,
    start: float | None = None,
    end: float | None = None,
) -> list[Image.Image]:
    """Upright RGB frames of a video file, spread evenly from its first frame to its last.

    Only the frames asked for are kept, and only the stretches of the file that they need are
    decoded, so an hour of video costs no more memory than ten seconds.

    Args:
        path: the video file.
        frames: how many; a video that has fewer gives all that it has.
        max_pixels: videos with larger frames are refused.
        start: seconds into the video; frames before are left out.
        end: seconds into the video; frames from there on are left out.

    Raises:
        MediaError: no such file, no video in it, damaged, frames larger than ``max_pixels``, or no
            frame between ``start`` and ``end``.
        ImportError: PyAV, the extra ``video``, is not installed.
    """
    if frames < 1:
        raise MediaError(f"{frames} frames were asked of {path}: expected at least 1")
    try:
        import av
    except ImportError as error:
        raise ImportError(
            f"reading the video {path} needs PyAV: run `pip install 'otter-icl[video]'`, or pass "
            "a list of frames"
        ) from error
    if not Path(path).is_file():
        raise MediaError(f"{path}: No such file or directory; check the path")
    try:
        stretch = _Stretch(start, end)
        spread = _spread(av, str(path), frames, max_pixels, stretch)
        chosen = [_upright_frame(frame) for frame in spread]
    except av.error.FFmpegError as error:
        raise MediaError(
            f"{path}: the video cannot be read ({error}); play it elsewhere to check it"
        ) from error
    if not chosen:
        raise MediaError(f"{path}: not one frame could be decoded; play it elsewhere to check it")
    return chosen


class _Stretch(NamedTuple):
    """From ``start`` on and before ``end``, in seconds; None for the ends of the video."""

    start: float | None
    end: float | None

    def choose(self, seconds: Sequence[float], path: str) -> slice:
        """Which of the ascending times are in the stretch."""
        first = 0 if self.start is None else bisect.bisect_left(seconds, self.start - _TICK)
        last = len(seconds) if self.end is None else bisect.bisect_left(seconds, self.end - _TICK)
        if first >= last and seconds:
            low = "the start" if self.start is None else f"{self.start:g} s"
            high = "the end" if self.end is None else f"{self.end:g} s"
            raise MediaError(
                f"{path}: no frame from {low} to {high}; the video has frames from "
                f"{seconds[0]:g} s to {seconds[-1]:g} s"
            )
        return slice(first, last)


def _spread(av: Any, path: str, frames: int, max_pixels: int, stretch: _Stretch) -> Iterator[Any]:
    """The decoded frames of an even spread over a stretch, in order."""
    with av.open(path) as container:
        if not container.streams.video:
            raise MediaError(f"{path}: there is no video in this file; pass pictures instead")
        stream = container.streams.video[0]
        if stream.width * stream.height > max_pixels:
            raise MediaError(
                _too_large(path, f"{stream.width} x {stream.height} pixels", max_pixels)
            )
        packets = [
            (packet.pts, packet.is_keyframe) for packet in container.demux(stream) if packet.size
        ]
        unit = float(stream.time_base or 0)
        origin = stream.start_time or 0
        rate = float(stream.average_rate or stream.guessed_rate or 25)
    times = sorted(time for time, _ in packets if time is not None)
    if len(times) == len(packets):
        keys = sorted(time for time, is_key in packets if is_key)
        inside = times[stretch.choose([(time - origin) * unit for time in times], path)]
        targets = [inside[i] for i in _even(len(inside), frames)]
        with av.open(path) as container:
            yield from _at_times(container, targets, keys)
        return
    # A raw stream has no time stamps: count by decoding, then decode again.
    with av.open(path) as container:
        count = sum(1 for _ in container.decode(video=0))
    numbers = range(count)[stretch.choose([number / rate for number in range(count)], path)]
    wanted = {numbers[i] for i in _even(len(numbers), frames)}
    with av.open(path) as container:
        yield from (frame for i, frame in enumerate(container.decode(video=0)) if i in wanted)


def _at_times(container: Any, targets: list[int], keys: list[int]) -> Iterator[Any]:
    """The frames at the times ``targets``, ascending; a decoder can start at the times ``keys``."""
    stream = container.streams.video[0]
    decoded, frame = container.decode(stream), None
    for target in targets:
        key = keys[max(bisect.bisect_right(keys, target) - 1, 0)] if keys else target
        if frame is not None and frame.pts < key <= target:  # nothing in between is needed
            container.seek(key, stream=stream)
            decoded = container.decode(stream)
        while frame is None or frame.pts is None or frame.pts < target:
            following = next(decoded, None)
            if following is None:
                break  # the file ends early: the last frame that there is stands for the rest
            frame = following
        if frame is not None:
            yield frame


def _even(count: int, wanted: int) -> list[int]:
    """``wanted`` positions from 0 to ``count - 1``, both included: ``_even(9, 3) == [0, 4, 8]``."""
    return [int(i) for i in np.linspace(0, count - 1, min(wanted, count))]


def _upright_frame(frame: Any) -> Image.Image:
    image: Image.Image = frame.to_image()
    turns = {
        90: Image.Transpose.ROTATE_90,
        180: Image.Transpose.ROTATE_180,
        -180: Image.Transpose.ROTATE_180,
    }
    turns |= {-90: Image.Transpose.ROTATE_270}
    rotation = turns.get(round(frame.rotation))  # phones store upright video lying down
    return image if rotation is None else image.transpose(rotation)
