"""The Arrow files of a store as they are written: row by row, in bounded memory, resumable.

They are Arrow IPC streams, the format of the ``datasets`` library. A stream is a schema message,
one message for each batch of rows, and an end mark; a file that was cut anywhere is whole again
when everything behind its last complete message is removed.
"""

import os
from pathlib import Path
from typing import Any, Self

import pyarrow as pa

RECORDS = "records.arrow"
IMAGES = "images.arrow"
ALIASES = "aliases.arrow"
VIDEOS = "videos.arrow"

TEXT_FIELDS = ("id", "instruction", "answer", "task", "source", "split", "language")

BATCH_RECORDS = 16_384
BATCH_BYTES = 32 * 2**20

END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"


def _record_schema(reference: pa.DataType) -> pa.Schema:
    texts = [pa.field(name, pa.string()) for name in TEXT_FIELDS]
    media = pa.field("media", pa.list_(pa.list_(reference)))
    related = pa.field("related", pa.list_(reference))
    return pa.schema([*texts, pa.field("weight", pa.float64()), media, related])


UNRESOLVED_SCHEMA = _record_schema(pa.string())
RECORD_SCHEMA = _record_schema(pa.int32())
IMAGE_SCHEMA = pa.schema(
    [("id", pa.string()), ("sha256", pa.binary(32)), ("bytes", pa.large_binary())]
)
ALIAS_SCHEMA = pa.schema([("id", pa.string()), ("image", pa.int32())])
VIDEO_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("kind", pa.string()),
        ("path", pa.string()),
        ("start", pa.float64()),
        ("end", pa.float64()),
        ("sha256", pa.string()),
    ]
)
SCHEMAS = {
    RECORDS: RECORD_SCHEMA,
    IMAGES: IMAGE_SCHEMA,
    ALIASES: ALIAS_SCHEMA,
    VIDEOS: VIDEO_SCHEMA,
}


class ArrowStream:
    """An Arrow stream file that rows are added to; only one batch of them is held in memory.

    Args:
        path: the file; what stands there is replaced.
        schema: the columns.
        keep: go on behind the first so many bytes of the file, which :func:`whole_batches` counted.
        rows: how many rows those bytes hold.
    """

    def __init__(self, path: Path, schema: pa.Schema, *, keep: int = 0, rows: int = 0) -> None:
        self.path = path
        self.schema = schema
        self.rows = rows
        self._file = path.open("r+b" if keep else "wb")
        if keep:
            self._file.truncate(keep)
            self._file.seek(keep)
        else:
            self._file.write(schema.serialize())
        self._columns: list[list[Any]] = [[] for _ in schema]
        self._bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, values: tuple[Any, ...], size: int) -> None:
        """Adds a row of roughly so many bytes."""
        for column, value in zip(self._columns, values, strict=True):
            column.append(value)
        self.rows += 1
        self._bytes += size
        if len(self._columns[0]) == BATCH_RECORDS or self._bytes >= BATCH_BYTES:
            self._flush()

    def write(self, batch: pa.RecordBatch) -> None:
        """Adds a whole batch, behind the rows that were added one by one."""
        self._flush()
        self._write(batch)
        self.rows += batch.num_rows

    def sync(self) -> int:
        """Brings everything added so far to the disk; gives the length of the file in bytes."""
        self._flush()
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._file.tell()

    def close(self) -> None:
        """Writes what is left and ends the file."""
        if self._file.closed:
            return
        self._flush()
        self._file.write(END_OF_STREAM)
        self._file.close()

    def _flush(self) -> None:
        if self._columns[0]:
            arrays = [
                pa.array(column, field.type)
                for column, field in zip(self._columns, self.schema, strict=True)
            ]
            self._write(pa.record_batch(arrays, schema=self.schema))
            self._columns = [[] for _ in self.schema]
            self._bytes = 0

    def _write(self, batch: pa.RecordBatch) -> None:
        # Messages are written by hand, since pyarrow's own writer cannot go on with a file.
        self._file.write(batch.serialize())


def whole_batches(path: Path, schema: pa.Schema, limit: int) -> tuple[int, list[pa.RecordBatch]]:
    """What can be kept of a file that may be cut short: its complete batches.

    Args:
        path: an Arrow stream file, perhaps without an end.
        schema: what it should hold.
        limit: bytes behind this are not looked at.

    Returns:
        The bytes up to the end of the last complete batch, 0 where not even the schema can be read,
        and these batches, still in the mapped file.
    """
    if not path.is_file() or not min(path.stat().st_size, limit):
        return 0, []
    with pa.memory_map(str(path)) as mapped:
        source = pa.BufferReader(mapped.read_buffer(min(limit, mapped.size())))
    batches: list[pa.RecordBatch] = []
    end = 0
    try:
        reader = pa.ipc.open_stream(source)
        if reader.schema != schema:
            return 0, []
        while True:
            end = source.tell()
            batches.append(reader.read_next_batch())
    except (StopIteration, pa.ArrowInvalid, OSError):
        return end, batches
