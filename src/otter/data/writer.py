"""Writing a store: records and pictures stream in, and the folder appears whole or not at all.

    with StoreWriter("store") as writer:
        writer.add_image("IMG_7", Path("cat.png").read_bytes())
        writer.add_record(Record("CAT_1", "How many cats?", "Two.", media=(("IMG_7",),)))

Records may name records and images that come later. Everything that is wrong is raised together
when the block ends.
"""

import hashlib
import json
import secrets
import shutil
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from otter.data.arrow import (
    ALIAS_SCHEMA,
    ALIASES,
    IMAGE_SCHEMA,
    IMAGES,
    RECORD_SCHEMA,
    RECORDS,
    UNRESOLVED_SCHEMA,
    ArrowStream,
)
from otter.data.records import Problem, Problems, Record, check_record, is_name
from otter.data.store import FORMAT, MANIFEST, VERSION, file_checksum

PICTURE_STARTS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF", b"GIF8", b"BM")
UNRESOLVED = "unresolved.arrow"


class StoreWriter:
    """Writes a store; use it in a ``with`` block.

    Until the block ends, everything stands in a hidden folder beside the target; an error leaves
    nothing behind.

    Args:
        folder: where the store shall stand.
        overwrite: replace a store that stands there already.

    Raises:
        FileExistsError: at the start of the block, when the folder exists and may not be replaced.
        DataError: at the end of the block, with every problem of every record and image.
    """

    def __init__(self, folder: Path | str, *, overwrite: bool = False) -> None:
        self.folder = Path(folder).absolute()
        self.overwrite = overwrite
        self._problems = Problems()
        self._images: ArrowStream | None = None
        self._records: ArrowStream | None = None
        self._image_rows: dict[bytes, int] = {}
        self._names: list[str] = []
        self._name_rows: list[int] = []
        self._refused: set[str] = set()

    def __enter__(self) -> Self:
        """Makes the hidden folder."""
        self._refuse_existing()
        self._partial = self.folder.with_name(f".{self.folder.name}.writing-{secrets.token_hex(4)}")
        self._partial.mkdir(parents=True)
        self._images = ArrowStream(self._partial / IMAGES, IMAGE_SCHEMA)
        self._records = ArrowStream(self._partial / UNRESOLVED, UNRESOLVED_SCHEMA)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finishes the store, or removes every trace of it."""
        try:
            for stream in (self._images, self._records):
                if stream is not None:
                    stream.close()
            if error is None:
                self._finish()
        finally:
            self._images = self._records = None
            shutil.rmtree(self._partial, ignore_errors=True)

    def add_image(self, image_id: str, data: bytes) -> None:
        """Adds a picture; the same bytes under another id are stored once.

        Args:
            image_id: unique within the store; adding the same picture again under its id changes
                nothing.
            data: the contents of an image file (PNG, JPEG, WebP, GIF or BMP).
        """
        stream = self._open(self._images)
        before = self._problems.count
        if not is_name(image_id):
            self._note(
                f"image {image_id!r}",
                "id",
                repr(image_id),
                "text that is not blank and that UTF-8 can hold",
                "Give every image an id.",
            )
        elif not isinstance(data, bytes) or not data.startswith(PICTURE_STARTS):
            value = repr(data[:16]) if isinstance(data, bytes) else type(data).__name__
            expected = "the bytes of a PNG, JPEG, WebP, GIF or BMP file"
            self._note(
                f"image {image_id!r}",
                "data",
                value,
                expected,
                "Decode base64 text first; leave broken files out.",
            )
        else:
            digest = hashlib.sha256(data).digest()
            row = self._image_rows.setdefault(digest, len(self._image_rows))
            self._names.append(image_id)
            self._name_rows.append(row)
            if row == stream.rows:
                stream.add((image_id, digest, data), len(data))
        if self._problems.count > before:
            self._refused.add(str(image_id))

    def add_record(self, record: Record) -> None:
        """Adds a record; the images and records that it names may be added later."""
        stream = self._open(self._records)
        if not isinstance(record, Record):
            raise TypeError(f"record is a {type(record).__name__}: expected otter.data.Record")
        problems = check_record(record, self.folder.name)
        if problems:
            for problem in problems:
                self._problems.add(problem)
            # Remembered, so that records which rightly name this one are not reported as well.
            self._refused.add(str(record.id))
            return
        texts = (
            record.id,
            record.instruction,
            record.answer,
            record.task,
            record.source,
            record.split,
            record.language,
        )
        size = len(record.instruction) + len(record.answer)
        stream.add((*texts, float(record.weight), record.media, record.related), size)

    def _open(self, stream: "ArrowStream | None") -> "ArrowStream":
        if stream is None:
            raise ValueError(
                "the store is not open for writing: use `with StoreWriter(folder) as writer:`"
            )
        return stream

    def _note(self, record: str, field: str, value: str, expected: str, next_step: str) -> None:
        self._problems.add(Problem(self.folder.name, field, value, expected, next_step, record))

    def _refuse_existing(self) -> None:
        if not self.folder.exists():
            return
        if not self.overwrite:
            raise FileExistsError(
                f"{self.folder}: exists already: choose another folder, or say overwrite=True"
            )
        if not (self.folder / MANIFEST).is_file():
            raise FileExistsError(
                f"{self.folder}: has no {MANIFEST}, so it is not a store and is not overwritten: "
                "choose another folder"
            )

    def _finish(self) -> None:
        with pa.memory_map(str(self._partial / UNRESOLVED)) as source:
            batches = list(pa.ipc.open_stream(source))
        ids = _column(batches, "id")
        names = pa.chunked_array([pa.array(self._names, pa.string())])
        name_rows = np.array(self._name_rows, dtype=np.int32)
        self._report_repeated_records(ids)
        first_names = self._first_names(names, name_rows)
        media = self._resolve(batches, "media", names, "an image that was added")
        related = self._resolve(batches, "related", ids, "a record of this store")
        self._report_leaks(batches, related)
        self._problems.raise_if_any()
        with ArrowStream(self._partial / RECORDS, RECORD_SCHEMA) as stream:
            for batch, images, rows in zip(batches, media, related, strict=True):
                stream.write(_resolved(batch, name_rows[images], rows))
        self._write_aliases(names, name_rows, first_names)
        groups = _task_table(batches)
        (self._partial / UNRESOLVED).unlink()
        self._write_manifest(len(ids), groups)
        self._publish()

    def _report_repeated_records(self, ids: pa.ChunkedArray) -> None:
        if pc.count_distinct(ids).as_py() == len(ids):
            return
        counts = pc.value_counts(ids)
        for entry in counts.filter(pc.greater(counts.field("counts"), 1)):
            times = f"{entry['counts']} times"
            next_step = (
                "Give every record an id of its own, such as with the name of its dataset in front."
            )
            self._note(
                f"record {entry['values'].as_py()!r}", "id", times, "each id once", next_step
            )

    def _first_names(
        self, names: pa.ChunkedArray, rows: npt.NDArray[np.int32]
    ) -> npt.NDArray[np.bool_]:
        """bool[names], true where an id is met first; reports ids given to different pictures."""
        first = pc.index_in(names, value_set=names).to_numpy()
        for index in np.flatnonzero(rows != rows[first]):
            next_step = "Give every picture an id of its own."
            name = f"image {names[int(index)].as_py()!r}"
            self._note(
                name, "id", "given to two different pictures", "one picture for each id", next_step
            )
        is_first: npt.NDArray[np.bool_] = first == np.arange(len(first))
        return is_first

    def _resolve(
        self, batches: list[pa.RecordBatch], field: str, known: pa.ChunkedArray, expected: str
    ) -> list[npt.NDArray[np.int32]]:
        """For each batch the rows of the ids in a list column, int32[ids]; reports unknown ids."""
        resolved = []
        for batch, found in zip(
            batches, _index_all([_flat(b.column(field)) for b in batches], known), strict=True
        ):
            if found.null_count:
                self._report_unknown(batch, field, found, f"{expected} ({len(known):,})")
                found = found.fill_null(0)
            resolved.append(found.to_numpy())
        return resolved

    def _report_unknown(
        self, batch: pa.RecordBatch, field: str, found: pa.Array, expected: str
    ) -> None:
        known = iter(found.is_valid().to_pylist())
        for name, value in zip(batch.column("id"), batch.column(field), strict=True):
            for path, reference in _paths(field, value.as_py()):
                if not next(known) and reference not in self._refused:
                    next_step = "Add it, or remove it from the record."
                    self._note(
                        f"record {name.as_py()!r}", path, repr(reference), expected, next_step
                    )

    def _report_leaks(
        self, batches: list[pa.RecordBatch], related: list[npt.NDArray[np.int32]]
    ) -> None:
        """What a model is tested on must not come before a question that it learns from."""
        train = pc.equal(_column(batches, "split"), "train").to_numpy()
        if train.all():
            return
        ids = _column(batches, "id")
        start = 0
        for batch, rows in zip(batches, related, strict=True):
            counts = np.diff(batch.column("related").offsets.to_numpy())
            owner = start + np.repeat(np.arange(batch.num_rows), counts)
            for index in np.flatnonzero(train[owner] & ~train[rows]):
                value = repr(ids[int(rows[index])].as_py())
                next_step = "Choose the examples of train records among train records."
                name = f"record {ids[int(owner[index])].as_py()!r}"
                self._note(
                    name,
                    "related",
                    f"{value} of a held-out split",
                    "a record of split 'train'",
                    next_step,
                )
            start += batch.num_rows

    def _write_aliases(
        self, names: pa.ChunkedArray, rows: npt.NDArray[np.int32], first: npt.NDArray[np.bool_]
    ) -> None:
        # The first id of a picture stands beside its bytes, every further one here.
        seen = np.zeros(len(rows), dtype=bool)
        seen[np.unique(rows, return_index=True)[1]] = True
        further = first & ~seen
        with ArrowStream(self._partial / ALIASES, ALIAS_SCHEMA) as stream:
            chosen = pc.filter(names, pa.array(further)).combine_chunks()
            stream.write(pa.record_batch([chosen, pa.array(rows[further])], schema=ALIAS_SCHEMA))

    def _write_manifest(self, records: int, groups: list[dict[str, Any]]) -> None:
        files = {
            name: {
                "bytes": (self._partial / name).stat().st_size,
                "sha256": file_checksum(self._partial / name),
            }
            for name in (RECORDS, IMAGES, ALIASES)
        }
        counts = {"records": records, "images": len(self._image_rows)}
        manifest = {"format": FORMAT, "version": VERSION, **counts, "tasks": groups, "files": files}
        text = json.dumps(manifest, indent=1, ensure_ascii=False)
        (self._partial / MANIFEST).write_text(text + "\n", encoding="utf-8")

    def _publish(self) -> None:
        self._refuse_existing()
        if not self.folder.exists():
            self._partial.rename(self.folder)
            return
        old = self._partial.with_suffix(".replaced")
        self.folder.rename(old)
        try:
            self._partial.rename(self.folder)
        except OSError:
            old.rename(self.folder)
            raise
        shutil.rmtree(old)


def _column(batches: list[pa.RecordBatch], name: str) -> pa.ChunkedArray:
    return pa.chunked_array(
        [batch.column(name) for batch in batches], UNRESOLVED_SCHEMA.field(name).type
    )


def _flat(lists: pa.Array) -> pa.Array:
    """All ids of a list column, or of a column of lists of lists, in order."""
    while pa.types.is_list(lists.type):
        lists = lists.flatten()
    return lists


def _index_all(chunks: list[pa.Array], known: pa.ChunkedArray) -> list[pa.Array]:
    """The place of every value in ``known``, or null; one search table serves all chunks."""
    found = pc.index_in(pa.chunked_array(chunks, pa.string()), value_set=known)
    chunk_ends = np.cumsum([0, *map(len, chunks)]).tolist()
    return [_single(found.slice(start, end - start)) for start, end in pairwise(chunk_ends)]


def _single(chunks: pa.ChunkedArray) -> pa.Array:
    return chunks.chunk(0) if chunks.num_chunks == 1 else chunks.combine_chunks()


def _resolved(
    batch: pa.RecordBatch, images: npt.NDArray[np.int32], rows: npt.NDArray[np.int32]
) -> pa.RecordBatch:
    """A batch with rows in the place of ids; the shape of the lists stays."""
    media, related = batch.column("media"), batch.column("related")
    frames = pa.ListArray.from_arrays(media.values.offsets, pa.array(images, pa.int32()))
    columns = {
        **dict(zip(batch.schema.names, batch.columns, strict=True)),
        "media": pa.ListArray.from_arrays(media.offsets, frames),
        "related": pa.ListArray.from_arrays(related.offsets, pa.array(rows, pa.int32())),
    }
    return pa.record_batch([columns[name] for name in RECORD_SCHEMA.names], schema=RECORD_SCHEMA)


def _task_table(batches: list[pa.RecordBatch]) -> list[dict[str, Any]]:
    """How many records each task has in each split, sorted by name."""
    table = pa.table({name: _column(batches, name) for name in ("task", "split")})
    groups = table.group_by(["task", "split"]).aggregate([([], "count_all")])
    rows = groups.rename_columns({"count_all": "records"}).sort_by(
        [("task", "ascending"), ("split", "ascending")]
    )
    listed: list[dict[str, Any]] = rows.to_pylist()
    return listed


def _paths(field: str, value: list[Any]) -> list[tuple[str, str]]:
    """Every id in a list, or list of lists, with its place: ``("media[0][1]", "IMG_7")``."""
    if value and isinstance(value[0], list):
        return [
            (f"{field}[{i}][{j}]", name)
            for i, inner in enumerate(value)
            for j, name in enumerate(inner)
        ]
    return [(f"{field}[{i}]", name) for i, name in enumerate(value)]
