"""The manifest of a store: what the folder holds, in a file that a person can read.

    {"format": "otter-store", "version": 2, "records": 5, "images": 4, "videos": 0,
     "tasks": [{"task": "cats", "split": "train", "records": 5}],
     "files": {"records.arrow": {"bytes": 3240, "sha256": "..."}, ...}}

It names every file, so a store changes at the instant in which its manifest is replaced: before,
readers see all of the old, and after, all of the new. What was appended stands in further parts of
the same tables, such as ``records-1.arrow``.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from otter.data.arrow import ALIASES, IMAGES, RECORDS, VIDEOS
from otter.data.records import DataError, Problem, Problems

FORMAT = "otter-store"
VERSION = 2
READABLE = (1, 2)
"""Version 1 had no videos and no further parts; it is read like any other."""

MANIFEST = "manifest.json"
TABLES = (RECORDS, IMAGES, ALIASES, VIDEOS)

_COPY_AGAIN = "Copy the store again or build it again."
_CHANGED = "The manifest was changed: copy the store again or build it again."


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a store, after checking that the folder is one and that its files are whole.

    Raises:
        DataError: listing everything that is missing or cut short.
    """
    manifest = _read_json(folder)
    path = folder / MANIFEST
    problems = Problems()
    for table in (RECORDS, IMAGES, ALIASES):
        if not parts_of(manifest, table):
            problems.add(Problem(str(path), "files", "missing", f"an entry for {table}", _CHANGED))
    for name, entry in _files(manifest).items():
        if table_of(name) is None:
            expected = "files named like records.arrow or records-1.arrow"
            problems.add(Problem(str(path), "files", repr(name), expected, _CHANGED))
            continue
        size = _size(folder / name)
        bytes_expected = entry.get("bytes") if isinstance(entry, dict) else None
        if not isinstance(bytes_expected, int):
            value = repr(bytes_expected)
            problems.add(Problem(str(path), f"files.{name}.bytes", value, "a number", _CHANGED))
        elif size != f"{bytes_expected:,} bytes":
            whole = f"{bytes_expected:,} bytes ({MANIFEST})"
            problems.add(Problem(str(folder / name), "", size, whole, _COPY_AGAIN))
    problems.raise_if_any()
    return manifest


def _read_json(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        next_step = "Check the path, or write a store there with otter.data.StoreWriter."
        raise DataError(
            [Problem(str(folder), "", "no such folder", "the folder of a store", next_step)]
        )
    path = folder / MANIFEST
    if not path.is_file():
        next_step = "Give the folder of a finished store; an interrupted build leaves none."
        raise DataError([Problem(str(folder), "", f"no {MANIFEST}", "a store", next_step)])
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError([Problem(str(path), "", str(error), "JSON", _COPY_AGAIN)]) from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        value = repr(manifest.get("format") if isinstance(manifest, dict) else manifest)[:80]
        next_step = "This is the manifest of something else: give the folder of a store."
        raise DataError([Problem(str(path), "format", value, repr(FORMAT), next_step)])
    if manifest.get("version") not in READABLE:
        value = repr(manifest.get("version"))
        next_step = "Build the store again, or install the version of Otter that wrote it."
        expected = " or ".join(map(str, READABLE))
        raise DataError([Problem(str(path), "version", value, expected, next_step)])
    return manifest


def _files(manifest: dict[str, Any]) -> dict[str, Any]:
    files = manifest.get("files")
    return files if isinstance(files, dict) else {}


def _size(file: Path) -> str:
    return f"{file.stat().st_size:,} bytes" if file.is_file() else "missing"


def table_of(name: str) -> str | None:
    """The table that a file is a part of: ``records.arrow`` for ``records-1.arrow``."""
    # Anything else, a path above all, would be read or removed in the name of the store.
    match = re.fullmatch(r"([a-z]+)(?:-\d+)?\.arrow", name)
    table = f"{match.group(1)}.arrow" if match else ""
    return table if table in TABLES else None


def parts_of(manifest: dict[str, Any], table: str) -> list[str]:
    """The files of a table, in the order of their rows."""
    return [name for name in _files(manifest) if table_of(name) == table]


def file_entry(file: Path) -> dict[str, Any]:
    """What a manifest says of a file."""
    return {"bytes": file.stat().st_size, "sha256": file_checksum(file)}


def file_checksum(path: Path) -> str:
    """The SHA-256 of a file, as hexadecimal text."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def new_manifest(
    counts: dict[str, int], tasks: list[dict[str, Any]], files: dict[str, Any], **more: Any
) -> dict[str, Any]:
    """A manifest, its files table by table."""
    ordered = {name: files[name] for table in TABLES for name in files if table_of(name) == table}
    return {
        "format": FORMAT,
        "version": VERSION,
        **counts,
        "tasks": tasks,
        **{key: value for key, value in more.items() if value is not None},
        "files": ordered,
    }


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Puts a manifest into a folder, on the disk, in one step."""
    text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
    replace_file(folder / MANIFEST, text.encode())


def replace_file(path: Path, data: bytes) -> None:
    """Writes a file so that after any interruption there is the old one or the new one, whole."""
    fresh = path.with_name(f".{path.name}.new")
    with fresh.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def count_tasks(batches: Iterable[pa.RecordBatch]) -> list[dict[str, Any]]:
    """How many records each task has in each split, sorted by name."""
    counted: dict[tuple[str, str], int] = {}
    for batch in batches:
        table = pa.table({name: batch.column(name) for name in ("task", "split")})
        groups = table.group_by(["task", "split"]).aggregate([([], "count_all")])
        for group in groups.to_pylist():
            key = group["task"], group["split"]
            counted[key] = counted.get(key, 0) + group["count_all"]
    return [
        {"task": task, "split": split, "records": count}
        for (task, split), count in sorted(counted.items())
    ]


def add_tasks(*tables: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The sum of several tables that :func:`count_tasks` made."""
    counted: dict[tuple[str, str], int] = {}
    for group in (group for table in tables for group in table):
        key = group["task"], group["split"]
        counted[key] = counted.get(key, 0) + group["records"]
    return [
        {"task": task, "split": split, "records": count}
        for (task, split), count in sorted(counted.items())
    ]
