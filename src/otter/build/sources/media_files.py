"""Pictures and videos as records name them: a path below some folder, or the contents themselves.

A name keeps being the id of the picture in the store, so that what a record said can be found
there again; the contents in a ``data:`` address get a short id of their own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from otter.build.sources import ClipFrames, PictureFile, PictureItem, VideoReference
from otter.build.sources.base64_text import content_id, picture_of
from otter.data.records import DataError, Problem
from otter.media import is_video_file

WEB = ("http://", "https://")
QUICKLY_READ = 2**30


@dataclass(frozen=True, slots=True)
class Named:
    """A picture or video as a record names it.

    Args:
        id: in the store; a path as it was written, or the id of a ``data:`` address.
        is_video: whether it is a video.
        address: the ``data:`` address, or the base64 text, where the contents are at hand.
    """

    id: str
    is_video: bool = False
    address: str | bytes = ""


def name_media(value: Any, *, is_video: bool = False) -> Named | None:
    """What a field says: a path, an address, or an object with either; None for anything else.

    >>> name_media({"url": "cat.png"})
    Named(id='cat.png', is_video=False, address='')
    """
    if isinstance(value, Mapping):
        if isinstance(value.get("bytes"), bytes):
            return Named(_id_of(value["bytes"]), False, value["bytes"])
        for key in ("url", "path", "image", "video", "file", "file_name", "filename"):
            if isinstance(value.get(key), str | Mapping) and value[key]:
                return name_media(value[key], is_video=is_video or key == "video")
        for key in ("base64", "bytes", "data"):
            if isinstance(value.get(key), str | bytes) and value[key]:
                return Named(_id_of(value[key]), False, value[key])
        return None
    if not isinstance(value, str) or not value.strip():
        return None
    if value.startswith("data:"):
        return Named(_id_of(value), False, value)
    if value.startswith("file://"):
        value = unquote(urlsplit(value).path)
    return Named(value, is_video or is_video_file(value))


def _id_of(contents: str | bytes) -> str:
    return content_id(
        contents if isinstance(contents, bytes) else contents.encode(errors="replace")
    )


class MediaFiles:
    """Finds what records name.

    Args:
        folders: searched in their order.
        frames: decode so many frames of a video, evenly spread; None to refer to videos only.
        fps: decode so many frames for each second of it.

    Raises:
        DataError: one of the two is not above 0.
    """

    def __init__(
        self, folders: Sequence[Path], frames: int | None = None, fps: float | None = None
    ) -> None:
        for name, value in (("frames", frames), ("fps", fps)):
            if value is not None and not value > 0:
                step = f"Correct --option {name}."
                raise DataError([Problem("the command", name, str(value), "more than 0", step)])
        self.folders = tuple(dict.fromkeys(folders))
        self.frames = frames
        self.fps = fps
        self.missing: set[str] = set()
        self._seen: set[str] = set()

    def restart(self) -> None:
        """Forgets what was seen, before the records are gone through from the start."""
        self._seen.clear()
        self.missing.clear()

    def item(self, named: Named, where: str) -> PictureItem | None:
        """The picture to import; None when it was seen before, or is not there."""
        if named.id in self._seen:
            return None
        self._seen.add(named.id)
        if named.address:
            return picture_of(named.id, named.address, where)
        path = self.find(named.id)
        if path is None:
            self.missing.add(named.id)
            return None
        if not named.is_video:
            return PictureFile(named.id, path)
        if self.frames is None and self.fps is None:
            return VideoReference(named.id, path)
        return ClipFrames(named.id, path, self.fps, self.frames)

    def find(self, name: str) -> Path | None:
        """The file of a name: below a folder, or where the name alone leads.

        Of a web address, a file that somebody downloaded: the last part of the address.
        """
        if name.startswith(WEB):
            name = PurePosixPath(unquote(urlsplit(name).path)).name
        if not name or "\0" in name:
            return None
        for folder in self.folders:
            try:
                if (folder / name).is_file():
                    return folder / name
            except OSError:  # such as a name that is too long
                return None
        return None

    def problem(self, named: Named, where: str, field: str, record: str) -> Problem | None:
        """What is wrong where a record names media that are not there."""
        if named.id not in self.missing:
            return None
        if named.id.startswith(WEB):
            expected = "a file: network addresses are not opened"
            step = "Download it, and name the folder with --images."
        else:
            expected = f"a file below {', '.join(map(str, self.folders))}"
            step = "Name the folder with --images, or leave such records out with --keep-going."
        shown = named.id if len(named.id) <= 120 else f"{named.id[:117]}..."
        return Problem(where, field, repr(shown), expected, step, record)


def folders_of(
    images: Sequence[Path], media_root: Path | None, paths: Sequence[Path]
) -> list[Path]:
    """Where to look: the folders of the options, else beside the files themselves."""
    chosen = [*images, *([media_root] if media_root else [])]
    return chosen or [path if path.is_dir() else path.parent for path in paths]


def are_small(paths: Sequence[Path]) -> bool:
    """Whether the files can be read once more just to count what is in them."""
    return sum(path.stat().st_size for path in paths if path.is_file()) <= QUICKLY_READ
