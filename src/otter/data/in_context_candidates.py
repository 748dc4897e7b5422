"""Which records may serve as examples of which: leaks are kept out here, and nowhere else.

candidates = Candidates(store, store.rows("train"))
allowed = candidates.guard(row, other_media=True)
allowed(other)      whether ``other`` may come before ``row`` as a worked example
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from otter.data.in_context_index import Groups, RecordIndex, Rows
from otter.data.store import Store

if TYPE_CHECKING:
    from otter.data.in_context_similar import Neighbours


class Candidates:
    """The records that may serve as examples, with what the policies need to know of every record.

    Args:
        store: where the questions and the examples are.
        rows: int64[candidates], the rows that may serve; every record of the store where None.
        index: of the same store, to share what was read; made anew where None.
        neighbours: what is near to what, for the policies that ask: ``"instruction"`` and
            ``"media"``. :mod:`otter.build.selection` makes them from vectors.

    Raises:
        ValueError: rows outside the store.
    """

    def __init__(
        self,
        store: Store,
        rows: Rows | None = None,
        *,
        index: RecordIndex | None = None,
        neighbours: Mapping[str, "Neighbours"] | None = None,
    ) -> None:
        self.store = store
        self.index = RecordIndex(store) if index is None else index
        self.neighbours = dict(neighbours or {})
        self.rows = store.rows() if rows is None else np.unique(rows)
        if len(self.rows) and not 0 <= self.rows[0] <= self.rows[-1] < len(store):
            raise ValueError(
                f"rows from {self.rows[0]} to {self.rows[-1]}: expected rows of the store, "
                f"0 to {len(store) - 1}"
            )

    def images(self, row: int) -> set[int]:
        """The rows of all pictures of a record."""
        return self.index.images(row)

    def share_media(self, row: int, other: int) -> bool:
        """Whether two records have a picture or a frame in common."""
        return not self.index.touched(row).isdisjoint(self.images(other))

    def may_follow(self, example: int, question: int) -> bool:
        """Whether a record may be an example of a question.

        Not where it is a copy of the question, nor where it is held out and the question is not.
        """
        return self.guard(question, other_media=False)(example)

    def guard(self, question: int, *, other_media: bool) -> Callable[[int], bool]:
        """Tells of a record whether it may be an example of a question.

        It may not where it is the question or a copy of it (the same instruction about a picture of
        the question, or about none where the question has none), nor where it is held out and the
        question is learned from.

        Args:
            question: the row of the question.
            other_media: refuse every record that has a picture or a frame in common with it.
        """
        index = self.index
        is_train, instructions = index.is_train, index.instructions
        own, instruction = index.touched(question), instructions[question]
        learned = bool(is_train[question])

        def allowed(row: int) -> bool:
            if row == question or (learned and not is_train[row]):
                return False
            is_same = instructions[row] == instruction
            if not is_same and not other_media:
                return True
            images = index.images(row)
            if is_same and not own and not images:
                return False
            return own.isdisjoint(images)

        return allowed

    def allowed(self, question: int, rows: Rows, *, other_media: bool) -> Rows:
        """int64[...]: those of some candidates that the guard of a question lets pass."""
        index = self.index
        passes = rows != question
        if index.is_train[question]:
            passes &= index.is_train[rows]
        is_same = index.instructions[rows] == index.instructions[question]
        sharing = np.append(self.with_media_of(question), -1)
        shares = sharing[sharing[:-1].searchsorted(rows)] == rows
        if not index.images(question):
            starts = index.frames.starts
            passes &= ~(is_same & (starts[rows + 1] == starts[rows]))
        passes &= ~shares if other_media else ~(shares & is_same)
        chosen: Rows = rows[passes]
        return chosen

    def draw(
        self,
        rows: Rows,
        count: int,
        question: int,
        generator: np.random.Generator,
        *,
        other_media: bool,
    ) -> Iterator[int]:
        """All allowed ones of some candidates in random order.

        Tries a few first, since nearly all rows of a large store are allowed; looks at all only
        where those are not enough.

        Args:
            rows: int64[...], each once.
            count: about how many will be taken.
            question: what they are for.
            generator: says which come first.
            other_media: as in :meth:`guard`.
        """
        few = 2 * count + 8
        if len(rows) <= few:
            tried = generator.permutation(rows)
        else:
            tried = generator.choice(rows, size=few, replace=False)
        yield from filter(self.guard(question, other_media=other_media), tried.tolist())
        if len(rows) > few:
            rest = self.allowed(question, np.setdiff1d(rows, tried), other_media=other_media)
            yield from generator.permutation(rest).tolist()

    def with_instruction_of(self, row: int) -> Rows:
        """int64[...]: the candidates that ask the same as a record."""
        return self.by_instruction.members(int(self.index.instructions[row]))

    def with_media_and_other_instruction(self, row: int) -> Rows:
        """int64[...]: the candidates about a picture of a record that ask something else."""
        rows = self.with_media_of(row)
        instructions = self.index.instructions
        is_other: npt.NDArray[np.bool_] = instructions[rows] != instructions[row]
        return rows[is_other]

    def among(self, rows: Rows) -> Rows:
        """int64[...]: those of some rows that are candidates, in their order."""
        return rows[self._is_candidate[rows]]

    def with_media_of(self, row: int) -> Rows:
        """int64[...]: the candidates that have a picture in common with a record, each once."""
        found = [self._by_image.members(image) for image in self.index.touched(row)]
        return np.unique(np.concatenate(found)) if found else np.empty(0, dtype=np.int64)

    @cached_property
    def by_answer(self) -> Groups:
        """The candidates grouped by their answers."""
        return Groups(self.index.answers[self.rows], self.rows)

    @cached_property
    def by_instruction(self) -> Groups:
        """The candidates grouped by the codes of their instructions."""
        return Groups(self.index.instructions[self.rows], self.rows)

    @cached_property
    def by_media(self) -> Groups:
        """The candidates that show something, grouped by the codes of what they show."""
        codes = self.index.media[self.rows]
        return Groups(codes[codes >= 0], self.rows[codes >= 0])

    @cached_property
    def by_video(self) -> Groups:
        """The candidates that show a clip, grouped by the numbers of their videos."""
        videos = self.index.clip_times.videos[self.rows]
        return Groups(videos[videos >= 0], self.rows[videos >= 0])

    @cached_property
    def _is_candidate(self) -> npt.NDArray[np.bool_]:
        is_candidate = np.zeros(len(self.store), dtype=bool)
        is_candidate[self.rows] = True
        return is_candidate

    @cached_property
    def _by_image(self) -> Groups:
        kept = self._is_candidate[self.index.owners]
        return Groups(self.index.frames.images[kept], self.index.owners[kept])
