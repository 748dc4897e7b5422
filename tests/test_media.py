"""Pictures and clips from files, bytes, arrays: what a person would see, or a helpful error."""

import base64
import io
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from otter.media import MediaError, decode_frames, is_video_file, open_clip, open_image

LIMIT = "where the limit is 80000000 pixels; make it smaller first"


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(b"\0")
    start = b"\x89PNG\r\n\x1a\n"
    return start + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def write_video(path: Path, frames: int, codec: str = "libx264", gop: int = 7) -> None:
    """Frames from black to white; the left half of each is the inverse."""
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 64, 48, "yuv420p", gop
        for i in range(frames):
            values = np.full((48, 64, 3), i * 255 // max(frames - 1, 1), dtype=np.uint8)
            values[:, :32] = 255 - values[:, :32]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(values, format="rgb24")))
        container.mux(stream.encode())


# --- pictures ----------------------------------------------------------------------------------


def test_all_ways_to_give_a_picture_give_the_same(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    image = Image.fromarray(values)
    data = encoded(image)
    file = tmp_path / "a.png"
    file.write_bytes(data)
    address = "data:image/png;base64," + base64.b64encode(data).decode()
    for given in (image, data, file, str(file), address, values, values.transpose(2, 0, 1)):
        opened = open_image(given)
        assert opened.mode == "RGB"
        assert np.array_equal(np.asarray(opened), values)
    assert np.array_equal(np.asarray(open_image(values / 255)), values)
    assert np.array_equal(np.asarray(open_image((values / 255).astype(np.float32))), values)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "JPEG2000"])
def test_every_common_format_is_read(kind: str) -> None:
    opened = open_image(encoded(Image.new("RGB", (8, 6), (200, 10, 10)), kind))
    assert opened.size == (8, 6)
    assert np.abs(np.asarray(opened).astype(int) - (200, 10, 10)).max() < 12


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("as_image", [False, True])
def test_a_photo_taken_with_the_phone_held_sideways_stands_upright(
    orientation: int, as_image: bool
) -> None:
    upright = Image.new("RGB", (32, 16), "white")
    upright.paste("red", (0, 0, 8, 8))  # a mark in the upper left
    stored = {
        1: upright,
        2: upright.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        3: upright.transpose(Image.Transpose.ROTATE_180),
        4: upright.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        5: upright.transpose(Image.Transpose.TRANSPOSE),
        6: upright.transpose(Image.Transpose.ROTATE_90),
        7: upright.transpose(Image.Transpose.TRANSVERSE),
        8: upright.transpose(Image.Transpose.ROTATE_270),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(stored, "JPEG", quality=95, exif=exif)
    opened = open_image(Image.open(io.BytesIO(data)) if as_image else data)
    assert opened.size == (32, 16)
    red, green, _ = opened.getpixel((3, 3))
    assert red > 200 > 60 > green


def test_what_is_transparent_is_seen_on_white() -> None:
    drawing = Image.new("RGBA", (4, 4), (255, 0, 0, 0))  # invisible red
    drawing.putpixel((0, 0), (0, 0, 255, 255))
    drawing.putpixel((1, 0), (0, 0, 0, 128))
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 255, 9, 9, 9])
    palette.putpixel((0, 0), 0)
    grey = Image.new("LA", (4, 4), (0, 0))
    for image in (drawing, open_image(encoded(drawing)), grey):
        assert open_image(image).getpixel((3, 3)) == (255, 255, 255)
    assert open_image(drawing).getpixel((0, 0)) == (0, 0, 255)
    assert open_image(drawing).getpixel((1, 0)) == (127, 127, 127)
    see_through = open_image(encoded(palette, transparency=1))
    assert see_through.getpixel((0, 0)) == (0, 0, 255)
    assert see_through.getpixel((3, 3)) == (255, 255, 255)
    assert open_image(palette).getpixel((3, 3)) == (9, 9, 9)


def test_more_than_eight_bits_are_not_cut_to_white() -> None:
    deep = Image.fromarray(np.array([[0, 257, 40 * 257, 65535]], dtype=np.uint16))
    for image in (deep, encoded(deep, "PNG"), encoded(deep, "TIFF")):
        assert np.asarray(open_image(image))[0, :, 0].tolist() == [0, 1, 40, 255]
    floats = Image.fromarray(np.array([[-1.0, 0.0, 1.0]], dtype=np.float32))
    assert np.asarray(open_image(floats))[0, :, 0].tolist() == [0, 128, 255]


@pytest.mark.parametrize("mode", ["1", "L", "CMYK", "YCbCr", "HSV"])
def test_other_modes_become_rgb(mode: str) -> None:
    assert open_image(Image.new(mode, (3, 2))).mode == "RGB"


def test_opening_a_picture_leaves_the_given_one_as_it_was() -> None:
    given = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    open_image(given)
    assert given.mode == "RGBA"
    assert given.getpixel((0, 0)) == (0, 0, 0, 0)


def test_a_bomb_is_refused_before_it_is_decoded() -> None:
    for width, height, size in (
        (60_000, 60_000, "3600000000 pixels"),
        (12_000, 9_000, "108000000 pixels"),
        (10_000, 8_500, "10000 x 8500 pixels"),
    ):
        data = png_header(width, height)
        with pytest.raises(MediaError) as error:
            open_image(data)
        assert str(error.value) == f"a picture of {len(data)} bytes: {size}, {LIMIT}"


def test_the_limit_can_be_set() -> None:
    with pytest.raises(MediaError) as error:
        open_image(Image.new("RGB", (20, 10)), max_pixels=199)
    assert str(error.value) == (
        "the picture: 20 x 10 pixels, where the limit is 199 pixels; make it smaller first"
    )
    with pytest.raises(MediaError, match="an array: 20 x 10 pixels, where the limit is 199"):
        open_image(np.zeros((10, 20, 3), np.uint8), max_pixels=199)


@pytest.mark.parametrize("part", [0.1, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "TIFF"])
def test_a_damaged_file_is_refused_by_name(kind: str, part: float, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    file = tmp_path / "cut"
    file.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(MediaError) as error:
        open_image(file)
    assert str(error.value).startswith(f"{file}: ")
    assert "the image is damaged" in str(error.value) or "not an image" in str(error.value)


def test_a_damaged_file_opened_by_pillow_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "cut.jpg"
    file.write_bytes(encoded(Image.new("RGB", (64, 64), "red"), "JPEG")[:-40])
    with Image.open(file) as image, pytest.raises(MediaError) as error:
        open_image(image)
    assert str(error.value) == (
        f"{file}: the image is damaged (image file is truncated (1 bytes not processed)); open it "
        "elsewhere and save it again"
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            b"no picture",
            "a picture of 10 bytes: not an image that can be read; expected one of JPEG, PNG, "
            "WEBP, BMP, GIF, TIFF, PPM, AVIF, JPEG2000",
        ),
        ("nowhere/a.png", "nowhere/a.png: No such file or directory; check the path"),
        (Path("tests"), "tests: Is a directory; check the path"),
        (
            "https://example.org/a.png",
            "https://example.org/a.png: network addresses are not opened; download the picture and "
            "give its path",
        ),
        (
            "data:image/png,abc",
            "a picture given as data:image/png,abc...: expected data:image/...;base64,...",
        ),
        (
            "data:image/png;base64,a!",
            "a picture given as data:image/png;base64,a!...: not base64 (Only base64 data is "
            "allowed)",
        ),
        (
            np.zeros((5, 6, 7)),
            "an array of shape (5, 6, 7) is no picture: expected [height, width], [height, width, "
            "channels] or [channels, height, width] with 1, 3 or 4 channels",
        ),
        (
            np.full((2, 2), 9.5),
            "an array of floats from 9.5 to 9.5: expected 0 to 1, or bytes 0 to 255",
        ),
        (
            np.full((2, 2), np.nan),
            "an array of floats from nan to nan: expected 0 to 1, or bytes 0 to 255",
        ),
        (
            np.zeros((2, 2), np.int64),
            "an array of int64: expected uint8 from 0 to 255, or floats from 0 to 1",
        ),
    ],
    ids=range(10),
)
def test_what_is_no_picture_is_refused(given: Any, message: str) -> None:
    with pytest.raises(MediaError) as error:
        open_image(given)
    assert str(error.value) == message


@pytest.mark.parametrize("given", [None, 3, {"url": "a.png"}])
def test_an_unsupported_type_is_refused(given: Any) -> None:
    with pytest.raises(TypeError) as error:
        open_image(given)
    assert str(error.value) == (
        f"a picture was given as {type(given).__name__}: expected a path, bytes of an image file, "
        "a PIL image, an array or a tensor"
    )


# --- clips -------------------------------------------------------------------------------------


def test_videos_are_known_by_their_suffix() -> None:
    assert is_video_file("a/b.MP4")
    assert is_video_file(Path("b.webm"))
    assert not any(is_video_file(given) for given in ("a.png", "a.gif", b"a.mp4", ["a.mp4"]))


def test_frames_of_a_medium() -> None:
    a, b = Image.new("RGB", (2, 2)), Image.new("RGB", (3, 3))
    assert [frame.size for frame in decode_frames([a, b])] == [(2, 2), (3, 3)]
    assert [frame.size for frame in decode_frames(a)] == [(2, 2)]


def test_a_clip_without_frames_is_refused() -> None:
    with pytest.raises(MediaError) as error:
        decode_frames([])
    assert str(error.value) == "a clip is an empty list of frames: expected at least one picture"


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "libx264"), ("a.avi", "mpeg4"), ("a.h264", "libx264")]
)
def test_frames_are_spread_evenly_over_a_video(name: str, codec: str, tmp_path: Path) -> None:
    write_video(tmp_path / name, 41, codec)
    frames = open_clip(tmp_path / name, frames=5)
    assert [frame.size for frame in frames] == [(64, 48)] * 5
    brightness = [int(np.asarray(frame)[:, 40:].mean()) for frame in frames]
    # Frames 0, 10, 20, 30 and 40 of 41.
    assert np.abs(np.array(brightness) - [0, 63, 127, 191, 255]).max() < 8


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.h264", "libx264")])
def test_frames_of_a_stretch_come_from_within_it(name: str, codec: str, tmp_path: Path) -> None:
    write_video(tmp_path / name, 41, codec)  # at 10 frames a second

    def brightness(**stretch: float) -> list[int]:
        frames = open_clip(tmp_path / name, 3, **stretch)  # type: ignore[arg-type]
        return [round(np.asarray(frame)[:, 40:].mean() * 40 / 255) for frame in frames]

    rate = 1 if name.endswith("mp4") else 0.4  # a raw stream is taken for 25 frames a second
    assert brightness(start=1.0 * rate, end=3.1 * rate) == [10, 20, 30]
    assert brightness(start=2.0 * rate) == [20, 30, 40]
    assert brightness(end=2.1 * rate) == [0, 10, 20]
    assert brightness(start=4.0 * rate, end=9) == [40]


def test_a_stretch_without_frames_is_refused(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", 11)
    with pytest.raises(MediaError) as error:
        open_clip(tmp_path / "a.mp4", start=3)
    assert str(error.value) == (
        f"{tmp_path}/a.mp4: no frame from 3 s to the end; the video has frames from 0 s to 1 s"
    )


def test_a_short_video_gives_all_its_frames_once(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", 3)
    assert len(open_clip(tmp_path / "a.mp4", frames=8)) == 3
    assert len(open_clip(tmp_path / "a.mp4", frames=1)) == 1


def test_only_what_is_needed_of_a_long_video_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    av = pytest.importorskip("av")
    write_video(tmp_path / "a.mp4", 300, gop=10)
    decoded = []

    class Counting:
        def __init__(self, container: Any) -> None:
            self._container = container

        def __getattr__(self, name: str) -> Any:
            return getattr(self._container, name)

        def __enter__(self) -> "Counting":
            self._container.__enter__()
            return self

        def __exit__(self, *error: object) -> None:
            self._container.__exit__(*error)

        def decode(self, *args: Any) -> Any:
            for frame in self._container.decode(*args):
                decoded.append(frame.pts)
                yield frame

    opened = av.open
    monkeypatch.setattr(av, "open", lambda *args: Counting(opened(*args)))
    assert len(open_clip(tmp_path / "a.mp4", frames=4)) == 4
    assert len(decoded) < 4 * 15


def test_a_video_from_a_phone_held_upright_stands_upright(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", 3)
    data = (tmp_path / "a.mp4").read_bytes()
    # The matrix in the track header says how to turn the picture when it is shown.
    track = data.index(b"tkhd") + 4 + 40
    one, zero, minus = struct.pack(">i", 1 << 16), bytes(4), struct.pack(">i", -(1 << 16))
    last = struct.pack(">i", 1 << 30)
    assert data[track : track + 36] == one + zero * 3 + one + zero * 3 + last
    quarter = zero + one + zero + minus + zero * 4 + last
    (tmp_path / "a.mp4").write_bytes(data[:track] + quarter + data[track + 36 :])
    frame = open_clip(tmp_path / "a.mp4", frames=1)[0]
    assert frame.size == (48, 64)
    # Turned by a quarter to the right, the left half, which is white at first, comes to lie on top.
    assert np.asarray(frame)[:20].mean() > 200 > 50 > np.asarray(frame)[-20:].mean()


def test_a_video_without_the_video_extra_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ImportError) as error:
        open_clip("a.mp4")
    assert str(error.value) == (
        "reading the video a.mp4 needs PyAV: run `pip install 'otter-icl[video]'`, or pass a list "
        "of frames"
    )


def test_a_video_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("av")
    video = tmp_path / "a.mp4"
    with pytest.raises(MediaError, match=r"a\.mp4: No such file or directory; check the path"):
        open_clip(video)
    write_video(video, 5)
    with pytest.raises(MediaError, match="64 x 48 pixels, where the limit is 100 pixels"):
        open_clip(video, max_pixels=100)
    with pytest.raises(MediaError, match=r"0 frames were asked of .*a\.mp4: expected at least 1"):
        open_clip(video, frames=0)
    video.write_bytes(video.read_bytes()[:500])
    with pytest.raises(MediaError, match=r"the video cannot be read \(.*\); play it elsewhere"):
        open_clip(video)
    Image.new("RGB", (8, 8)).save(tmp_path / "text.png")
    (tmp_path / "notes.mp4").write_text("[Script Info]\nScriptType: v4.00+\n\n[Events]\n")
    with pytest.raises(MediaError, match="there is no video in this file; pass pictures instead"):
        open_clip(tmp_path / "notes.mp4")
