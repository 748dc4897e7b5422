"""One store as several, each complete in itself."""

import heapq
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from otter.data.copying import Copy, Rows
from otter.data.publishing import published, refuse_existing
from otter.data.records import DataError, Problem
from otter.data.store import Store

UNEVEN = 1.25
"""How much more than an equal share the largest shard may hold."""


class Shards(NamedTuple):
    """What :func:`shard` wrote.

    Args:
        folders: the new stores.
        records: how many records each holds.
        cut: examples that were left out because their record went to another shard.
    """

    folders: tuple[Path, ...]
    records: tuple[int, ...]
    cut: int


def shard(store: Store | Path | str, out: Path | str, *, shards: int, cut: bool = False) -> Shards:
    """Writes a store as several stores of about the same number of records.

    Every record goes to one shard, with its pictures, and with its examples: records that are
    connected through examples stay together. Pictures that no record shows are left out.

    Args:
        store: a store or its folder.
        out: a new folder for the shards, which are called ``00000-of-00004`` and so on.
        shards: how many.
        cut: where so many records are connected that no even division keeps them together, divide
            them all the same and leave out the examples in other shards.

    Raises:
        DataError: the folder is not a store; or too many records are connected, and ``cut`` is not
            set.
        FileExistsError: ``out`` exists.
        ValueError: fewer than one record for each shard.
    """
    whole = store if isinstance(store, Store) else Store(store)
    folder = Path(out).absolute()
    refuse_existing(folder, overwrite=False)
    if not 1 <= shards <= len(whole):
        raise ValueError(
            f"shards = {shards}: expected 1 to {len(whole)}, the number of records of "
            f"{whole.folder.name}"
        )
    places = _divide(whole, shards, cut)
    names = [f"{number:05d}-of-{shards:05d}" for number in range(shards)]
    left_out, records = 0, []
    with published(folder) as partial:
        for number, name in enumerate(names):
            rows = np.flatnonzero(places == number)
            copy = Copy(folder / name)
            copy.take(whole, rows)
            (partial / name).mkdir()
            origin = {"store": whole.folder.name, "number": number, "of": shards}
            copy.write(partial / name, shard=origin, selection=whole.manifest.get("selection"))
            left_out += copy.dropped
            records.append(len(rows))
    return Shards(tuple(folder / name for name in names), tuple(records), left_out)


def _divide(store: Store, shards: int, cut: bool) -> Rows:
    """int64[records]: the shard of every record."""
    questions, examples = _links(store)
    groups = connected(len(store), questions, examples)
    share = math.ceil(len(store) / shards)
    sizes = np.bincount(groups, minlength=len(store))
    if cut and sizes.max() > share:
        # Neighbours in a group stay neighbours: pieces of the size of a share, in order of rows.
        order = np.argsort(groups, kind="stable")
        ranks = np.empty(len(store), dtype=np.int64)
        starts = np.cumsum(sizes) - sizes
        ranks[order] = np.arange(len(store)) - starts[groups[order]]
        pieces = groups * (len(store) // share + 1) + ranks // share
        groups = np.unique(pieces, return_inverse=True)[1]
        sizes = np.bincount(groups)
    places, loads = _pack(sizes, shards)
    limit = math.ceil(UNEVEN * len(store) / shards)
    if max(loads) > limit or not min(loads):
        next_step = (
            "Take fewer shards, choose examples that connect fewer records, or cut: then examples "
            "in other shards are left out."
        )
        value = f"{int(sizes.max()):,} records that are connected through their examples"
        expected = f"at most {limit:,} together, for {shards} even shards of {len(store):,}"
        raise DataError([Problem(store.folder.name, "related", value, expected, next_step)])
    return places[groups]


def _links(store: Store) -> tuple[Rows, Rows]:
    """Every pair of a question and one of its examples, as two arrays of rows."""
    questions, examples, first = [np.empty(0, np.int64)], [np.empty(0, np.int64)], 0
    for batch in store.batches():
        related = batch.column("related")
        counts = np.diff(related.offsets.to_numpy())
        questions.append(first + np.repeat(np.arange(batch.num_rows), counts))
        examples.append(related.values.to_numpy().astype(np.int64))
        first += batch.num_rows
    return np.concatenate(questions), np.concatenate(examples)


def connected(size: int, left: Rows, right: Rows) -> Rows:
    """int64[size]: for each of ``range(size)`` the smallest that it is connected with.

    ``connected(5, [0, 3], [1, 1])`` is [0, 0, 2, 0, 4].
    """
    smallest = np.arange(size)
    left, right = np.asarray(left), np.asarray(right)
    while len(left):
        a, b = smallest[left], smallest[right]
        low = np.minimum(a, b)
        np.minimum.at(smallest, a, low)
        np.minimum.at(smallest, b, low)
        while not np.array_equal(jumped := smallest[smallest], smallest):
            smallest = jumped
        apart = smallest[left] != smallest[right]
        left, right = left[apart], right[apart]
    return smallest


def _pack(sizes: npt.NDArray[np.int64], shards: int) -> tuple[Rows, list[int]]:
    """For each group a shard, the largest first, each to the shard that has least; the loads."""
    places = np.zeros(len(sizes), dtype=np.int64)
    heap = [(0, number) for number in range(shards)]
    for group in np.argsort(-sizes, kind="stable").tolist():
        if not sizes[group]:
            break
        load, number = heap[0]
        places[group] = number
        heapq.heapreplace(heap, (load + int(sizes[group]), number))
    return places, [load for load, _ in sorted(heap, key=lambda entry: entry[1])]
