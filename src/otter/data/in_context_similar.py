"""Examples that are like the question: by what is asked, by what is seen, or by both.

What is near to what is told by :class:`Neighbours`, which knows codes, not records: equal
instructions are one, equal media are one. So of an instruction that was asked a hundred thousand
times any of its records may be drawn, not always the first few. :mod:`otter.build.selection` makes
neighbours from vectors; here is only what is done with them.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Protocol

import numpy as np
import numpy.typing as npt

from otter.data.in_context_candidates import Candidates
from otter.data.in_context_index import Rows

INSTRUCTION, MEDIA = "instruction", "media"
"""The kinds of neighbours."""

MEDIA_PER_EXAMPLE = 4
RECORDS_PER_MEDIUM = 16

_EMPTY = np.empty(0, dtype=np.int64)


class Neighbours(Protocol):
    """Says what is near, among what the candidates ask or show.

    A key is a code of ``RecordIndex.instructions`` or of ``RecordIndex.media``.
    """

    def nearest(self, key: int, count: int) -> Rows:
        """int64[up to count]: the keys of candidates that are nearest to a key, nearest first.

        The key itself is among them where it is a candidate's. Fewer than ``count`` where there
        are no more.
        """
        ...

    def similarities(self, key: int, keys: Rows) -> npt.NDArray[np.float32]:
        """float32[keys]: how similar each of some keys is to a key; 1 is the same."""
        ...


def first_request(count: int) -> int:
    """How many neighbours are asked for at first, for so many examples.

    More than are needed, since some are refused; who answers for many questions can prepare these.
    """
    return MEDIA_PER_EXAMPLE * count + 8


def similar_instruction(
    candidates: Candidates, question: int, count: int, generator: np.random.Generator
) -> Rows:
    """The same or a similar instruction about other pictures, the most similar first."""
    near = _nearest(candidates, INSTRUCTION, question, count)
    groups = (candidates.by_instruction.members(code) for code in near)
    rows = (row for group in groups for row in _draw(candidates, group, count, question, generator))
    return _rows(islice(rows, count))


def similar_media(
    candidates: Candidates, question: int, count: int, generator: np.random.Generator
) -> Rows:
    """Anything about other pictures that look alike, the most similar first.

    One record for each picture, further ones only where there are too few pictures. A question
    without pictures has no such examples.
    """
    near = _nearest(candidates, MEDIA, question, count)
    groups = (candidates.by_media.members(code) for code in near)
    return one_of_each(
        (_draw(candidates, group, count, question, generator) for group in groups), count
    )


def image_then_text(
    candidates: Candidates, question: int, count: int, generator: np.random.Generator
) -> Rows:
    """Of the records about the pictures that look most alike, those that ask the most similar.

    Four pictures are looked at for every example that is wanted, and up to 16 records of each.
    """
    near = _nearest(candidates, MEDIA, question, count)
    pool = _EMPTY
    # The first is usually what the question itself shows, which it never gets.
    while len(pool) < count and (codes := list(islice(near, MEDIA_PER_EXAMPLE * count + 1))):
        members = [candidates.by_media.members(code) for code in codes]
        some = [
            generator.choice(rows, RECORDS_PER_MEDIUM, replace=False)
            if len(rows) > RECORDS_PER_MEDIUM
            else rows
            for rows in members
        ]
        found = candidates.allowed(question, np.concatenate(some), other_media=True)
        pool = np.concatenate([pool, found])
    if not len(pool):
        return pool
    instructions = candidates.index.instructions
    similarities = _neighbours(candidates, INSTRUCTION).similarities(
        int(instructions[question]), instructions[pool].astype(np.int64)
    )
    # A stable order: of records that ask alike, that about the nearer picture comes first.
    order = np.argsort(-similarities, kind="stable")[:count]
    chosen: Rows = pool[order]
    return chosen


def one_of_each(groups: Iterable[Iterator[int]], count: int) -> Rows:
    """int64[up to count]: the first of every group in turn, then the second of each, and so on.

    ``one_of_each([iter([1, 2, 3]), iter([4])], 3)`` is [1, 4, 2].
    """
    chosen: list[int] = []
    begun: list[Iterator[int]] = []
    for group in groups:
        if len(chosen) >= count:
            break
        row = next(group, None)
        if row is not None:
            chosen.append(row)
            begun.append(group)
    while begun and len(chosen) < count:
        # A group stays as long as it gives something.
        going = []
        for group in begun:
            row = next(group, None) if len(chosen) < count else None
            if row is not None:
                chosen.append(row)
                going.append(group)
        begun = going
    return _rows(chosen)


def _draw(
    candidates: Candidates,
    rows: Rows,
    count: int,
    question: int,
    generator: np.random.Generator,
) -> Iterator[int]:
    return candidates.draw(rows, count, question, generator, other_media=True)


def _nearest(candidates: Candidates, kind: str, question: int, count: int) -> Iterator[int]:
    """The keys near to a question, nearest first, as many as are looked at."""
    neighbours = _neighbours(candidates, kind)
    index = candidates.index
    key = int((index.instructions if kind == INSTRUCTION else index.media)[question])
    if key < 0 or count < 1:
        return
    size, seen = first_request(count), set[int]()
    while True:
        keys = neighbours.nearest(key, size).tolist()
        for near in keys:
            if near not in seen:
                seen.add(near)
                yield near
        if len(keys) < size:
            return
        size *= 4


def _neighbours(candidates: Candidates, kind: str) -> Neighbours:
    if kind not in candidates.neighbours:
        raise ValueError(
            f"neighbours of kind {kind!r}: expected in Candidates(neighbours=...), but there are "
            f"{', '.join(map(repr, candidates.neighbours)) or 'none'}; otter.build.selection makes "
            "them"
        )
    return candidates.neighbours[kind]


def _rows(rows: Iterable[int]) -> Rows:
    return np.fromiter(rows, dtype=np.int64)
