"""The files of an export: texts by split and task, and pictures under names that others can use."""

import json
from collections import Counter, OrderedDict
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO
from urllib.parse import quote

from otter.data import Store
from otter.media import is_video_file

UNNAMED = "data"
"""The name of the file for records without a task."""

_OPEN_FILES = 64
_SUFFIXES = {
    b"\x89PNG": ".png",
    b"\xff\xd8\xff": ".jpg",
    b"RIFF": ".webp",
    b"GIF8": ".gif",
    b"BM": ".bmp",
}
_KNOWN_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp")
_SAFE = " !#$&'()+,;=@[]^_`{}~-."


class TextFiles:
    """JSON files that entries are added to, each opened again where too many are open.

    Args:
        folder: below which they stand.
        start: what a file begins with.
        between: what stands between two entries.
        end: what a file ends with.
    """

    def __init__(self, folder: Path, start: str, between: str, end: str) -> None:
        self.folder, self.start, self.between, self.end = folder, start, between, end
        self.names: list[str] = []
        self._open: OrderedDict[str, TextIO] = OrderedDict()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for file in self._open.values():
            file.close()
        self._open.clear()
        for name in self.names if error is None else ():
            with (self.folder / name).open("a", encoding="utf-8") as file:
                file.write(self.end)

    def add(self, name: str, entry: str) -> None:
        """Adds an entry to a file."""
        is_new = name not in self._open and name not in self.names
        file = self._file(name, is_new=is_new)
        file.write((self.start if is_new else self.between) + entry)

    def _file(self, name: str, *, is_new: bool) -> TextIO:
        if name in self._open:
            self._open.move_to_end(name)
            return self._open[name]
        if len(self._open) == _OPEN_FILES:
            self._open.popitem(last=False)[1].close()
        if is_new:
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            self.names.append(name)
        file = self._open[name] = (self.folder / name).open("a", encoding="utf-8")
        return file


class MediaFolder:
    """Pictures as files, each written when it is first named.

    Args:
        store: where they are.
        folder: where they go.
        lost: where renamed pictures are counted.
    """

    def __init__(self, store: Store, folder: Path, lost: Counter[str]) -> None:
        self.store, self.folder, self.lost = store, folder, lost
        self._names: dict[int, str] = {}

    @property
    def count(self) -> int:
        """How many pictures were written."""
        return len(self._names)

    def name(self, row: int) -> str:
        """The path of a picture below the folder: its id, with a suffix where that has none."""
        if row not in self._names:
            data, image_id = self.store.image_bytes(row), self.store.image_id(row)
            name = file_name(image_id)
            if not name.lower().endswith(_KNOWN_SUFFIXES) or is_video_file(name):
                name += next(
                    (s for start, s in _SUFFIXES.items() if data.startswith(start)), ".png"
                )
            path = self.folder / name
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("xb") as file:
                    file.write(data)
            except (FileExistsError, NotADirectoryError, IsADirectoryError):
                # Another picture's name is this one's folder, or differs in its case alone.
                name = f"{quote(image_id, safe='')}~{row}{Path(name).suffix}"
                (self.folder / name).write_bytes(data)
            if name != image_id:
                self.lost["pictures get the name of their file as id"] += 1
            self._names[row] = name
        return self._names[row]

    def video(self, row: int) -> str:
        """The path or address of a video, which stays where it is."""
        video = self.store.video(row)
        path = (
            video.path if "://" in video.path else str((self.store.folder / video.path).resolve())
        )
        if path != video.id:
            self.lost["videos get their path as id"] += 1
        if video.start is not None or video.end is not None:
            self.lost["a stretch of a video becomes the whole video"] += 1
        return path


def file_name(name: str) -> str:
    """A name as a relative path that every file system takes; safe names stay as they are."""
    parts = [
        quote(part, safe=_SAFE) if part.isascii() else _quoted(part) for part in name.split("/")
    ]
    parts = [part.replace(".", "%2E") if part in (".", "..") else part for part in parts]
    if "" in parts or any(len(part.encode()) > 200 for part in parts):
        return quote(name, safe="")[:200]
    return "/".join(parts)


def _quoted(part: str) -> str:
    """Letters of all scripts stay; what file systems refuse is written as %XX."""
    return "".join(
        c if c.isprintable() and c not in '\\:*?"<>|%' else quote(c, safe="") for c in part
    )


def to_json(value: Any) -> str:
    """JSON on one line, with the letters of all scripts as they are."""
    return json.dumps(value, ensure_ascii=False)
