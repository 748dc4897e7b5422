"""Choosing the examples of every question anew, without building the store again."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from otter.data.appending import change_files, move_in, parts_entries
from otter.data.arrow import ALIASES, IMAGES, RECORD_SCHEMA, RECORDS, VIDEOS, ArrowStream
from otter.data.manifest import MANIFEST, file_entry
from otter.data.publishing import hidden_name, locked
from otter.data.records import Problem, Problems
from otter.data.resolving import LEAK_STEP, is_train, leaks
from otter.data.store import Store

Rows = npt.NDArray[np.int64]


def rewrite_related(
    folder: Path | str,
    rows: Iterable[Sequence[int] | Rows],
    *,
    selection: Mapping[str, Any] | None = None,
) -> None:
    """Replaces the related records of every record of a store, in one step.

        rewrite_related("store", [[1, 2], [], [0]], selection={"policy": "random", "seed": 1})

    Readers see the old choice or the new one; those that have the store open go on with the old.

    Args:
        folder: the store.
        rows: for each record, in the order of rows, the rows of its examples; may be a generator.
        selection: how they were chosen, such as policy, seed and date; kept in the manifest, with
            the number of ``questions`` that have examples and of ``examples`` in all.

    Raises:
        BlockingIOError: another process changes the store.
        DataError: the folder is no store; or listing every example that is no row of the store, is
            its own question, or is held out while its question is not.
        ValueError: there are not as many entries as records.
    """
    path = Path(folder).absolute()
    Store(path)  # says better than a lock that there is no such folder
    with ExitStack() as stack:
        stack.enter_context(locked(path))
        store = Store(path)
        before = (path / MANIFEST).read_bytes()
        fresh = hidden_name(path)
        stack.callback(fresh.unlink, missing_ok=True)
        counts = _write(store, iter(rows), fresh)
        manifest = store.manifest
        files = parts_entries(manifest, IMAGES, ALIASES, VIDEOS)
        name = move_in(fresh, path, RECORDS)
        files[name] = file_entry(path / name)
        totals = {key: manifest.get(key, 0) for key in ("records", "images", "videos")}
        entry = {**(selection or {}), **counts}
        change_files(path, before, totals, manifest["tasks"], files, selection=entry)


def _write(store: Store, rows: Iterator[Sequence[int] | Rows], file: Path) -> dict[str, int]:
    """Writes the records with other examples, once all of them are known to be allowed."""
    problems = Problems()
    train = is_train(store.column("split"))
    first = questions = examples = 0
    with ArrowStream(file, RECORD_SCHEMA) as stream:
        for batch in store.batches():
            chosen = list(islice(rows, batch.num_rows))
            if len(chosen) < batch.num_rows:
                raise _wrong_count(store, str(first + len(chosen)))
            sizes = np.array([len(some) for some in chosen], dtype=np.int64)
            none = np.empty(0, dtype=np.int64)
            flat = np.concatenate([none, *(np.asarray(some, dtype=np.int64) for some in chosen)])
            owners = first + np.repeat(np.arange(len(sizes)), sizes)
            _check(store, train, owners, flat, problems)
            if not problems.count:
                stream.write(_with_related(batch, sizes, flat))
            first += batch.num_rows
            questions += int(np.count_nonzero(sizes))
            examples += len(flat)
    if next(rows, None) is not None:
        raise _wrong_count(store, f"more than {first}")
    problems.raise_if_any()
    return {"questions": questions, "examples": examples}


def _wrong_count(store: Store, found: str) -> ValueError:
    return ValueError(
        f"rows has {found} entries: expected {len(store)}, one for each record of "
        f"{store.folder.name}; give an empty list where a question has no examples"
    )


def _check(
    store: Store, train: npt.NDArray[np.bool_], owners: Rows, flat: Rows, problems: Problems
) -> None:
    def note(indices: Rows, expected: str, next_step: str) -> None:
        for index in indices.tolist():
            record = f"record {store.record(int(owners[index])).id!r}"
            value = str(int(flat[index]))
            problems.add(Problem(store.folder.name, "related", value, expected, next_step, record))

    outside = (flat < 0) | (flat >= len(train))
    bounds = f"a row of the store, 0 to {len(train) - 1}"
    note(np.flatnonzero(outside), bounds, "Choose the examples from this very store.")
    own = "another record: a question is never its own example"
    note(np.flatnonzero(flat == owners), own, "Remove it.")
    inside = np.flatnonzero(~outside)
    leaking = inside[leaks(train, owners[inside], flat[inside])]
    note(leaking, "a record of split 'train', since its question is of it", LEAK_STEP)


def _with_related(batch: pa.RecordBatch, sizes: Rows, flat: Rows) -> pa.RecordBatch:
    offsets = np.cumsum([0, *sizes], dtype=np.int64).astype(np.int32)
    related = pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat.astype(np.int32)))
    index = batch.schema.get_field_index("related")
    return batch.set_column(index, batch.schema.field(index), related)
