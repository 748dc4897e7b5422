r"""LLaVA JSON: conversations about a picture, several pictures, a video, or nothing.

What is expected on disk: one or more JSON files (a list, or an object on each line),

    [{"id": "000000033471", "image": "coco/train2017/000000033471.jpg", "conversations": [
        {"from": "human", "value": "<image>\nWhat colour is the bus?"},
        {"from": "gpt", "value": "It is white and red."}]}, ...]

where ``image`` is a path, a list of them, or absent, and ``video`` likewise; and the folder that
the paths start from:

    otter data import llava chats.json --images photos --out store

Each question becomes a record, see :mod:`otter.build.sources.conversations`: a conversation with
several becomes ``000000033471_0``, ``000000033471_1`` and so on, each related to those before.
LLaVA gives the id of the picture to every conversation about it; further ones with the same id
become ``000000033471~2``. The task is the name of the file, if ``--option task`` does not say
another. A video is referred to and decoded whenever it is read, or, with ``--option frames=8`` or
``fps=1``, decoded once into pictures.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from otter.build.sources.conversation_source import ConversationSource, Options
from otter.build.sources.conversations import (
    Conversation,
    read_turns,
)
from otter.build.sources.json_stream import short
from otter.build.sources.media_files import Named, name_media
from otter.data.records import Problem

__all__ = ["LlavaSource", "Options"]


class LlavaSource(ConversationSource):
    """LLaVA files as a source."""

    name = "llava"

    def conversation(self, path: Path, where: str, value: Any) -> Conversation | Problem:
        """One entry of a file."""
        return _conversation(path, where, value)


def _conversation(path: Path, where: str, value: Any) -> Conversation | Problem:
    if not isinstance(value, dict):
        expected = "an object with conversations"
        return Problem(where, "", short(value), expected, "Correct it or leave it out.")
    name = id_of(value)
    turns = read_turns(
        value.get("conversations", value.get("conversation")),
        ("from", "value"),
        where,
        f"record {name!r}",
        plain_text,
    )
    if isinstance(turns, Problem):
        return turns
    media: list[Named] = []
    for field in ("image", "images", "video", "videos"):
        named = media_of(value, field, where, f"record {name!r}")
        if isinstance(named, Problem):
            return named
        media += named
    field = "image" if "image" in value else "video" if "video" in value else "images"
    source = value.get("source", value.get("data_source", ""))
    source = source if isinstance(source, str) else ""
    return Conversation(name, where, turns, media, field, path.stem, source)


def id_of(value: Mapping[str, Any]) -> str:
    """The id that an object has, as text; empty where it has none."""
    found = value.get("id", value.get("question_id", value.get("conversation_id")))
    if isinstance(found, bool) or not isinstance(found, str | int):
        return ""
    return str(found).strip()


def plain_text(value: Any) -> tuple[str, list[Named]] | None:
    """Words that are nothing but text."""
    return (value, []) if isinstance(value, str) else None


def media_of(
    value: Mapping[str, Any], field: str, where: str, record: str
) -> list[Named] | Problem:
    """The media that a field names: one or a list of them, or none where it is absent or null."""
    found = value.get(field)
    if found is None or found == "" or found == []:
        return []
    media: list[Named] = []
    for entry in found if isinstance(found, list) else [found]:
        named = name_media(entry, is_video=field.startswith("video"))
        if named is None:
            expected = "a path, or a list of paths"
            return Problem(where, field, short(entry), expected, "Correct it.", record)
        media.append(named)
    return media
