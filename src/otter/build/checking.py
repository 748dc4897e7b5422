"""Is a store fit for use? Every rule of ``checking_rules``, over millions of records in minutes.

    result = check_store("store", decode="all")
    result.ok, [broken.rule.title for broken in result.problems]

Records are read as columns, so that memory does not grow with the store but for some 30 bytes of
each record.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from otter.build import checking_rules as rules
from otter.build.checking_findings import Broken, Findings
from otter.build.checking_pictures import (
    SAMPLE,
    check_picture_columns,
    check_videos,
    decode_pictures,
    picture_name,
)
from otter.build.checking_records import RecordChecks
from otter.data import DataError
from otter.data.arrow import (
    ALIAS_SCHEMA,
    ALIASES,
    IMAGE_SCHEMA,
    IMAGES,
    RECORD_SCHEMA,
    RECORDS,
    VIDEO_SCHEMA,
    VIDEOS,
)
from otter.data.manifest import MANIFEST, file_checksum, parts_of, read_manifest
from otter.data.table import ArrowFile, ArrowTable

Decode = Literal["all", "sample", "none"]
OnProgress = Callable[[str, int, int], None]

_SCHEMAS = {
    RECORDS: RECORD_SCHEMA,
    IMAGES: IMAGE_SCHEMA,
    ALIASES: ALIAS_SCHEMA,
    VIDEOS: VIDEO_SCHEMA,
}


@dataclass(frozen=True)
class CheckResult:
    """What a check found.

    Args:
        folder: of the store.
        records: how many there are.
        images: how many distinct pictures.
        videos: how many videos it refers to.
        decoded: how many pictures were decoded.
        problems: rules that the store breaks so that it is unfit for use.
        remarks: rules that it breaks so that a person should look.
        seconds: how long the check took.
    """

    folder: Path
    records: int
    images: int
    videos: int
    decoded: int
    problems: list[Broken]
    remarks: list[Broken]
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether there is no problem."""
        return not self.problems

    def to_json(self) -> dict[str, Any]:
        """For the program that reads it."""
        return {
            "store": str(self.folder),
            "ok": self.ok,
            "records": self.records,
            "images": self.images,
            "videos": self.videos,
            "images_decoded": self.decoded,
            "seconds": round(self.seconds, 2),
            "problems": [broken.to_json() for broken in self.problems],
            "remarks": [broken.to_json() for broken in self.remarks],
        }


def check_store(
    folder: Path | str,
    *,
    decode: Decode = "sample",
    workers: int | None = None,
    on_progress: OnProgress | None = None,
) -> CheckResult:
    """Checks a store; what is wrong comes back in the result.

    Args:
        folder: of the store.
        decode: which pictures are decoded: all, an even sample of 4,096, or none.
        workers: processes that decode; one for each processor by default.
        on_progress: told (what is done, how much is done, of how much) now and then.

    Raises:
        DataError: the folder is no store at all.
    """
    begin = time.perf_counter()
    folder = Path(folder).absolute()
    if not (folder / MANIFEST).is_file():
        read_manifest(folder)  # says what is missing
    check = _Check(folder, workers or os.cpu_count() or 1, on_progress or (lambda *_: None))
    check.run(decode)
    return CheckResult(
        folder,
        check.length(RECORDS),
        check.length(IMAGES),
        check.length(VIDEOS),
        check.decoded,
        check.findings.broken(problems=True),
        check.findings.broken(problems=False),
        time.perf_counter() - begin,
    )


class _Check:
    """The steps of a check, each of which goes as far as the damage lets it."""

    def __init__(self, folder: Path, workers: int, on_progress: OnProgress) -> None:
        self.folder, self.workers, self.on_progress = folder, workers, on_progress
        self.findings = Findings()
        self.decoded = 0
        self.manifest = self._manifest()
        self.tables = {name: table for name in _SCHEMAS if (table := self._open(name))}

    def length(self, name: str) -> int:
        return self.tables[name].length if name in self.tables else 0

    def run(self, decode: Decode) -> None:
        with ThreadPoolExecutor(1) as pool:  # reading files and hashing them leaves Python free
            checksums = pool.submit(self._changed_files)
            if IMAGES in self.tables and ALIASES in self.tables:
                check_picture_columns(self.tables[IMAGES], self.tables[ALIASES], self.findings)
            used = self._records()
            changed = self._await(checksums)
        if VIDEOS in self.tables:
            check_videos(self.folder, self.tables[VIDEOS], self.findings)
        if IMAGES in self.tables:
            is_changed = any(name in changed for name in self._parts(IMAGES))
            self._pictures(decode, used, is_changed)

    def _manifest(self) -> dict[str, Any]:
        """The manifest; what is wrong with it is noted, and as much as can be used comes back."""
        try:
            return read_manifest(self.folder)
        except DataError as error:
            for problem in error.problems:
                value = f"{problem.value} (expected {problem.expected})"
                where = Path(problem.where).name
                self.findings.note(rules.MANIFEST_UNFIT, where, value, name=problem.field)
        try:
            manifest = json.loads((self.folder / MANIFEST).read_text(encoding="utf-8"))
        except ValueError:
            return {}
        return manifest if isinstance(manifest, dict) else {}

    def _parts(self, name: str) -> list[str]:
        """The files of a table."""
        return parts_of(self.manifest, name) or [name]

    def _open(self, name: str) -> ArrowTable | None:
        """A table of the store with sound data and the right columns, else None."""
        parts = self._parts(name)
        if name == VIDEOS and not (self.folder / parts[0]).exists():
            return None
        for part in parts:
            if not self._opens(part, name):
                return None
        return ArrowTable(*(self.folder / part for part in parts), schema=_SCHEMAS[name])

    def _opens(self, part: str, name: str) -> bool:
        path = self.folder / part
        try:
            file = ArrowFile(path)
            found = ", ".join(f"{field.name}: {field.type}" for field in file.schema)
        except (DataError, OSError, ValueError, pa.ArrowException) as error:
            value = str(error.__cause__ or error) if path.exists() else "missing"
            self.findings.note(rules.FILE_UNREADABLE, part, value)
            return False
        if not file.schema.equals(_SCHEMAS[name]):
            self.findings.note(rules.COLUMNS, part, found)
            return False
        if name == RECORDS:
            return True  # its batches are validated when they are read
        batches = enumerate(file.batches)
        return all(self._is_sound(batch, part, f"part {n}") for n, batch in batches)

    def _is_sound(self, batch: pa.RecordBatch, name: str, label: str) -> bool:
        try:
            batch.validate(full=True)
        except pa.ArrowException as error:
            self.findings.note(rules.BATCH_DAMAGED, name, f"{label}: {error}")
            return False
        return True

    def _changed_files(self) -> dict[str, str]:
        """The files whose checksum is another than the manifest's, with what they have now."""
        files = self.manifest.get("files")
        changed = {}
        for name, entry in files.items() if isinstance(files, dict) else ():
            wanted = entry.get("sha256") if isinstance(entry, dict) else None
            if wanted is not None and (self.folder / name).is_file():
                found = file_checksum(self.folder / name)
                if found != wanted:
                    changed[name] = found
        return changed

    def _await(self, checksums: "Future[dict[str, str]]") -> dict[str, str]:
        self.on_progress("checksums", 0, 1)
        changed = checksums.result()
        for name, found in changed.items():
            self.findings.note(rules.CHECKSUM, name, found, name="sha256")
        self.on_progress("checksums", 1, 1)
        return changed

    def _records(self) -> npt.NDArray[np.bool_] | None:
        """Checks all records; bool[images], which pictures they show, if all could be read."""
        if RECORDS not in self.tables:
            return None
        total = self.length(RECORDS)
        checks = RecordChecks(total, self.length(IMAGES), self.length(VIDEOS), self.findings)
        sound = set()
        for batch, start in self._batches():
            end = start + batch.num_rows
            if self._is_sound(batch, RECORDS, f"rows {start:,} to {end - 1:,}"):
                checks.first(batch, start)
                sound.add(start)
            self.on_progress("records", end, 2 * total)
        checks.compare()
        for batch, start in self._batches():
            if start in sound:
                checks.second(batch, start)
            self.on_progress("records", total + start + batch.num_rows, 2 * total)
        if len(sound) < len(self.tables[RECORDS].parts):
            return None
        self._counts(checks.groups)
        return checks.used

    def _batches(self) -> Iterator[tuple[pa.RecordBatch, int]]:
        table = self.tables[RECORDS]
        for number, ((_, batch), start) in enumerate(zip(table.parts, table.starts, strict=True)):
            yield batch, start
            if number % 16 == 15:
                table.release()  # or the pages of the whole file would count as our memory

    def _counts(self, groups: dict[tuple[str, str], int]) -> None:
        """Compares the counts of the manifest with what was found."""
        for field, name in (("records", RECORDS), ("images", IMAGES), ("videos", VIDEOS)):
            said, found = self.manifest.get(field, 0), self.length(name)
            if said != found:
                value = f"{said!r}; there are {found:,}"
                self.findings.note(rules.COUNT, MANIFEST, value, name=field)
        try:
            listed = {(g["task"], g["split"]): g["records"] for g in self.manifest["tasks"]}
        except (KeyError, TypeError):
            self.findings.note(rules.COUNT, MANIFEST, "no table of tasks", name="tasks")
            return
        for group in sorted(listed.keys() | groups.keys()):
            said, found = listed.get(group, 0), groups.get(group, 0)
            if said != found:
                value = f"{said!r} of task {group[0]!r}, split {group[1]!r}; there are {found:,}"
                self.findings.note(rules.COUNT, MANIFEST, value, name="tasks")

    def _pictures(self, decode: Decode, used: npt.NDArray[np.bool_] | None, changed: bool) -> None:
        images = self.tables[IMAGES]
        if used is not None:
            unused = np.flatnonzero(~used)
            places = ((IMAGES, picture_name(images, int(row)), "", f"row {row}") for row in unused)
            self.findings.note_all(rules.UNUSED, len(unused), places)
        rows = np.arange(images.length)
        # Where the file has changed, only a look at every picture says which one.
        if decode == "none":
            return
        if decode == "sample" and not changed and len(rows) > SAMPLE:
            rows = np.unique(np.linspace(0, len(rows) - 1, SAMPLE).astype(np.int64))
        self.decoded = len(rows)
        decode_pictures(
            images,
            [self.folder / part for part in self._parts(IMAGES)],
            rows,
            self.findings,
            workers=self.workers,
            on_progress=lambda done, total: self.on_progress("pictures", done, total),
        )
