"""From ids to rows: every reference of every new record is looked up, and what is wrong is noted.

Whole columns are looked up at once, with one search table for all of them.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from otter.data.arrow import RECORD_SCHEMA, UNRESOLVED_SCHEMA
from otter.data.table import single

Note: TypeAlias = Callable[[str, str, str, str, str], None]
"""Notes a problem: of what, the field, the value, what was expected, the next step."""

Codes: TypeAlias = npt.NDArray[np.int32]

LEAK_STEP = "Choose the examples of train records among train records."


class Resolver:
    """Looks up the ids of new records, which may name each other and the records of a store.

    Args:
        note: told every problem.
        refused: ids of records and pictures that were refused already, so that whoever rightly
            names them is not reported as well.
        old_ids: ids of the records that the store has already; their rows come first.
        old_splits: their splits.
    """

    def __init__(
        self,
        note: Note,
        refused: set[str],
        old_ids: Sequence[pa.Array] = (),
        old_splits: Sequence[pa.Array] = (),
    ) -> None:
        self.note = note
        self.refused = refused
        self.old_ids = list(old_ids)
        self.old_splits = list(old_splits)

    def resolve(
        self, batches: list[pa.RecordBatch], names: pa.Array, codes: Codes
    ) -> list[tuple[Codes, Codes]]:
        """For each batch the pictures of all its media and the rows of all its related records.

        Args:
            batches: new records, with the schema ``UNRESOLVED_SCHEMA``.
            names: the ids of all pictures and videos.
            codes: int32[names], image rows, and ``~row`` for a video.
        """
        ids = pa.chunked_array(
            [*self.old_ids, *(batch.column("id") for batch in batches)], pa.string()
        )
        known = self._look_up(
            batches, "media", pa.chunked_array([names]), "an image or video that was added"
        )
        media = [codes[found] if len(codes) else found for found in known]
        self._report_mixed_media(batches, media)
        related = self._look_up(batches, "related", ids, "a record of this store")
        self._report_leaks(batches, related, ids)
        return list(zip(media, related, strict=True))

    def report_repeated(self, batches: list[pa.RecordBatch]) -> None:
        """Notes every id that several records have."""
        ids = pa.chunked_array(
            [*self.old_ids, *(batch.column("id") for batch in batches)], pa.string()
        )
        for name, count in repeated(ids):
            next_step = (
                "Give every record an id of its own, such as with the name of its dataset in front."
            )
            self.note(f"record {name!r}", "id", f"{count} times", "each id once", next_step)

    def _look_up(
        self, batches: list[pa.RecordBatch], field: str, known: pa.ChunkedArray, expected: str
    ) -> list[Codes]:
        """For each batch the places of the ids in a list column, int32[ids]."""
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
                if not next(known) and reference not in self.refused:
                    next_step = "Add it, or remove it from the record."
                    self.note(
                        f"record {name.as_py()!r}", path, repr(reference), expected, next_step
                    )

    def _report_mixed_media(self, batches: list[pa.RecordBatch], media: list[Codes]) -> None:
        """A video is a medium by itself: its frames are not chosen yet."""
        for batch, codes in zip(batches, media, strict=True):
            if not (codes < 0).any():
                continue
            lists = batch.column("media")
            sizes = np.diff(lists.values.offsets.to_numpy())
            medium_of = np.repeat(np.arange(len(sizes)), sizes)
            mixed = np.unique(medium_of[(codes < 0) & (sizes[medium_of] > 1)])
            starts = lists.offsets.to_numpy()
            for medium in mixed.tolist():
                row = int(np.searchsorted(starts, medium, side="right")) - 1
                self.note(
                    f"record {batch.column('id')[row].as_py()!r}",
                    f"media[{medium - starts[row]}]",
                    repr(tuple(lists.values[medium].as_py())),
                    "one video alone, or pictures",
                    "Give the video a medium of its own.",
                )

    def _report_leaks(
        self, batches: list[pa.RecordBatch], related: list[Codes], ids: pa.ChunkedArray
    ) -> None:
        splits = [*self.old_splits, *(batch.column("split") for batch in batches)]
        train = is_train(pa.chunked_array(splits, pa.string()))
        if train.all():
            return
        start = sum(map(len, self.old_ids))
        for batch, rows in zip(batches, related, strict=True):
            counts = np.diff(batch.column("related").offsets.to_numpy())
            owner = start + np.repeat(np.arange(batch.num_rows), counts)
            for index in leaks(train, owner, rows):
                value = repr(ids[int(rows[index])].as_py())
                name = f"record {ids[int(owner[index])].as_py()!r}"
                expected = "a record of split 'train'"
                self.note(name, "related", f"{value} of a held-out split", expected, LEAK_STEP)
            start += batch.num_rows


def resolved(batch: pa.RecordBatch, media_rows: Codes, related_rows: Codes) -> pa.RecordBatch:
    """A batch with rows in the place of ids; the shape of the lists stays."""
    media, related = batch.column("media"), batch.column("related")
    frames = pa.ListArray.from_arrays(media.values.offsets, pa.array(media_rows, pa.int32()))
    columns = {
        **dict(zip(batch.schema.names, batch.columns, strict=True)),
        "media": pa.ListArray.from_arrays(media.offsets, frames),
        "related": pa.ListArray.from_arrays(related.offsets, pa.array(related_rows, pa.int32())),
    }
    return pa.record_batch([columns[name] for name in RECORD_SCHEMA.names], schema=RECORD_SCHEMA)


def repeated(ids: pa.ChunkedArray) -> list[tuple[str, int]]:
    """The ids that occur more than once, with how often."""
    if pc.count_distinct(ids).as_py() == len(ids):
        return []
    counts = pc.value_counts(ids)
    found = counts.filter(pc.greater(counts.field("counts"), 1))
    return [(entry["values"].as_py(), entry["counts"].as_py()) for entry in found]


def is_train(splits: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    """bool[records]: which may be learned from."""
    train: npt.NDArray[np.bool_] = pc.equal(splits, "train").to_numpy()
    return train


def leaks(
    train: npt.NDArray[np.bool_], questions: npt.NDArray[Any], examples: npt.NDArray[Any]
) -> npt.NDArray[np.int64]:
    """Which pairs let something that a model is tested on come before what it learns from.

    Args:
        train: bool[records].
        questions: int[pairs], rows.
        examples: int[pairs], rows.
    """
    return np.flatnonzero(train[questions] & ~train[examples])


def _flat(lists: pa.Array) -> pa.Array:
    """All ids of a list column, or of a column of lists of lists, in order."""
    while pa.types.is_list(lists.type):
        lists = lists.flatten()
    return lists


def _index_all(chunks: list[pa.Array], known: pa.ChunkedArray) -> list[pa.Array]:
    """The place of every value in ``known``, or null; one search table serves all chunks."""
    found = pc.index_in(pa.chunked_array(chunks, pa.string()), value_set=known)
    chunk_ends = np.cumsum([0, *map(len, chunks)]).tolist()
    return [
        single(found.slice(start, end - start), pa.int32()) for start, end in pairwise(chunk_ends)
    ]


def _paths(field: str, value: list[Any]) -> list[tuple[str, str]]:
    """Every id in a list, or list of lists, with its place: ``("media[0][1]", "IMG_7")``."""
    if value and isinstance(value[0], list):
        return [
            (f"{field}[{i}][{j}]", name)
            for i, inner in enumerate(value)
            for j, name in enumerate(inner)
        ]
    return [(f"{field}[{i}]", name) for i, name in enumerate(value)]


def unresolved_columns(record: Any) -> tuple[Any, ...]:
    """A record as a row of ``UNRESOLVED_SCHEMA``."""
    return tuple(
        float(record.weight) if name == "weight" else getattr(record, name)
        for name in UNRESOLVED_SCHEMA.names
    )
