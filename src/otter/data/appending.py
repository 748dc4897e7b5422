"""Changing a store that is there: what a writer has to know of it, and how its files are exchanged.

New files get new names, then the manifest is replaced, then files that it no longer names are
removed. Whatever interrupts this leaves the old store or the new one.
"""

import json
import os
import re
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa

from otter.data.arrow import IMAGES, RECORDS, VIDEOS
from otter.data.manifest import (
    MANIFEST,
    TABLES,
    add_tasks,
    file_entry,
    new_manifest,
    parts_of,
    table_of,
    write_manifest,
)
from otter.data.publishing import locked
from otter.data.store import Store

STANDARD_KEYS = ("format", "version", "records", "images", "videos", "tasks", "files")


class Base:
    """The store that a writer appends to.

    Args:
        folder: where it is.
        locks: keeps other writers away until these are released.

    Raises:
        BlockingIOError: another process writes there.
        DataError: the folder is not a store.
    """

    def __init__(self, folder: Path, locks: ExitStack) -> None:
        Store(folder)  # says better than a lock that there is no such folder
        locks.enter_context(locked(folder))
        self.store = Store(folder)
        self.before = (folder / MANIFEST).read_bytes()
        names, codes = self.store.media_ids()
        self.names: dict[str, int] = dict(zip(names.to_pylist(), codes.tolist(), strict=True))
        self.images: dict[bytes, int] = {
            digest: row for row, digest in enumerate(self.store.image_hashes().to_pylist())
        }
        self.videos: dict[str, tuple[Any, ...]] = {}
        for row in range(self.store.video_count):
            video = self.store.video(row)
            self.videos[video.id] = (video.path, video.start, video.end)

    def columns(self, *names: str) -> list[list[pa.Array]]:
        """Columns of the records, in chunks."""
        return [self.store.column(name).chunks for name in names]

    def record_ids(self) -> list[str]:
        """The ids of the records."""
        ids: list[str] = self.store.column("id").to_pylist()
        return ids


def install_parts(
    base: Base, partial: Path, counts: dict[str, int], tasks: list[dict[str, Any]]
) -> None:
    """Makes freshly written tables further parts of a store.

    Args:
        base: the store.
        partial: a folder with new rows of the tables.
        counts: how many new rows there are.
        tasks: the table of tasks of the new records.
    """
    folder, manifest = base.store.folder, base.store.manifest
    rows = {RECORDS: counts["records"], IMAGES: counts["images"], VIDEOS: counts["videos"]}
    files = dict(manifest["files"])
    for table in TABLES:
        if rows.get(table, 1):
            name = move_in(partial / table, folder, table)
            files[name] = file_entry(folder / name)
    totals = {key: manifest.get(key, 0) + counts[key] for key in counts}
    change_files(folder, base.before, totals, add_tasks(manifest["tasks"], tasks), files)


def move_in(file: Path, folder: Path, table: str) -> str:
    """Moves a file into a store under a name that no part of the table has, and returns that."""
    stem = table.removesuffix(".arrow")
    numbers = [
        int(match.group(1) or 0)
        for match in (re.fullmatch(rf"{stem}(?:-(\d+))?\.arrow", p.name) for p in folder.iterdir())
        if match
    ]
    name = f"{stem}-{max(numbers, default=0) + 1}.arrow"
    with file.open("rb") as written:
        os.fsync(written.fileno())  # the manifest must not be on the disk before what it names
    file.rename(folder / name)
    return name


def change_files(
    folder: Path,
    before: bytes,
    counts: dict[str, int],
    tasks: list[dict[str, Any]],
    files: dict[str, Any],
    **more: Any,
) -> None:
    """Replaces the manifest of a store, then removes the files that it no longer names.

    Args:
        folder: the store, locked.
        before: the manifest as it was read.
        counts: how many records, images and videos there are now.
        tasks: the table of tasks.
        files: the entries of all files.
        more: further entries; those of the old manifest stay.

    Raises:
        FileExistsError: the store was replaced in the meantime.
    """
    if (folder / MANIFEST).read_bytes() != before:
        raise FileExistsError(
            f"{folder}: was replaced while it was being changed: nothing was written, begin again"
        )
    old = json.loads(before)
    kept = {key: value for key, value in old.items() if key not in STANDARD_KEYS}
    write_manifest(folder, new_manifest(counts, tasks, files, **{**kept, **more}))
    for file in folder.iterdir():
        if table_of(file.name) is not None and file.name not in files:
            file.unlink()


def parts_entries(manifest: dict[str, Any], *tables: str) -> dict[str, Any]:
    """The entries of the files of some tables."""
    return {name: manifest["files"][name] for table in tables for name in parts_of(manifest, table)}
