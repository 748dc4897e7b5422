"""Writing a store: records and pictures stream in, and the folder appears whole or not at all.

    with StoreWriter("store") as writer:
        writer.add_image("IMG_7", Path("cat.png").read_bytes())
        writer.add_record(Record("CAT_1", "How many cats?", "Two.", media=(("IMG_7",),)))

Records may name records and images that come later. Everything that is wrong is raised together
when the block ends. In memory are the ids and checksums of the pictures, some 300 bytes each; the
pictures themselves are not.
"""

import hashlib
import shutil
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa

from otter.data.appending import Base, install_parts
from otter.data.arrow import ALIASES, IMAGES, RECORD_SCHEMA, RECORDS, VIDEOS, ArrowStream
from otter.data.manifest import count_tasks, file_entry, new_manifest, write_manifest
from otter.data.publishing import hidden_name, locked, publish, refuse_existing
from otter.data.records import DataError, Problem, Problems, Record, check_record, is_name
from otter.data.resolving import Resolver, resolved, unresolved_columns
from otter.data.resuming import CHECKPOINT, UNRESOLVED, BuildFiles
from otter.data.table import ArrowFile
from otter.data.videos import check_stretch, reference

PICTURE_STARTS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF", b"GIF8", b"BM")
CHECKPOINT_ROWS = 2_000


class StoreWriter:
    """Writes a store; use it in a ``with`` block.

    Until the block ends, everything stands in a hidden folder beside the target; an error leaves
    nothing behind. With ``resume`` it leaves ``.NAME.partial``, even when the machine is switched
    off, and the next block of the same kind goes on there:

        with StoreWriter("store", resume=True) as writer:
            for name, path in pictures:
                if not writer.has_image(name):
                    writer.add_image(name, path.read_bytes())

    Args:
        folder: where the store shall stand.
        overwrite: replace a store that stands there already.
        resume: go on with an interrupted build, and keep this one if it is interrupted.
        append: add to the store that stands there; see :func:`otter.data.append`.
        checkpoint_rows: with ``resume``, how many pictures, videos and records may be lost.

    Raises:
        FileExistsError: at the start of the block, when the folder exists and may not be replaced.
        BlockingIOError: at the start, when another process resumes the same build or appends.
        DataError: at the end of the block, with every problem of every record and image.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        overwrite: bool = False,
        resume: bool = False,
        append: bool = False,
        checkpoint_rows: int = CHECKPOINT_ROWS,
    ) -> None:
        if append and (overwrite or resume):
            raise ValueError("append=True: expected neither overwrite nor resume beside it")
        self.folder = Path(folder).absolute()
        self.overwrite = overwrite
        self.resume = resume
        self.append = append
        self.checkpoint_rows = checkpoint_rows
        self._files: BuildFiles | None = None
        self._problems = Problems()
        self._base: Base | None = None
        self._image_rows: dict[bytes, int] = {}
        self._names: dict[str, int] = {}  # image rows; ~row for a video
        self._stretches: dict[str, tuple[Any, ...]] = {}
        self._record_ids: set[str] | None = None
        self._contested: list[str] = []
        self._refused: set[str] = set()
        self._since_checkpoint = 0
        self._locks = ExitStack()

    def __enter__(self) -> Self:
        """Makes the hidden folder, or finds that of an earlier build."""
        if not self.append:
            refuse_existing(self.folder, self.overwrite)
        self._partial = hidden_name(self.folder)
        if self.resume:
            self._partial = self.folder.with_name(f".{self.folder.name}.partial")
        with ExitStack() as locks:
            if self.append:
                self._base = Base(self.folder, locks)
                self._image_rows, self._names = self._base.images, self._base.names
                self._stretches = self._base.videos
            self._partial.mkdir(parents=True, exist_ok=self.resume)
            if self.resume:
                locks.enter_context(locked(self._partial))
            self._files = BuildFiles(self._partial)
            self._remember(self._files.kept)
            self._locks = locks.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finishes the store, or removes every trace of it."""
        files, self._files = self._opened(), None
        with self._locks:
            try:
                if self.resume:
                    files.checkpoint()
                files.close()
                if error is None:
                    self._finish(files)
            except DataError as found:
                if self.resume:
                    found.add_note(
                        f"What was built is kept in {self._partial}: go on with resume=True, or "
                        "remove it to begin anew."
                    )
                raise
            finally:
                if not self.resume:
                    shutil.rmtree(self._partial, ignore_errors=True)

    def add_image(self, image_id: str, data: bytes) -> None:
        """Adds a picture; the same bytes under another id are stored once.

        Args:
            image_id: unique within the store; adding the same picture again under its id changes
                nothing.
            data: the contents of an image file (PNG, JPEG, WebP, GIF or BMP).
        """
        files = self._opened()
        if not self._is_id(f"image {image_id!r}", image_id):
            return
        if not isinstance(data, bytes) or not data.startswith(PICTURE_STARTS):
            value = repr(data[:16]) if isinstance(data, bytes) else type(data).__name__
            expected = "the bytes of a PNG, JPEG, WebP, GIF or BMP file"
            next_step = "Decode base64 text first; leave broken files out."
            self._note(f"image {image_id!r}", "data", value, expected, next_step)
            self._refused.add(image_id)
            return
        digest = hashlib.sha256(data).digest()
        row = self._image_rows.get(digest)
        known = self._names.get(image_id)
        if known is not None:
            if known != row:
                self._contested.append(image_id)
            return
        if row is None:
            row = self._image_rows[digest] = len(self._image_rows)
            files.images.add((image_id, digest, data), len(data))
        else:
            files.aliases.add((image_id, row), len(image_id))
        self._names[image_id] = row
        self._count_row()

    def add_video(
        self,
        video_id: str,
        path: Path | str,
        start: float | None = None,
        end: float | None = None,
        *,
        checksum: bool = False,
    ) -> None:
        """Adds a reference to a video: the file stays where it is, and is decoded when it is shown.

        A record shows it as a medium of its own, ``media=((video_id,),)``.

        Args:
            video_id: unique within the store, among the ids of pictures as well.
            path: a file. Given relative it is kept relative to the store, so that both can be moved
                together. An address with ``://`` is kept, but never opened.
            start: seconds into the video; None for its beginning.
            end: seconds into the video; None for its end.
            checksum: read the whole file and note its SHA-256, which ``Store.verify`` compares.
        """
        files = self._opened()
        name = f"video {video_id!r}"
        if not self._is_id(name, video_id):
            return
        wrong = check_stretch(start, end)
        if wrong is not None:
            next_step = "Give both in seconds from the beginning of the video."
            self._note(name, "stretch", wrong, "0 <= start < end", next_step)
        if not str(path).strip() or ("://" not in str(path) and not Path(path).is_file()):
            next_step = "Check the path, or leave the records of this video out."
            self._note(name, "path", repr(str(path)), "a file that exists", next_step)
            wrong = "path"
        if wrong is not None:
            self._refused.add(video_id)
            return
        video = reference(self.folder, video_id, path, start, end, checksum=checksum)
        stretch = (video.path, video.start, video.end)
        if video_id in self._names:
            if self._stretches.get(video_id) != stretch:
                self._contested.append(video_id)
            return
        self._names[video_id] = ~len(self._stretches)
        self._stretches[video_id] = stretch
        values = (video.id, video.kind, video.path, video.start, video.end, video.sha256)
        files.videos.add(values, len(video.path))
        self._count_row()

    def add_record(self, record: Record) -> None:
        """Adds a record; the images and records that it names may be added later."""
        files = self._opened()
        if not isinstance(record, Record):
            raise TypeError(f"record is a {type(record).__name__}: expected otter.data.Record")
        problems = check_record(record, self.folder.name)
        if problems:
            for problem in problems:
                self._problems.add(problem)
            # Remembered, so that records which rightly name this one are not reported as well.
            self._refused.add(str(record.id))
            return
        size = len(record.instruction) + len(record.answer)
        files.records.add(unresolved_columns(record), size)
        if self._record_ids is not None:
            self._record_ids.add(record.id)
        self._count_row()

    def has_image(self, image_id: str) -> bool:
        """Whether a picture was added under this id, now or before the build was interrupted."""
        return self._names.get(image_id, -1) >= 0

    def has_video(self, video_id: str) -> bool:
        """Whether a video was added under this id, now or before the build was interrupted."""
        return self._names.get(video_id, 0) < 0

    def has_record(self, record_id: str) -> bool:
        """Whether a record of this id was added, now or before the build was interrupted.

        The first call makes a set of all ids, some 100 bytes for each record.
        """
        if self._record_ids is None:
            files = self._opened()
            files.records.sync()
            self._record_ids = set() if self._base is None else set(self._base.record_ids())
            for batch in _batches(self._partial / UNRESOLVED):
                self._record_ids.update(batch.column("id").to_pylist())
        return record_id in self._record_ids

    def checkpoint(self) -> None:
        """Brings all that was added to the disk; with ``resume`` a build goes on from here."""
        self._opened().checkpoint()
        self._since_checkpoint = 0

    def _count_row(self) -> None:
        self._since_checkpoint += 1
        if self.resume and self._since_checkpoint >= self.checkpoint_rows:
            self.checkpoint()

    def _remember(self, kept: dict[str, list[pa.RecordBatch]]) -> None:
        """Takes up the ids of an interrupted build."""
        for batch in kept[IMAGES]:
            for name, digest in zip(*(batch.column(c).to_pylist() for c in (0, 1)), strict=True):
                self._names[name] = self._image_rows[digest] = len(self._image_rows)
        for batch in kept[ALIASES]:
            self._names.update(zip(*(c.to_pylist() for c in batch.columns), strict=True))
        for video in (row for batch in kept[VIDEOS] for row in batch.to_pylist()):
            self._names[video["id"]] = ~len(self._stretches)
            self._stretches[video["id"]] = (video["path"], video["start"], video["end"])

    def _opened(self) -> BuildFiles:
        if self._files is None:
            raise ValueError(
                "the store is not open for writing: use `with StoreWriter(folder) as writer:`"
            )
        return self._files

    def _is_id(self, what: str, value: object) -> bool:
        if is_name(value):
            return True
        expected = "text that is not blank and that UTF-8 can hold"
        next_step = f"Give every {what.split()[0]} an id."
        self._note(what, "id", repr(value), expected, next_step)
        self._refused.add(str(value))
        return False

    def _note(self, record: str, field: str, value: str, expected: str, next_step: str) -> None:
        self._problems.add(Problem(self.folder.name, field, value, expected, next_step, record))

    def _finish(self, files: BuildFiles) -> None:
        batches = [batch for batch in _batches(self._partial / UNRESOLVED)]
        old = [] if self._base is None else self._base.columns("id", "split")
        resolver = Resolver(self._note, self._refused, *old)
        resolver.report_repeated(batches)
        self._report_contested()
        names = pa.array(list(self._names), pa.string())
        codes = np.fromiter(self._names.values(), np.int32, len(self._names))
        rows = resolver.resolve(batches, names, codes)
        self._problems.raise_if_any()
        with ArrowStream(self._partial / RECORDS, RECORD_SCHEMA) as stream:
            for batch, (media, related) in zip(batches, rows, strict=True):
                stream.write(resolved(batch, media, related))
        tasks = count_tasks(batches)
        counts = {
            "records": stream.rows,
            "images": files.images.rows,
            "videos": files.videos.rows,
        }
        if self._base is not None:
            install_parts(self._base, self._partial, counts, tasks)
            return
        kept = [RECORDS, IMAGES, ALIASES, *([VIDEOS] if files.videos.rows else [])]
        entries = {name: file_entry(self._partial / name) for name in kept}
        write_manifest(self._partial, new_manifest(counts, tasks, entries))
        for name in {VIDEOS} - {*kept}:
            (self._partial / name).unlink()
        publish(self._partial, self.folder, self.overwrite)
        # Removed last: until the folder has its name, an interrupted build still goes on.
        for name in (UNRESOLVED, CHECKPOINT):
            (self.folder / name).unlink(missing_ok=True)

    def _report_contested(self) -> None:
        for name in dict.fromkeys(self._contested):
            kind = "image" if self._names[name] >= 0 else "video"
            self._note(
                f"{kind} {name!r}",
                "id",
                "given to two different pictures" if kind == "image" else "given twice",
                "one picture for each id" if kind == "image" else "one video for each id",
                f"Give every {'picture' if kind == 'image' else 'video'} an id of its own.",
            )


def _batches(path: Path) -> list[pa.RecordBatch]:
    """The batches of a file as far as it is written."""
    return ArrowFile(path).batches


def append(folder: Path | str) -> StoreWriter:
    """Adds to a store: new records may name old ids, and known pictures are not stored again.

        with append("store") as writer:
            writer.add_record(Record("CAT_9", "And now?", "Nine.", related=("CAT_1",)))

    What is there is not copied: the new rows become further files of the same tables. Readers see
    all of the new rows or none; those that have the store open go on with what they opened.

    Raises:
        BlockingIOError: at the start of the block, when another process appends.
        DataError: at the start, when the folder is no store; at the end, with every problem.
    """
    return StoreWriter(folder, append=True)
