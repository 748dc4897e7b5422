"""Numbers that stand for texts, for whole columns at once.

Two texts with the same number are almost surely the same text; the same text has the same number
in every column and process. So millions of texts are compared, counted and grouped as a column of
64-bit numbers, without ever being Python strings.
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Hashes = npt.NDArray[np.uint64]

_ROOT = 0x9E3779B97F4A7C15
_ROOT_INVERSE = pow(_ROOT, -1, 2**64)
_BYTES_AT_ONCE = 2**20
_TABLE: Hashes = np.random.default_rng(20_231).integers(1, 2**63, 256, dtype=np.uint64) * 2 + 1


def text_hashes(column: pa.Array | pa.ChunkedArray) -> Hashes:
    """A number for each text of a column.

    Args:
        column: of strings; absent ones count as empty.

    Returns:
        uint64[texts].
    """
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    parts = [_array_hashes(chunk) for chunk in chunks]
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.uint64)


def list_hashes(values: npt.NDArray[np.integer], starts: npt.NDArray[np.integer]) -> Hashes:
    """A number for each list of numbers, such as the pictures of a record.

    Args:
        values: the numbers of all lists, one list after the other.
        starts: integer[lists + 1]: where each list starts in ``values``, and where the last ends.

    Returns:
        uint64[lists].
    """
    return _sums(mixed(values.astype(np.uint64) + np.uint64(1)), starts)


def mixed(values: Hashes) -> Hashes:
    """Each number scattered over all 64 bits; different numbers stay different."""
    values = values ^ (values >> np.uint64(30))
    values = values * np.uint64(0xBF58476D1CE4E5B9)
    values = values ^ (values >> np.uint64(27))
    values = values * np.uint64(0x94D049BB133111EB)
    mixed_values: Hashes = values ^ (values >> np.uint64(31))
    return mixed_values


def joined(*columns: Hashes) -> Hashes:
    """One number for each row of several columns of numbers; the order of columns counts."""
    total = np.zeros(len(columns[0]), dtype=np.uint64)
    for column in columns:
        total = mixed(total * np.uint64(_ROOT) + column)
    return total


def repeated(hashes: Hashes) -> npt.NDArray[np.int64]:
    """The rows whose number stands in an earlier row already, ascending: int64[rows]."""
    order = np.argsort(hashes, kind="stable")
    ranked = hashes[order]
    return np.sort(order[1:][ranked[1:] == ranked[:-1]])


def _array_hashes(column: pa.Array) -> Hashes:
    wide = pa.types.is_large_string(column.type) or pa.types.is_large_binary(column.type)
    if not len(column):
        return np.empty(0, dtype=np.uint64)
    if column.null_count:
        column = column.fill_null("")
    _, offset_buffer, data_buffer = column.buffers()
    offsets = np.frombuffer(offset_buffer, np.int64 if wide else np.int32)
    offsets = offsets[column.offset : column.offset + len(column) + 1].astype(np.int64)
    data = np.frombuffer(data_buffer or b"", np.uint8)
    parts, first = [], 0
    while first < len(column):
        # Many short texts or one long one: what is held at once stays small.
        end = int(np.searchsorted(offsets, offsets[first] + _BYTES_AT_ONCE, side="right")) - 1
        end = min(max(end, first + 1), len(column))
        values = _TABLE[data[offsets[first] : offsets[end]]]
        parts.append(_sums(values, offsets[first : end + 1] - offsets[first]))
        first = end
    return np.concatenate(parts)


def _sums(values: Hashes, starts: npt.NDArray[np.integer]) -> Hashes:
    """Of each list the sum of value times power of its place, in arithmetic modulo 2**64."""
    powers, inverse_powers = _powers(1 << max(16, len(values).bit_length()))
    total = np.zeros(len(values) + 1, dtype=np.uint64)
    np.cumsum(values * powers[: len(values)], out=total[1:])
    # A place counts from the start of its list: the power of the start is divided out.
    sums = (total[starts[1:]] - total[starts[:-1]]) * inverse_powers[starts[:-1]]
    return mixed(sums + (starts[1:] - starts[:-1]).astype(np.uint64))


@lru_cache(maxsize=4)
def _powers(count: int) -> tuple[Hashes, Hashes]:
    powers = []
    for root in (_ROOT, _ROOT_INVERSE):
        column = np.full(count, root, dtype=np.uint64)
        column[0] = 1
        powers.append(np.cumprod(column))
    return powers[0], powers[1]
