"""Finding annotation files, pictures and videos in the folders in which a dataset is distributed.

What is not there is still given a path, the one where it was expected: the import lists it among
the broken media instead of ending.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from otter.build.sources import PictureItem
from otter.data.records import DataError, Problem, is_name
from otter.media import is_video_file

PICTURE_SUFFIXES = (".jpg", ".png", ".jpeg", ".gif", ".webp", ".bmp")
_SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


def is_picture(path: Path) -> bool:
    """Whether a file is a picture, judged by its suffix, in small or capital letters."""
    return path.suffix.lower() in PICTURE_SUFFIXES


def is_file_name(text: str) -> bool:
    """Whether a file could have this name: nothing leads out of the folder that it is put in."""
    return is_name(text) and not re.search(r"[/\\\0]", text) and text not in (".", "..")


def annotation_files(paths: Sequence[Path], patterns: Sequence[str], what: str) -> list[Path]:
    """The annotation files among the paths; of a folder, those in it or up to two levels below.

    Args:
        paths: files, which are taken as they are, and folders, which are searched.
        patterns: what the files are called, such as ``train.json``.
        what: names them in the message.

    Raises:
        DataError: there is none.
    """
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        for above in ("", "*/", "*/*/"):
            matches = [match for name in patterns for match in sorted(path.glob(above + name))]
            found += [match for match in matches if match.is_file()]
    if not found:
        value = ", ".join(map(str, paths)) or "nothing"
        step = f"Name the file, or a folder with {' or '.join(patterns)} in it."
        raise DataError([Problem("the command", "SRC", value, what, step)])
    return list(dict.fromkeys(found))


def media_folders(images: Sequence[Path], paths: Sequence[Path]) -> list[Path]:
    """The folders to search for media: those that ``--images`` names, else those of the paths."""
    chosen = list(images) or [path if path.is_dir() else path.parent for path in paths]
    return list(dict.fromkeys(chosen))


def with_parts(folders: Sequence[Path], parts: Sequence[str]) -> list[Path]:
    """The folders, and before them those of their subfolders that there are."""
    below = [folder / part for folder in folders for part in parts]
    return [*(folder for folder in below if folder.is_dir()), *folders]


def first_file(folders: Sequence[Path], names: Sequence[str]) -> Path:
    """The first of several names that is a file in one of the folders.

    Where there is none, the first name in the first folder, which is where it was expected.
    """
    for folder in folders:
        for name in names:
            if os.path.isfile(folder / name):  # a name of any kind is no error to it
                return folder / name
    return folders[0] / names[0]


def split_of(path: Path, default: str = "train") -> str:
    """The split that a file name speaks of: "val" for ``val_1.json``, "train" for ``train2014``."""
    for word in re.findall(r"[a-z]+", path.name.lower()):
        if word in _SPLITS:
            return _SPLITS[word]
    return default


class FilesByStem:
    """The files below some folders by name without suffix; the folders are listed at first use.

    Args:
        folders: searched with all that is below them, the first ones first.
        wanted: which files count.
        suffix: of a file that is not there.
    """

    def __init__(self, folders: Sequence[Path], wanted: Callable[[Path], bool], suffix: str):
        self.folders, self.wanted, self.suffix = list(folders), wanted, suffix
        self._files: dict[str, str] | None = None

    def __contains__(self, stem: str) -> bool:
        return stem in self._listed()

    def find(self, stem: str) -> Path:
        """The file of a stem, or the path where it was expected."""
        found = self._listed().get(stem)
        return self.folders[0] / f"{stem}{self.suffix}" if found is None else Path(found)

    def _listed(self) -> dict[str, str]:
        if self._files is None:
            self._files = {}
            for folder in self.folders:
                for above, below, names in os.walk(folder, followlinks=True):
                    below.sort()
                    for name in sorted(names):
                        path = Path(above, name)
                        if self.wanted(path):
                            self._files.setdefault(path.stem, str(path))
        return self._files


def videos_in(folders: Sequence[Path]) -> FilesByStem:
    """The video files below some folders."""
    return FilesByStem(folders, is_video_file, ".mp4")


def pictures_in(folder: Path) -> list[Path]:
    """The pictures directly in a folder, in the order of the numbers in their names.

    ``9.jpg`` comes before ``10.jpg``; an empty list where there is no such folder.
    """
    try:
        found = [Path(item.path) for item in os.scandir(folder) if item.is_file()]
    except (OSError, ValueError):  # a name that no file can have is a ValueError
        return []
    return sorted(filter(is_picture, found), key=lambda path: natural_key(path.name))


def natural_key(name: str) -> list[tuple[int, str]]:
    """A sorting key by which numbers within names count as numbers."""
    parts = re.findall(r"\d+|\D+", name)
    return [(int(part[:18]), part) if part.isdecimal() else (-1, part) for part in parts]


def distinct_pictures(
    image_ids: Iterable[str | Problem], item_of: Callable[[str], PictureItem | None]
) -> Iterator[PictureItem]:
    """The picture of each id, once, in the order of first use; problems are left to the records."""
    seen: set[str] = set()
    for image_id in image_ids:
        if isinstance(image_id, Problem) or image_id in seen:
            continue
        seen.add(image_id)
        item = item_of(image_id)
        if item is not None:
            yield item


def spread(ids: Sequence[str], most: int) -> tuple[str, ...]:
    """At most so many of the ids, evenly from the first to the last; 0 keeps them all.

    ``spread("abcdefg", 3)`` is ``("a", "d", "g")``.
    """
    if not most or len(ids) <= most:
        return tuple(ids)
    if most == 1:
        return (ids[len(ids) // 2],)
    return tuple(ids[round(step * (len(ids) - 1) / (most - 1))] for step in range(most))
