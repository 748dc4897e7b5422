"""Videos that a store refers to: where the file is, which stretch of it, and its frames.

A store holds pictures but only names videos. The path of a video that was given relative is kept
relative to the store, so a folder that holds both can be moved as a whole:

    data/
      store/          videos.arrow says ../clips/cat.mp4
      clips/cat.mp4
"""

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from otter.data.manifest import file_checksum
from otter.data.records import DataError, Problem

RELATIVE, ABSOLUTE, ADDRESS = "relative", "absolute", "address"


@dataclass(frozen=True, slots=True)
class VideoReference:
    """A stretch of a video file.

    Args:
        id: what records call it.
        kind: "relative" (to the folder of the store), "absolute", or "address" of the network.
        path: the path or address.
        start: seconds from the beginning of the video; None for its beginning.
        end: seconds from the beginning of the video; None for its end.
        sha256: checksum of the file in hexadecimal, where it was noted.
    """

    id: str
    kind: str
    path: str
    start: float | None = None
    end: float | None = None
    sha256: str | None = None

    def located(self, folder: Path) -> Path:
        """The file, seen from a store in ``folder``.

        Raises:
            DataError: the video is an address of the network.
        """
        if self.kind == ADDRESS:
            next_step = "Download it, and add the video again with the path of the file."
            raise DataError([self.problem(folder, "a file: no address is opened", next_step)])
        return folder / self.path

    def problem(self, folder: Path, expected: str, next_step: str) -> Problem:
        """A problem with the path of this video."""
        return Problem(str(folder), "path", self.path, expected, next_step, f"video {self.id!r}")

    def moved(self, old: Path, new: Path) -> "VideoReference":
        """The same file seen from a store in another folder."""
        if self.kind != RELATIVE or old == new:
            return self
        path = os.path.relpath(old / self.path, new)
        return VideoReference(self.id, self.kind, path, self.start, self.end, self.sha256)


def reference(
    folder: Path,
    video_id: str,
    path: Path | str,
    start: float | None = None,
    end: float | None = None,
    *,
    checksum: bool = False,
) -> VideoReference:
    """A reference from a store in ``folder`` to a file, or to an address.

    Args:
        folder: where the store stands or shall stand.
        video_id: what records call the video.
        path: relative to the working directory, absolute, or an address with ``://``.
        start: seconds; None for the beginning.
        end: seconds; None for the end.
        checksum: read the whole file to note its SHA-256.
    """
    if "://" in str(path):
        return VideoReference(video_id, ADDRESS, str(path), start, end)
    digest = file_checksum(Path(path)) if checksum else None
    if Path(path).is_absolute():
        return VideoReference(video_id, ABSOLUTE, str(path), start, end, digest)
    # The store may stand behind a link, so both ends are taken as they are really placed.
    relative = os.path.relpath(Path(path).resolve(), folder.resolve())
    return VideoReference(video_id, RELATIVE, relative, start, end, digest)


def check_stretch(start: Any, end: Any) -> str | None:
    """What is wrong with the seconds of a stretch; None where nothing is."""
    for name, value in (("start", start), ("end", end)):
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            return f"{name} = {value!r}"
        if not (math.isfinite(value) and value >= 0):
            return f"{name} = {value!r}"
    if start is not None and end is not None and end <= start:
        return f"start = {start!r}, end = {end!r}"
    return None


def decode(video: VideoReference, folder: Path, frames: int) -> list[Any]:
    """Evenly spread RGB pictures of a video's stretch.

    Raises:
        DataError: the file is not where it was, is an address, or cannot be decoded.
        ImportError: PyAV, the extra ``video``, is not installed.
    """
    from otter.media import MediaError, open_clip

    file = video.located(folder)
    if not file.is_file():
        raise DataError([_missing(video, folder)])
    try:
        return open_clip(file, frames, start=video.start, end=video.end)
    except MediaError as error:
        next_step = "Replace the file, or leave out the records that name the video."
        problem = Problem(str(folder), "", str(error), "a video", next_step, f"video {video.id!r}")
        raise DataError([problem]) from error


def find_changes(videos: Iterable[VideoReference], folder: Path) -> Iterable[Problem]:
    """The videos whose file is missing or no longer what it was; addresses are passed over."""
    for video in videos:
        if video.kind == ADDRESS:
            continue
        file = video.located(folder)
        if not file.is_file():
            yield _missing(video, folder)
        elif video.sha256 is not None and file_checksum(file) != video.sha256:
            next_step = "The file was changed: put the old one back, or add the video again."
            yield video.problem(folder, f"a file with the SHA-256 {video.sha256}", next_step)


def _missing(video: VideoReference, folder: Path) -> Problem:
    if video.kind == RELATIVE:
        expected = f"a file at {os.path.normpath(folder / video.path)}"
        next_step = "The path is relative to the store: move the videos along with it."
    else:
        expected = "a file there"
        next_step = "Put the video back, or build the store again with the path it has now."
    return video.problem(folder, expected, next_step)
