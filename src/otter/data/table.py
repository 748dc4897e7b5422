"""The Arrow files of a store as they are read: any row at once, from any thread or process.

Files are mapped into memory for whoever searches whole columns. Single rows are read from the file
instead, since pages of a mapping count as memory of every process that touched them, and one touch
may map two megabytes: after an epoch each worker would seem to hold the whole dataset. Where values
begin is read when a table is opened, some 30 bytes for each record; forked workers share that.
"""

import mmap
import operator
import os
import struct
import weakref
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from otter.data.records import DataError, Problem

View: TypeAlias = "memoryview[Any]"

_PAIR = struct.Struct("<ii")


class ArrowFile:
    """One Arrow stream file, mapped into memory, that can also be read at any position.

    Raises:
        DataError: the file is not an Arrow stream.
    """

    def __init__(self, path: Path) -> None:
        # Both ways of reading go through one descriptor: they see the same file for as long as the
        # table lives, whatever is put in its place.
        self._descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        weakref.finalize(self, os.close, self._descriptor)
        try:
            self._mapping = mmap.mmap(self._descriptor, 0, access=mmap.ACCESS_READ)
            self._mapped = pa.py_buffer(self._mapping)
            reader = pa.ipc.open_stream(pa.BufferReader(self._mapped))
            self.batches = list(reader)
        except (pa.ArrowInvalid, OSError, ValueError) as error:
            next_step = "Copy the store again or build it again."
            raise DataError(
                [Problem(str(path), "", str(error), "an Arrow file", next_step)]
            ) from error
        self.schema = reader.schema
        self.read: Callable[[int, int], bytes] = self._slice
        """``read(size, position)``; keeps no place in the file, so threads and forks may meet."""
        if hasattr(os, "pread"):
            self.read = partial(os.pread, self._descriptor)

    def position(self, buffer: pa.Buffer | None) -> int:
        """Where in the file a buffer of its batches begins; an empty one may be anywhere."""
        place: int = buffer.address - self._mapped.address if buffer else 0
        return place

    def load(self, buffer: pa.Buffer | None) -> bytes:
        """A copy of a buffer of its batches, read past the mapping."""
        return self.read(buffer.size, self.position(buffer)) if buffer else b""

    def release(self) -> None:
        """Gives back the memory of the mapping; what is needed again is mapped again."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._mapping.madvise(mmap.MADV_DONTNEED)

    def _slice(self, size: int, position: int) -> bytes:
        return bytes(memoryview(self._mapped)[position : position + size])


class ArrowTable:
    """Arrow stream files read as one table, with the place of every row.

    Args:
        paths: the parts of the table, in order.
        schema: the columns of all of them; those of the first where None.

    Raises:
        DataError: a part is not an Arrow stream, or has other columns.
    """

    def __init__(self, *paths: Path, schema: pa.Schema | None = None) -> None:
        self._files = [ArrowFile(path) for path in paths]
        self.schema = schema = self._files[0].schema if schema is None else schema
        for path, file in zip(paths, self._files, strict=True):
            if not file.schema.equals(schema):
                found = ", ".join(f"{field.name} {field.type}" for field in file.schema)
                expected = ", ".join(f"{field.name} {field.type}" for field in schema)
                next_step = "Copy the store again or build it again."
                raise DataError([Problem(str(path), "columns", found, expected, next_step)])
        self.parts = [(file, batch) for file in self._files for batch in file.batches]
        self.columns: dict[str, list[pa.Array]] = {
            name: [batch.column(name) for _, batch in self.parts] for name in self.schema.names
        }
        self.starts = np.cumsum([0, *(batch.num_rows for _, batch in self.parts)]).tolist()
        self.length: int = self.starts.pop()
        self.release()

    def release(self) -> None:
        """Gives back the memory that a search of whole columns took."""
        for file in self._files:
            file.release()

    def column(self, name: str) -> pa.ChunkedArray:
        """A whole column, still in the mapped files."""
        return pa.chunked_array(self.columns[name], self.schema.field(name).type)

    def locate(self, row: int) -> tuple[int, int]:
        """The batch that holds a row, and its place there."""
        row = operator.index(row)
        if not 0 <= row < self.length:
            raise IndexError(f"row {row}: expected a row from 0 to {self.length - 1}")
        batch = bisect_right(self.starts, row) - 1
        return batch, row - self.starts[batch]


class BytesColumn:
    """A column of texts or bytes, read value by value; only where they begin is in memory."""

    def __init__(self, table: ArrowTable, name: str) -> None:
        self._table = table  # its files must stay open for as long as they are read
        self._offsets: list[Sequence[int]] = []
        self._places: list[tuple[Callable[[int, int], bytes], int]] = []
        for (file, _), array in zip(table.parts, table.columns[name], strict=True):
            _, offsets, data = array.buffers()
            self._offsets.append(_compact(file.load(offsets), "q" if _is_large(array) else "i"))
            self._places.append((file.read, file.position(data)))

    def bytes_at(self, batch: int, index: int) -> bytes:
        """The value at a place that :meth:`ArrowTable.locate` gave."""
        offsets = self._offsets[batch]
        start = offsets[index]
        size = offsets[index + 1] - start
        if not size:
            return b""
        read, position = self._places[batch]
        return read(size, position + start)

    def text_at(self, batch: int, index: int) -> str:
        """The value as text."""
        return self.bytes_at(batch, index).decode()


class NameColumn:
    """A column of texts that are asked for less often, of which nothing is kept in memory."""

    def __init__(self, table: ArrowTable, name: str) -> None:
        self._table = table
        self._places: list[tuple[Callable[[int, int], bytes], int, int]] = []
        for (file, _), array in zip(table.parts, table.columns[name], strict=True):
            _, offsets, data = array.buffers()
            self._places.append((file.read, file.position(offsets), file.position(data)))

    def text_at(self, batch: int, index: int) -> str:
        """The value at a place that :meth:`ArrowTable.locate` gave."""
        read, offsets, position = self._places[batch]
        start, end = _PAIR.unpack(read(8, offsets + 4 * index))
        return read(end - start, position + start).decode()


class NumberColumn:
    """A column of float64, in memory."""

    def __init__(self, table: ArrowTable, name: str) -> None:
        self._values: list[Sequence[float]] = [
            _compact(file.load(array.buffers()[1]), "d")
            for (file, _), array in zip(table.parts, table.columns[name], strict=True)
        ]

    def at(self, batch: int, index: int) -> float:
        """The value at a place that :meth:`ArrowTable.locate` gave."""
        return self._values[batch][index]


class ListColumn:
    """A column of lists of int32, in memory."""

    def __init__(self, table: ArrowTable, name: str) -> None:
        self._offsets: list[Sequence[int]] = []
        self._values: list[View] = []
        for (file, _), array in zip(table.parts, table.columns[name], strict=True):
            _, offsets, _, values = array.buffers()
            self._offsets.append(_compact(file.load(offsets), "i"))
            self._values.append(memoryview(file.load(values)).cast("i"))

    def at(self, batch: int, index: int) -> list[int]:
        """The value at a place that :meth:`ArrowTable.locate` gave."""
        offsets = self._offsets[batch]
        return self._values[batch][offsets[index] : offsets[index + 1]].tolist()


class NestedColumn:
    """A column of lists of lists of int32, in memory."""

    def __init__(self, table: ArrowTable, name: str) -> None:
        self._outer: list[Sequence[int]] = []
        self._inner: list[Sequence[int]] = []
        self._values: list[View] = []
        for (file, _), array in zip(table.parts, table.columns[name], strict=True):
            _, outer, _, inner, _, values = array.buffers()
            self._outer.append(_compact(file.load(outer), "i"))
            self._inner.append(_compact(file.load(inner), "i"))
            self._values.append(memoryview(file.load(values)).cast("i"))

    def at(self, batch: int, index: int) -> list[list[int]]:
        """The value at a place that :meth:`ArrowTable.locate` gave."""
        outer, inner, values = self._outer[batch], self._inner[batch], self._values[batch]
        first, last = outer[index], outer[index + 1]
        return [values[inner[i] : inner[i + 1]].tolist() for i in range(first, last)]


class Constant(Sequence[Any]):
    """A sequence of one value over and over."""

    def __init__(self, value: Any, length: int) -> None:
        self._value = value
        self._length = length

    def __len__(self) -> int:
        """How often."""
        return self._length

    def __getitem__(self, index: Any) -> Any:
        """The value, wherever."""
        return self._value


def _compact(data: bytes, code: str) -> Sequence[Any]:
    """Numbers in as little memory as they need: where all steps are equal, no table is kept.

    Most records have one picture, equally many examples and the weight 1.
    """
    numbers = memoryview(data).cast(code)  # type: ignore[call-overload]
    steps = np.diff(np.frombuffer(data, code))
    if len(steps) and (steps == steps[0]).all():
        step, first = steps[0].item(), numbers[0]
        if not step:
            return Constant(first, len(numbers))
        if code != "d":
            return range(first, first + step * len(numbers), step)
    result: Sequence[Any] = numbers
    return result


def single(chunks: Sequence[pa.Array] | pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    """Chunks as one array; copied only where there are several."""
    if isinstance(chunks, pa.ChunkedArray):
        chunks = chunks.chunks
    if not chunks:
        return pa.array([], kind)
    return chunks[0] if len(chunks) == 1 else pa.concat_arrays(chunks)


def _is_large(array: pa.Array) -> bool:
    return bool(pa.types.is_large_binary(array.type) or pa.types.is_large_string(array.type))
