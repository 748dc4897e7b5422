"""The engine of every import: pictures in parallel, records checked, a store at the end.

    source = open_source("llava", ["chats.json"], {"images": "photos"})
    import_source(source, "store", resize=336)

Pictures come first. Each is decoded to see that it is sound, made smaller if that is asked for, and
written down in a journal beside the store, so that an import that was interrupted goes on where it
was. Then the records are read and checked; a record that needs a broken picture is left out. The
store appears when everything is done, or not at all.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

from otter.build.journal import Entry, Journal, Place
from otter.build.pictures import Preparation
from otter.build.record_pass import Pictures, RecordCheck
from otter.build.sources import (
    BrokenPicture,
    ClipFrames,
    PictureBytes,
    PictureItem,
    Source,
    VideoReference,
)
from otter.build.workers import Made, prepare_all
from otter.data.records import DataError, Problem, Problems, Record
from otter.data.writer import StoreWriter
from otter.media import MAX_PIXELS

BROKEN = "broken.jsonl"
PROBLEMS = "problems.jsonl"

OnProgress: TypeAlias = Callable[[str, int, int | None], None]
"""Called with the stage ("pictures", "records", "writing"), what is done, and of how many."""


@dataclass(frozen=True, slots=True)
class ImportSettings:
    """How an import is done.

    Args:
        resize: the shorter side of larger pictures, in pixels; None keeps every size.
        workers: processes that decode; None for one on each processor, 0 for none.
        max_broken: the share of pictures and clips that may be broken, 0 to 1.
        overwrite: replace a store that stands there.
        resume: go on with an interrupted import.
        keep_going: leave out what is wrong, and list it in problems.jsonl, instead of failing.
        max_pixels: larger pictures are refused before they are decoded.
        timeout: in seconds, after which a silent decoder is ended.
        clean: changes the texts of a record; None keeps them.
    """

    resize: int | None = None
    workers: int | None = None
    max_broken: float = 0.01
    overwrite: bool = False
    resume: bool = True
    keep_going: bool = False
    max_pixels: int = MAX_PIXELS
    timeout: float = 120.0
    clean: Callable[[Record], Record] | None = None


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What came of an import.

    Args:
        folder: the store.
        records: how many it has.
        pictures: pictures that were written, the frames of clips among them; equal ones are stored
            once.
        clips: clips and videos among the items.
        broken: pictures and clips that could not be used; listed in broken.jsonl.
        left_out: records that needed one of them.
        examples_dropped: links to records that were left out.
        problems: what keep_going left out or passed over; listed in problems.jsonl.
        resumed: items that an earlier, interrupted run had finished.
    """

    folder: Path
    records: int
    pictures: int
    clips: int
    broken: int
    left_out: int
    examples_dropped: int
    problems: int
    resumed: int


def import_source(
    source: Source, out: Path | str, *, on_progress: OnProgress | None = None, **settings: Any
) -> ImportResult:
    """Imports a dataset into a new store.

    Args:
        source: what :func:`otter.build.sources.open_source` gives.
        out: the folder of the store.
        on_progress: told what is done, from time to time.
        settings: the fields of :class:`ImportSettings`.

    Raises:
        FileExistsError: the folder exists and may not be replaced.
        DataError: too much is broken, or records or files are wrong; all problems at once. Nothing
            is left behind but the journal, with which the next run starts.
        ImportError: an optional library that the format needs is not installed.
    """
    chosen = ImportSettings(**settings)
    folder = Path(out).absolute()
    _check_settings(chosen)
    with _Abandoning(StoreWriter(folder, overwrite=chosen.overwrite)):
        raise _Abandoned  # says now, and not after hours, that the folder may not be written
    facts = {"source": source.name, "resize": chosen.resize, "max_pixels": chosen.max_pixels}
    with Journal(journal_of(folder), facts, resume=chosen.resume) as journal:
        result = _Import(source, folder, chosen, journal, on_progress or _silent).run()
        journal.remove()
    return result


def journal_of(out: Path | str) -> Path:
    """The hidden folder beside a store in which an unfinished import is kept."""
    folder = Path(out).absolute()
    return folder.with_name(f".{folder.name}.importing")


class _Import:
    """One import while it runs."""

    def __init__(
        self,
        source: Source,
        folder: Path,
        settings: ImportSettings,
        journal: Journal,
        on_progress: OnProgress,
    ) -> None:
        self.source = source
        self.folder = folder
        self.settings = settings
        self.journal = journal
        self.on_progress = on_progress
        self.problems = Problems()
        self.pictures = Pictures()
        self.videos: dict[str, VideoReference] = {}
        self.items = 0

    def run(self) -> ImportResult:
        """Pictures, records, store."""
        resumed = self._prepare_pictures()
        self._take_stock()
        check = RecordCheck(
            self.source,
            self.pictures,
            keep_going=self.settings.keep_going,
            clean=self.settings.clean,
        )
        while not self._write(check):
            check = check.again()
        kept = [*self.problems.kept, *check.problems.kept]
        count = self.problems.count + check.problems.count
        _write_lines(self.folder / BROKEN, self.pictures.broken_list())
        side_files = getattr(self.source, "side_files", None)
        for name, value in (side_files() if side_files else {}).items():
            text = json.dumps(value, indent=1, ensure_ascii=False)
            (self.folder / name).write_text(text + "\n", encoding="utf-8")
        _write_lines(self.folder / PROBLEMS, [asdict(problem) for problem in kept])
        return ImportResult(
            self.folder,
            check.records,
            self.pictures.written,
            self.pictures.clips,
            len(self.pictures.broken),
            check.left_out,
            check.examples_dropped,
            count,
            resumed,
        )

    def _prepare_pictures(self) -> int:
        """Every item through the workers and into the journal; how many were there already."""
        count_items = getattr(self.source, "picture_count", None)
        total = count_items() if count_items else None
        waiting: dict[int, tuple[PictureItem, int]] = {}
        places: dict[int, list[Place]] = {}
        done = resumed = 0

        def new_items() -> Iterator[tuple[int, PictureItem]]:
            nonlocal done, resumed
            for item in self.source.pictures():
                if isinstance(item, Problem):
                    self.problems.add(item)
                    continue
                if isinstance(item, VideoReference):
                    self.videos[item.id] = item
                index, signature = self.items, _signature(item)
                self.items += 1
                if self.journal.holds(index, signature):
                    done, resumed = done + 1, resumed + 1
                    self.on_progress("pictures", done, total)
                    continue
                waiting[index] = item, signature
                yield index, item

        preparation = Preparation(self.settings.resize, self.settings.max_pixels)
        workers, timeout = self.settings.workers, self.settings.timeout
        for event in prepare_all(new_items(), preparation, workers=workers, timeout=timeout):
            if isinstance(event, Made):
                place = self.journal.append(event.data, event.sha256)
                places.setdefault(event.index, []).append(place)
                continue
            item, signature = waiting.pop(event.index)
            entry = _entry(item, places.pop(event.index, []), event.reason, self.source.name)
            self.journal.finish(event.index, signature, entry)
            done += 1
            self.on_progress("pictures", done, total)
        return resumed

    def _take_stock(self) -> None:
        """Which pictures there are, and which are broken."""
        for entry in self.journal.entries(self.items):
            self.pictures.add(entry)
        broken = self.pictures.broken_list()
        if self.items and len(broken) > self.settings.max_broken * self.items:
            share = f"{len(broken):,} of {self.items:,} ({len(broken) / self.items:.1%})"
            expected = f"at most {self.settings.max_broken:.1%} broken pictures and clips"
            step = "Mend the files listed here, or allow more with max_broken (--max-broken)."
            self.problems.add(Problem(self.source.name, "broken", share, expected, step))
            for row in broken:
                step = "Mend or replace the file, or leave it out."
                self.problems.add(
                    Problem(row["file"], "", row["reason"], "a sound file", step, row["id"])
                )
            self.problems.raise_if_any()

    def _write(self, check: RecordCheck) -> bool:
        """Writes the store; False where the records have to be gone through once more.

        Raises:
            DataError: something is wrong, and the records were gone through to the end.
        """
        with _Abandoning(StoreWriter(self.folder, overwrite=self.settings.overwrite)) as writer:
            for record in check.sound_records():
                writer.add_record(record)
                self.on_progress("records", check.records, None)
            if check.needs_another_pass():
                raise _Abandoned
            if not self.settings.keep_going:
                found = Problems()
                for problems in (self.problems, check.problems):
                    for problem in problems.kept:
                        found.add(problem)
                    found.count += problems.count - len(problems.kept)
                found.raise_if_any()
            self._write_pictures(writer)
            return True
        return False

    def _write_pictures(self, writer: StoreWriter) -> None:
        for video in self.videos.values():
            if video.id not in self.pictures.broken:
                writer.add_video(video.id, video.path, start=video.start, end=video.end)
        for done, entry in enumerate(self.journal.entries(self.items), 1):
            if entry.reason is None:
                for name, place in entry.images:
                    writer.add_image(name, self.journal.read(place))
            self.on_progress("writing", done, self.items)


class _Abandoned(Exception):  # noqa: N818 - it is no error
    """The store that is being written is not wanted."""


class _Abandoning:
    """A store writer that a :class:`_Abandoned` ends without a trace and without an error."""

    def __init__(self, writer: StoreWriter) -> None:
        self.writer = writer

    def __enter__(self) -> StoreWriter:
        return self.writer.__enter__()

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> bool:
        self.writer.__exit__(kind, error, trace)
        return isinstance(error, _Abandoned)


def _signature(item: PictureItem) -> int:
    """Changes when the item or the file behind it does."""
    parts: tuple[Any, ...]
    if isinstance(item, PictureBytes):
        parts = item.id, len(item.data), hashlib.blake2b(item.data, digest_size=8).hexdigest()
    elif isinstance(item, BrokenPicture):
        parts = item.id, item.reason
    else:
        try:
            facts = item.path.stat()
            parts = repr(item), facts.st_size, facts.st_mtime_ns
        except OSError:
            parts = repr(item), None
    text = repr((type(item).__name__, *parts)).encode(errors="backslashreplace")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest())


def _entry(item: PictureItem, places: list[Place], reason: str | None, source: str) -> Entry:
    if isinstance(item, PictureBytes | BrokenPicture):
        where = item.where or source
    else:
        where = str(item.path)
    if reason is not None:
        return Entry(item.id, type(item).__name__, where, (), reason)
    if isinstance(item, ClipFrames):
        names = [item.name.format(id=item.id, n=n) for n in range(len(places))]
    else:
        names = [item.id] * len(places)
    return Entry(item.id, type(item).__name__, where, tuple(zip(names, places, strict=True)))


def _check_settings(settings: ImportSettings) -> None:
    problems = []
    for name, is_right, expected in (
        ("resize", settings.resize is None or settings.resize >= 1, "at least 1 pixel"),
        ("workers", settings.workers is None or settings.workers >= 0, "0 or more"),
        ("max_broken", 0 <= settings.max_broken <= 1, "a share from 0 to 1"),
        ("timeout", settings.timeout > 0, "more than 0 seconds"),
    ):
        if not is_right:
            value = repr(getattr(settings, name))
            problems.append(Problem("the import", name, value, expected, "Correct it."))
    if problems:
        raise DataError(problems)


def _write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    """A list for people, beside the store's own files; none where there is nothing to list."""
    if rows:
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
        path.write_text("".join(lines), encoding="utf-8", errors="backslashreplace")


def _silent(stage: str, done: int, total: int | None) -> None:
    """Nobody wants to know."""
