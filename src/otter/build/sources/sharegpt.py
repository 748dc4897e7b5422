r"""ShareGPT conversations, with pictures as LLaMA-Factory and others write them.

What is expected on disk: one or more JSON files (a list, or an object on each line),

    [{"conversations": [{"from": "human", "value": "<image>How many cats?"},
                        {"from": "gpt", "value": "Two."}],
      "images": ["cats/1.jpg"]}, ...]

and the folder that the paths start from:

    otter data import sharegpt chats.json --images photos --out store

``images`` (or ``image``), ``videos`` and ``system`` may be absent. The turns may also be called
``messages`` or ``conversation``, with ``role`` and ``content``. There must be as many ``<image>``
and ``<video>`` markers as media; without any, the media belong to the first question. A picture
may be an object with ``path``, or with ``bytes`` as base64 text. Each question becomes a record,
see :mod:`otter.build.sources.conversations`.
"""

from pathlib import Path
from typing import Any

from otter.build.sources.conversation_source import ConversationSource, Options
from otter.build.sources.conversations import (
    SYSTEM,
    Conversation,
    Turn,
    read_turns,
)
from otter.build.sources.json_stream import short
from otter.build.sources.llava import id_of, media_of, plain_text
from otter.build.sources.media_files import Named
from otter.data.records import Problem

__all__ = ["Options", "ShareGptSource"]


class ShareGptSource(ConversationSource):
    """ShareGPT files as a source."""

    name = "sharegpt"

    def conversation(self, path: Path, where: str, value: Any) -> Conversation | Problem:
        """One entry of a file."""
        return _conversation(path, where, value)


def _conversation(path: Path, where: str, value: Any) -> Conversation | Problem:
    step = "Correct it or leave it out."
    if not isinstance(value, dict):
        return Problem(where, "", short(value), "an object with conversations", step)
    name = id_of(value)
    record = f"record {name!r}"
    keys = ("conversations", "messages", "conversation")
    spoken = next((value[key] for key in keys if key in value), None)
    first = spoken[0] if isinstance(spoken, list) and spoken else None
    has_roles = isinstance(first, dict) and "role" in first
    names = ("role", "content") if has_roles else ("from", "value")
    turns = read_turns(spoken, names, where, record, plain_text)
    if isinstance(turns, Problem):
        return turns
    system = value.get("system")
    if isinstance(system, str) and system.strip():
        turns.insert(0, Turn(SYSTEM, system))
    media: list[Named] = []
    for field in ("images", "image", "videos", "video"):
        named = media_of(value, field, where, record)
        if isinstance(named, Problem):
            return named
        media += named
    source = value.get("source", "")
    source = source if isinstance(source, str) else ""
    return Conversation(name, where, turns, media, "images", path.stem, source)
