"""Pictures and videos, sound ones and such that nobody can decode."""

import io
import random
import struct
import zlib
from functools import cache

from PIL import Image


@cache
def picture(number: int, kind: str = "PNG") -> bytes:
    """A small picture that no other is."""
    buffer = io.BytesIO()
    image = Image.new("RGB", (16, 12), (30 * number % 256, 255 - 20 * number, 7 * number % 256))
    image.putpixel((number % 16, 3), (255, 255, 255))
    image.save(buffer, kind)
    return buffer.getvalue()


@cache
def noise(number: int) -> bytes:
    """A picture of 30 KB, which cannot be compressed."""
    buffer = io.BytesIO()
    data = random.Random(number).randbytes(100 * 100 * 3)
    Image.frombytes("RGB", (100, 100), data).save(buffer, "PNG")
    return buffer.getvalue()


@cache
def video() -> bytes:
    """A video of ten frames."""
    import av
    import numpy as np

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=5)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for n in range(10):
            values = np.full((32, 32, 3), 20 * n, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(values, format="rgb24")))
        container.mux(stream.encode())
    return buffer.getvalue()


@cache
def broken_pictures() -> dict[str, bytes]:
    """Files that are no sound pictures and no videos, by what is the matter with them."""
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), (9, 99, 199)).save(buffer, "JPEG")
    jpeg = buffer.getvalue()
    buffer = io.BytesIO()
    noise = Image.frombytes("RGB", (64, 64), random.Random(0).randbytes(64 * 64 * 3))
    noise.save(buffer, "PNG")
    png = buffer.getvalue()
    size = jpeg.index(b"\xff\xc0") + 5
    return {
        "nothing": b"",
        "zeros": bytes(500),
        "noise": random.Random(1).randbytes(500),
        "a text": b"404 Not Found",
        "a web page": b"<!DOCTYPE html><html><body>gone</body></html>",
        "half a JPEG": jpeg[: len(jpeg) // 2],
        "the start of a JPEG": jpeg[:3],
        "a JPEG without size": jpeg[:size] + bytes(4) + jpeg[size + 4 :],
        "a JPEG of 65,500 squared": jpeg[:size] + b"\xff\xdc\xff\xdc" + jpeg[size + 4 :],
        "half a PNG": png[: len(png) // 2],
        "a PNG with a wrong checksum": png[:40] + bytes([png[40] ^ 1]) + png[41:],
        "a PNG of 60,000 squared": _png(60_000, 60_000, b"\0" * 100),
        "a PNG of 0 x 5": _png(0, 5, b""),
        "a PNG of 100 million pixels": _png(10_000, 10_000, bytes(10**7), depth=16),
        "a PNG of 2**31 - 1": _png(2**31 - 1, 2**31 - 1, b""),
        "a GIF without frames": b"GIF89a\x10\x00\x10\x00\x00\x00\x00;",
        "half a GIF": b"GIF89a\x10\x00\x10\x00\x80\x00\x00",
        "a WebP of nothing": b"RIFF\x04\x00\x00\x00WEBP",
        "a bitmap of 2**31": b"BM"
        + struct.pack("<IHHIIiiHHII", 99, 0, 0, 54, 40, 2**31 - 1, 9, 1, 24, 0, 0),
        "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
        "an SVG": b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
        "a zip bomb's head": b"PK\x03\x04" + bytes(200),
        "an empty video": b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom",
    }


def _png(width: int, height: int, rows: bytes, depth: int = 8) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    head = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    parts = [chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows, 9)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
