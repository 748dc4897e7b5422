"""What is asked: a few-shot task is a set of questions, each with its worked examples in order.

A task reads episodes from a store. A question at k shots is the record's *first* k related
records as examples and the record itself as the question, so every k asks the same questions and
two numbers of examples, or two models, can be compared question by question.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from otter.prompt import Episode


class EpisodeSource(Protocol):
    """Where the questions come from; :class:`otter.data.store.Store` is one."""

    def episode(self, row: int, shots: int | None = None) -> Episode:
        """The record of a row as a question, its first ``shots`` related records as examples."""
        ...


@dataclass(frozen=True)
class FewShotTask:
    """Questions of one kind, and what a score on them must be compared with.

    Args:
        name: short and unique, such as ``names-unseen-glyphs``; it is part of each prediction's
            key.
        store: where the episodes are read from.
        rows: the questions, as rows of the store.
        title: what a table calls it; the name where empty.
        chance: the share that guessing among the possible answers gets right, if that is known.
        copy_level: the share that repeating some example's answer gets right: 0.5 for two names.
        description: one sentence that says what is asked and what the model has never seen.
    """

    name: str
    store: EpisodeSource
    rows: Sequence[int]
    title: str = ""
    chance: float | None = None
    copy_level: float | None = None
    description: str = ""

    def questions(self, limit: int | None, seed: int) -> list[int]:
        """The rows that are asked: all, or ``limit`` drawn by the seed, in the store's order.

        Raises:
            ValueError: the task has no questions, or the limit is not positive.
        """
        if len(self.rows) == 0:
            raise ValueError(
                f"task {self.name!r} has no questions: "
                "check the split and task names given to the store"
            )
        if limit is not None and limit < 1:
            raise ValueError(f"limit={limit}: expected at least 1 question, or None for all")
        if limit is None or limit >= len(self.rows):
            return [int(row) for row in self.rows]
        chosen = np.random.default_rng(seed).choice(len(self.rows), size=limit, replace=False)
        return [int(self.rows[index]) for index in sorted(chosen)]
