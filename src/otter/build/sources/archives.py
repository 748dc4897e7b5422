"""Tar archives, member by member, and names with braces for many of them.

``shards-{000..002}.tar`` stands for three files, ``*.tar`` for those that there are, and a folder
for the archives in it.
"""

import glob
import itertools
import lzma
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from otter.data.records import DataError, Problem

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
MOST_FILES = 100_000
_EXPECTED = "a tar archive to its end"
_STEP = "Get the archive again; keep_going (--keep-going) keeps what stands before."


@dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive.

    Args:
        archive: its path.
        key: the name up to the first dot of its last part, ``a/0001`` of ``a/0001.seg.png``.
        suffix: the rest in small letters, ``seg.png``.
        data: its contents; empty where they were not wanted.
    """

    archive: Path
    key: str
    suffix: str
    data: bytes


def expand(paths: Sequence[Path], suffixes: Sequence[str]) -> list[Path]:
    """The files that paths with braces, stars and folders stand for.

    Args:
        paths: as they were written.
        suffixes: of the files that count in a folder.

    Raises:
        DataError: one of them stands for nothing, or for more than a hundred thousand files.
    """
    found: list[Path] = []
    for path in paths:
        matches: list[Path] = []
        for name in _without_braces(str(path)):
            if glob.has_magic(name) and not Path(name).exists():
                matches += [Path(match) for match in sorted(glob.glob(name))]
            elif Path(name).is_dir():
                inside = sorted(file for file in Path(name).rglob("*") if file.is_file())
                matches += [file for file in inside if file.name.endswith(tuple(suffixes))]
            else:
                matches.append(Path(name))
        if not matches:
            expected = f"files {', '.join(suffixes)}"
            raise DataError([Problem("the command", "SRC", str(path), expected, "Check the path.")])
        found += matches
    return list(dict.fromkeys(found))


def _without_braces(name: str) -> list[str]:
    """Each name that a name with braces stands for, as a shell would write them."""
    pieces = _BRACES.split(name)
    choices: list[list[str]] = []
    for index, piece in enumerate(pieces):
        span = _RANGE.fullmatch(piece) if index % 2 else None
        if span:
            low, high = int(span[1]), int(span[2])
            if abs(high - low) >= MOST_FILES:
                expected = f"at most {MOST_FILES:,} files"
                raise DataError([Problem("the command", "SRC", name, expected, "Name fewer.")])
            width = len(span[1]) if span[1].startswith("0") or len(span[1]) == len(span[2]) else 0
            step = 1 if low <= high else -1
            choices.append([f"{n:0{width}d}" for n in range(low, high + step, step)])
        else:
            choices.append(piece.split(",") if index % 2 else [piece])
    return ["".join(parts) for parts in itertools.product(*choices)]


def members(path: Path, is_wanted: Callable[[str], bool]) -> Iterator[Member | Problem]:
    """The files in a tar archive, in order; a Problem at the end where it is damaged.

    Args:
        path: a tar file, compressed or not.
        is_wanted: told a suffix, whether the contents are wanted.
    """
    try:
        with tarfile.open(path, "r:*") as archive:
            while True:
                entry = archive.next()
                if entry is None:
                    # The library takes a header that is cut off for the end.
                    if not _has_end(archive):
                        yield Problem(str(path), "", "no mark of its end", _EXPECTED, _STEP)
                    break
                archive.members = []  # type: ignore[attr-defined] # it would keep every one
                if not entry.isreg():
                    continue
                folder, slash, name = entry.name.rpartition("/")
                stem, _, suffix = name.partition(".")
                suffix = suffix.lower()
                data = b""
                if is_wanted(suffix):
                    file = archive.extractfile(entry)
                    data = file.read() if file else b""
                yield Member(path, f"{folder}{slash}{stem}", suffix, data)
    except (tarfile.TarError, OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
        # One line of it: the library lists every compression that it has tried.
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        yield Problem(str(path), "", reason, _EXPECTED, _STEP)


def _has_end(archive: tarfile.TarFile) -> bool:
    """Whether a block of zeros stands where the last file ends, as in every whole archive."""
    file: Any = archive.fileobj
    file.seek(archive.offset)
    return bool(file.read(tarfile.BLOCKSIZE) == bytes(tarfile.BLOCKSIZE))
