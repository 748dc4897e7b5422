"""What the formats of conversations share: their options, and the way from files to records."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from otter.build.sources import PictureItem
from otter.build.sources.conversations import Conversation, Conversations, ConversationSettings
from otter.build.sources.json_stream import rows
from otter.build.sources.media_files import MediaFiles, are_small, folders_of
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


class ConversationSource:
    """Files with something in them that can be read as a conversation, as a source.

    A format says how one entry of its files is read, in :meth:`conversation`.

    Args:
        paths: the files.
        options: the fields of :attr:`options_class`.
    """

    name: ClassVar[str]
    options_class: ClassVar[Any] = Options

    def __init__(self, paths: Sequence[Path], **options: Any) -> None:
        self.options = self.options_class(**options)
        self.paths = [Path(path) for path in paths]
        folders = folders_of(self.options.images, self.options.media_root, self.paths)
        files = MediaFiles(folders, self.options.frames, self.options.fps)
        self._conversations = Conversations(self._read, files, self.settings())

    def settings(self) -> ConversationSettings:
        """How conversations become records."""
        own = self.options
        return ConversationSettings(own.task, own.split, own.language, own.system, own.repeat_media)

    def conversation(self, path: Path, where: str, value: Any) -> Conversation | Problem:
        """One entry of a file as a conversation, or what is wrong with it."""
        raise NotImplementedError(f"{type(self).__name__} does not say how an entry is read")

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
                yield found if isinstance(found, Problem) else self.conversation(path, *found)
