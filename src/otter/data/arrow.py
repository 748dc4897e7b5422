"""The Arrow files of a store: written row by row in bounded memory, mapped and read by row.

They are Arrow IPC streams, the format of the ``datasets`` library.
"""

import operator
from bisect import bisect_right
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa

from otter.data.records import DataError, Problem

RECORDS = "records.arrow"
IMAGES = "images.arrow"
ALIASES = "aliases.arrow"

TEXT_FIELDS = ("id", "instruction", "answer", "task", "source", "split", "language")

BATCH_RECORDS = 16_384
BATCH_BYTES = 32 * 2**20


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


class ArrowStream:
    """An Arrow stream file that rows are added to; only one batch of them is held in memory."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.schema = schema
        self.rows = 0
        self._writer = pa.ipc.new_stream(str(path), schema)
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
        """Adds a whole batch."""
        self._writer.write_batch(batch)

    def close(self) -> None:
        """Writes what is left and ends the file."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._columns[0]:
            arrays = [
                pa.array(column, field.type)
                for column, field in zip(self._columns, self.schema, strict=True)
            ]
            self.write(pa.record_batch(arrays, schema=self.schema))
            self._columns = [[] for _ in self.schema]
            self._bytes = 0


class ArrowTable:
    """An Arrow stream file mapped into memory, with the place of every row."""

    def __init__(self, path: Path) -> None:
        with pa.memory_map(str(path)) as source:
            try:
                reader = pa.ipc.open_stream(source)
                batches = list(reader)
            except (pa.ArrowInvalid, OSError) as error:
                next_step = "Copy the store again or build it again."
                raise DataError(
                    [Problem(str(path), "", str(error), "an Arrow file", next_step)]
                ) from error
        self.schema = reader.schema
        self.columns: dict[str, list[pa.Array]] = {
            name: [batch.column(name) for batch in batches] for name in reader.schema.names
        }
        self.starts = np.cumsum([0, *(batch.num_rows for batch in batches)]).tolist()
        self.length: int = self.starts.pop()

    def locate(self, row: int) -> tuple[int, int]:
        """The batch that holds a row, and its place there."""
        row = operator.index(row)
        if not 0 <= row < self.length:
            raise IndexError(f"row {row}: expected a row from 0 to {self.length - 1}")
        batch = bisect_right(self.starts, row) - 1
        return batch, row - self.starts[batch]
