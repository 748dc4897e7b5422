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

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from otter.build.sources import PictureItem
from otter.build.sources.conversations import Conversation, Conversations, read_turns
from otter.build.sources.json_stream import rows, short
from otter.build.sources.llava import Options, id_of, media_of, settings_of
from otter.build.sources.media_files import MediaFiles, Named, are_small, folders_of, name_media
from otter.data.records import Problem, Record
from otter.prompt import IMAGE

__all__ = ["MessagesSource", "Options"]

_TEXT = ("text", "input_text", "output_text")
_PICTURE = ("image_url", "input_image", "image")
_VIDEO = ("video", "video_url", "input_video")


class MessagesSource:
    """Files of chat messages as a source."""

    name = "messages"

    def __init__(self, paths: Sequence[Path], **options: Any) -> None:
        self.options = Options(**options)
        self.paths = [Path(path) for path in paths]
        folders = folders_of(self.options.images, self.options.media_root, self.paths)
        files = MediaFiles(folders, self.options.frames, self.options.fps)
        self._conversations = Conversations(self._read, files, settings_of(self.options))

    @property
    def where(self) -> str:
        """Where the last record came from."""
        return self._conversations.where

    def picture_count(self) -> int | None:
        """How many pictures and videos are named, where that is quickly counted."""
        return self._conversations.picture_count() if are_small(self.paths) else None

    def pictures(self) -> Iterator[PictureItem | Problem]:
        """Every picture and video that is named and is there."""
        yield from self._conversations.pictures()

    def records(self, frames: Mapping[str, tuple[str, ...]]) -> Iterator[Record | Problem]:
        """A record for each question."""
        yield from self._conversations.records(frames)

    def _read(self) -> Iterator[Conversation | Problem]:
        for path in self.paths:
            for found in rows(path):
                yield found if isinstance(found, Problem) else _conversation(path, *found)


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
