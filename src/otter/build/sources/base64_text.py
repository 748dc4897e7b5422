"""Pictures written as base64 text, in the dialects that datasets use.

The standard and the url-safe alphabet, with or without padding, with line breaks, and as a
``data:image/png;base64,...`` address.
"""

import base64
import binascii
import hashlib

from otter.build.sources import BrokenPicture, PictureBytes

_URL_SAFE = str.maketrans("-_", "+/", " \t\r\n=")


def decode_base64(text: str) -> bytes:
    """The bytes that the text stands for.

    Raises:
        ValueError: it is no base64 text.
    """
    if text.startswith("data:"):
        head, _, text = text.partition(",")
        if not head.endswith(";base64"):
            raise ValueError(f"{head[:40]!r}: expected data:image/...;base64,...")
    # Padding is taken off and put back: many files lack it, and some have too much.
    plain = text.translate(_URL_SAFE)
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"not base64 text ({error})") from error


def picture_of(image_id: str, text: object, where: str) -> PictureBytes | BrokenPicture:
    """The picture that a base64 text stands for, broken where it is no such text."""
    if isinstance(text, bytes):
        return PictureBytes(image_id, text, where)
    if not isinstance(text, str):
        reason = f"{type(text).__name__} where base64 text is due"
        return BrokenPicture(image_id, where, reason)
    try:
        return PictureBytes(image_id, decode_base64(text), where)
    except ValueError as error:
        return BrokenPicture(image_id, where, str(error))


def content_id(contents: bytes) -> str:
    """A short id for a picture that has no name, the same for the same contents."""
    return f"data-{hashlib.sha256(contents).hexdigest()[:20]}"
