"""Chat messages of OpenAI's fine-tuning files and of Hugging Face's chat datasets.

What is expected on disk: JSONL or JSON files in which each line, or element, is

    {"messages": [
        {"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,..."}},
            {"type": "text", "text": "How many cats?"}]},
        {"role": "assistant", "content": "Two."}]}

A picture part may be ``image_url``, ``input_image`` or ``image``, and name the picture as ``url``,
``path``, ``image`` or ``base64``: a ``data:`` address, a path below ``--images``, or a ``file://``
address. A web address is refused, unless a file with the last part of its name was downloaded into
the folder. A part ``{"type": "image"}`` without a name, like a marker in the text, stands for the
next of ``images`` beside ``messages``. ``video`` parts work alike. An answer with ``"weight": 0``
is not learned.

    otter data import messages chats.jsonl --images photos --out store

Each question becomes a record, see :mod:`otter.build.sources.conversations`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from otter.build.sources.conversation_source import ConversationSource, Options
from otter.build.sources.conversations import Conversation, read_turns
from otter.build.sources.json_stream import short
from otter.build.sources.llava import id_of, media_of
from otter.build.sources.media_files import Named, name_media
from otter.data.records import Problem
from otter.prompt import IMAGE

__all__ = ["MessagesSource", "Options"]

_TEXT = ("text", "input_text", "output_text")
_PICTURE = ("image_url", "input_image", "image")
_VIDEO = ("video", "video_url", "input_video")


class MessagesSource(ConversationSource):
    """Files of chat messages as a source."""

    name = "messages"

    def conversation(self, path: Path, where: str, value: Any) -> Conversation | Problem:
        """One entry of a file."""
        return _conversation(path, where, value)


def _conversation(path: Path, where: str, value: Any) -> Conversation | Problem:
    if isinstance(value, list):  # the messages by themselves
        value = {"messages": value}
    if not isinstance(value, dict):
        expected = "an object with messages"
        return Problem(where, "", short(value), expected, "Correct it or leave it out.")
    name = id_of(value)
    record = f"record {name!r}"
    turns = read_turns(value.get("messages"), ("role", "content"), where, record, read_parts)
    if isinstance(turns, Problem):
        return turns
    media: list[Named] = []
    for field in ("images", "image", "videos", "video"):
        named = media_of(value, field, where, record)
        if isinstance(named, Problem):
            return named
        media += named
    source = value.get("source", "")
    source = source if isinstance(source, str) else ""
    return Conversation(name, where, turns, media, "messages", path.stem, source)


def read_parts(content: Any) -> tuple[str, list[Named]] | None:
    """Text and media of a message; None where it is neither text nor a list of known parts."""
    if isinstance(content, str):
        return content, []
    if not isinstance(content, list):
        return None
    text = ""
    media: list[Named] = []
    for part in content:
        if isinstance(part, str):
            text += part
            continue
        kind = part.get("type") if isinstance(part, dict) else None
        if kind in _TEXT and isinstance(part.get("text"), str):
            text += part["text"]
        elif kind in (*_PICTURE, *_VIDEO):
            named = _media_of_part(part, is_video=kind in _VIDEO)
            if named is not None:
                media.append(named)
            elif any(part.get(key) for key in part if key not in ("type", "detail", "text")):
                return None
            else:
                text += IMAGE
        else:
            return None
    return text, media


def _media_of_part(part: Mapping[str, Any], *, is_video: bool) -> Named | None:
    """What a part shows: ``{"image_url": {"url": ...}}``, ``{"image": ...}`` and the like."""
    for key in ("image_url", "video_url", "source"):
        if part.get(key):
            return name_media(part[key], is_video=is_video)
    return name_media(part, is_video=is_video)
