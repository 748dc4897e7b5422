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

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from otter.build.sources import PictureItem
from otter.build.sources.conversations import (
    Conversation,
    Conversations,
    ConversationSettings,
    read_turns,
)
from otter.build.sources.json_stream import rows, short
from otter.build.sources.media_files import MediaFiles, Named, are_small, folders_of, name_media
from otter.data.records import Problem, Record


@dataclass(frozen=True)
class Options:
    """What can be set.

    Args:
        images: folders that the paths of pictures and videos start from.
        media_root: one more of them.
        split: of all records.
        task: of all records, instead of the name of the file.
        language: of all records.
        frames: decode so many frames of each video, instead of referring to it.
        fps: decode so many frames for each second of a video.
        system: "drop" what the system says, or put it before the "first" question.
        repeat_media: later questions of a conversation also have the media of the earlier ones.
    """

    images: tuple[Path, ...] = ()
    media_root: Path | None = None
    split: str = "train"
    task: str = ""
    language: str = "en"
    frames: int | None = None
    fps: float | None = None
    system: str = "drop"
    repeat_media: bool = False


class LlavaSource:
    """LLaVA files as a source."""

    name = "llava"

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


def settings_of(options: Any) -> ConversationSettings:
    """The part of a format's options that says how conversations become records."""
    return ConversationSettings(
        options.task, options.split, options.language, options.system, options.repeat_media
    )


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
