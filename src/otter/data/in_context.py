"""Which worked examples accompany a question.

Every policy is a function of the candidates, the row of the question, how many examples are wanted,
and a random generator; it gives rows for ``store.episode(row, examples=rows)``:

    candidates = Candidates(store, store.rows("train"))
    examples = same_instruction(candidates, row, 4, np.random.default_rng(0))

Two things hold for all of them. A question is never among its own examples, neither itself nor a
copy of it (the same instruction about the same pictures, under another id). And a record that is
held out never goes before a question that is learned from. Where there are too few candidates,
fewer examples come back.
"""

from collections.abc import Callable
from functools import cached_property
from itertools import islice
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from otter.data.store import Store

Rows: TypeAlias = npt.NDArray[np.int64]


class Candidates:
    """The records that may serve as examples, with what the policies need to know of every record.

    Args:
        store: where the questions and the examples are.
        rows: int64[candidates], the rows that may serve; every record of the store where None.
    """

    def __init__(self, store: Store, rows: Rows | None = None) -> None:
        self.store = store
        self.rows = store.rows() if rows is None else np.unique(rows)
        if len(self.rows) and not 0 <= self.rows[0] <= self.rows[-1] < len(store):
            raise ValueError(
                f"rows from {self.rows[0]} to {self.rows[-1]}: expected rows of the store, "
                f"0 to {len(store) - 1}"
            )

    def images(self, row: int) -> set[int]:
        """The rows of all pictures of a record."""
        starts, images = self._images
        return set(images[starts[row] : starts[row + 1]].tolist())

    def share_media(self, row: int, other: int) -> bool:
        """Whether two records have a picture or a frame in common."""
        return not self.images(row).isdisjoint(self.images(other))

    def may_follow(self, example: int, question: int) -> bool:
        """Whether a record may be an example of a question.

        Not where it is a copy of the question, nor where it is held out and the question is not.
        """
        if example == question or (self._is_train[question] and not self._is_train[example]):
            return False
        if self._instructions[example] != self._instructions[question]:
            return True
        pictures = self.images(question)
        return bool(pictures or self.images(example)) and pictures.isdisjoint(self.images(example))

    def with_instruction_of(self, row: int) -> Rows:
        """int64[...]: the candidates that ask the same as a record."""
        return self._by_instruction.members(int(self._instructions[row]))

    def with_media_and_other_instruction(self, row: int) -> Rows:
        """int64[...]: the candidates about a picture of a record that ask something else."""
        rows = self.with_media_of(row)
        is_other: npt.NDArray[np.bool_] = self._instructions[rows] != self._instructions[row]
        return rows[is_other]

    def among(self, rows: Rows) -> Rows:
        """int64[...]: those of some rows that are candidates, in their order."""
        return rows[self._is_candidate[rows]]

    def with_media_of(self, row: int) -> Rows:
        """int64[...]: the candidates that have a picture in common with a record, each once."""
        found = [self._by_image.members(image) for image in self.images(row)]
        return np.unique(np.concatenate(found)) if found else np.empty(0, dtype=np.int64)

    @cached_property
    def by_answer(self) -> "Groups":
        """The candidates grouped by their answers."""
        return Groups(_codes(self.store.column("answer"))[self.rows], self.rows)

    @cached_property
    def _instructions(self) -> npt.NDArray[np.int32]:
        return _codes(self.store.column("instruction"))

    @cached_property
    def _is_candidate(self) -> npt.NDArray[np.bool_]:
        is_candidate = np.zeros(len(self.store), dtype=bool)
        is_candidate[self.rows] = True
        return is_candidate

    @cached_property
    def _is_train(self) -> npt.NDArray[np.bool_]:
        is_train: npt.NDArray[np.bool_] = pc.equal(self.store.column("split"), "train").to_numpy()
        return is_train

    @cached_property
    def _images(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        """int64[records + 1], where a record's images start; int32[...], the images of all."""
        starts, images, total = [np.zeros(1, dtype=np.int64)], [np.empty(0, dtype=np.int32)], 0
        for media in self.store.column("media").chunks:
            first_of_medium = media.values.offsets.to_numpy()
            starts.append(total + first_of_medium[media.offsets.to_numpy()[1:]].astype(np.int64))
            images.append(media.values.values.to_numpy())
            total += len(images[-1])
        return np.concatenate(starts), np.concatenate(images)

    @cached_property
    def _by_instruction(self) -> "Groups":
        return Groups(self._instructions[self.rows], self.rows)

    @cached_property
    def _by_image(self) -> "Groups":
        starts, images = self._images
        owners = np.repeat(np.arange(len(self.store), dtype=np.int64), np.diff(starts))
        kept = self._is_candidate[owners]
        return Groups(images[kept], owners[kept])


class Groups:
    """Rows by key: of keys [5, 2, 5] and rows [0, 1, 2], ``members(5)`` is [0, 2].

    Args:
        keys: int[n].
        rows: int64[n].
    """

    def __init__(self, keys: npt.NDArray[np.int32], rows: Rows) -> None:
        order = np.argsort(keys, kind="stable")
        self._rows = rows[order]
        self.keys, starts = np.unique(keys[order], return_index=True)
        self._starts = np.append(starts, len(keys))

    def members(self, key: int) -> Rows:
        """int64[...]: the rows of a key; none where the key is unknown."""
        place = int(np.searchsorted(self.keys, key))
        if place == len(self.keys) or self.keys[place] != key:
            return self._rows[:0]
        return self._rows[self._starts[place] : self._starts[place + 1]]


Policy: TypeAlias = Callable[[Candidates, int, int, np.random.Generator], Rows]


def related(
    candidates: Candidates, question: int, count: int, generator: np.random.Generator
) -> Rows:
    """The first of the related records that the store carries, as far as they are candidates."""
    rows = candidates.among(_rows(list(candidates.store.record(question).related)))
    return _rows([row for row in rows.tolist() if candidates.may_follow(row, question)][:count])


def same_media(
    candidates: Candidates, question: int, count: int, generator: np.random.Generator
) -> Rows:
    """Other instructions about a picture of the question: "how many?" before "what colour?"."""
    rows = candidates.with_media_and_other_instruction(question)
    return _rows(_draw(rows, count, generator, lambda row: candidates.may_follow(row, question)))


def same_instruction(
    candidates: Candidates, question: int, count: int, generator: np.random.Generator
) -> Rows:
    """The same instruction, word for word, about other pictures: none in common."""
    rows = candidates.with_instruction_of(question)
    return _rows(_draw(rows, count, generator, _apart(candidates, question)))


def random_records(
    candidates: Candidates, question: int, count: int, generator: np.random.Generator
) -> Rows:
    """Any records that have no picture in common with the question."""
    return _rows(_draw(candidates.rows, count, generator, _apart(candidates, question)))


def label_balanced(
    candidates: Candidates, question: int, count: int, generator: np.random.Generator
) -> Rows:
    """Every answer as often as any other, in random order, no picture in common with the question.

    Meant for tasks with few answers: of 4 examples for yes or no, two are "yes" and two are "no",
    so that counting answers tells nothing. Where there are more answers than examples, all answers
    differ.
    """
    answers = candidates.by_answer
    # Some answers may turn out to have no allowed record, so more are drawn than are needed.
    keys = generator.choice(
        answers.keys, size=min(len(answers.keys), 4 * count + 16), replace=False
    )
    allowed = _apart(candidates, question)
    each = count if len(keys) <= count else 1
    groups: list[list[int]] = []
    for key in keys.tolist():
        if len(groups) == count:
            break
        members = _draw(answers.members(key), each, generator, allowed)
        if members:
            groups.append(members)
    chosen = [group[turn] for turn in range(count) for group in groups if turn < len(group)][:count]
    return _rows(generator.permutation(np.array(chosen, dtype=np.int64)).tolist())


POLICIES: dict[str, Policy] = {
    "related": related,
    "same-media": same_media,
    "same-instruction": same_instruction,
    "random": random_records,
    "label-balanced": label_balanced,
}
"""The policies by the names that commands and recipes use."""


def _apart(candidates: Candidates, question: int) -> Callable[[int], bool]:
    """Allows records that may come before the question and share no picture with it."""
    return lambda row: (
        candidates.may_follow(row, question) and not candidates.share_media(row, question)
    )


def _draw(
    rows: Rows, count: int, generator: np.random.Generator, allowed: Callable[[int], bool]
) -> list[int]:
    """Up to ``count`` different allowed rows in random order.

    Tries a few first, since nearly all rows of a large store are allowed; looks at all only where
    that is not enough.
    """
    tried = generator.choice(rows, size=min(len(rows), 2 * count + 8), replace=False)
    chosen = list(islice(filter(allowed, tried.tolist()), count))
    if len(chosen) < count and len(tried) < len(rows):
        rest = generator.permutation(np.setdiff1d(rows, tried))
        chosen += islice(filter(allowed, rest.tolist()), count - len(chosen))
    return chosen


def _rows(rows: list[int]) -> Rows:
    return np.array(rows, dtype=np.int64)


def _codes(column: pa.ChunkedArray) -> npt.NDArray[np.int32]:
    """int32[rows]: equal texts get equal numbers."""
    codes: npt.NDArray[np.int32] = pc.index_in(column, value_set=pc.unique(column)).to_numpy()
    return codes
