"""A part of a mixture: some records of a store, and what their episodes look like.

    Part(store, weight=3, shots={0: 0.2, 4: 0.8}, example_order="most-similar-last", max_images=16)

draws no example for every fifth episode and four for the others, puts the most similar one next to
the question, and leaves out the least similar ones where there would be more than 16 pictures.
"""

import math
import re
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from otter.data.mixture_order import shuffled
from otter.data.store import Store, StoredRecord
from otter.prompt import Episode

Shots: TypeAlias = int | tuple[int, int] | Mapping[int, float] | None
"""How many examples: None for all related records, a number, the bounds of one to draw evenly, or
the probability of each number."""

ExampleOrder: TypeAlias = Literal["as-stored", "most-similar-last", "shuffled"]

TURN_TOKENS = 8
"""What the template adds to a question and its answer, beside a marker for each medium."""

# A sign of a script without spaces is about a token; so is a word, or a sign between words.
_WORDS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W_]+|[^\w\s]|_")


def estimated_tokens(text: str) -> int:
    """About how many tokens a text has: four for three words.

    >>> estimated_tokens("How many cats are there?")
    8
    """
    return math.ceil(sum(1 for _ in _WORDS.finditer(text)) * 4 / 3)


@dataclass(frozen=True, eq=False)
class Part:
    """Some records of a store, and how they enter a mixture.

    Args:
        store: where the records are.
        rows: int64[records], the questions; None for every record of the store.
        weight: this part's share of the episodes, relative to the other parts; or how often each
            record comes in an epoch, where the mixture counts ``weights="repeats"``.
        shots: how many examples go before a question: None for all related records, 4 for the first
            four, (0, 8) for a number drawn evenly from 0 to 8, {0: 0.2, 4: 0.8} for a number drawn
            with these probabilities. Where a record has fewer, all are taken.
        name: what the mixture's table calls it; the name of the store's folder where empty.
        example_order: "as-stored", which is the most similar first where ``otter data context``
            chose them; "most-similar-last" for the other way round; "shuffled", anew for every
            episode. It does not change which are taken.
        max_images: at most so many pictures in an episode, each frame of a clip counted. Examples
            are left out as if fewer had been asked for; the question always stays whole.
        max_tokens: at most so many tokens of text in an episode, likewise.
        text_length: tokens of a text, such as a tokenizer's count; must be a pure function.

    Raises:
        ValueError: no rows, rows outside the store, a weight that is not positive, impossible
            shots, an unknown order, a cap below 1.
    """

    store: Store
    rows: npt.NDArray[np.int64] | None = None
    weight: float = 1.0
    shots: Shots = None
    name: str = ""
    example_order: ExampleOrder = "as-stored"
    max_images: int | None = None
    max_tokens: int | None = None
    text_length: Callable[[str], int] = estimated_tokens

    def __post_init__(self) -> None:
        """Checks every field."""
        if self.rows is not None:
            rows = np.asarray(self.rows)
            if rows.dtype == np.bool_:
                self._refuse("rows is a mask: expected row numbers; use np.flatnonzero")
            object.__setattr__(self, "rows", rows.astype(np.int64))
        if not len(self):
            self._refuse(
                "rows is empty: expected at least one record; choose others or leave the part out"
            )
        if self.rows is not None:
            low, high = int(self.rows.min()), int(self.rows.max())
            if not 0 <= low <= high < len(self.store):
                self._refuse(
                    f"rows from {low} to {high}: expected rows of its store, "
                    f"0 to {len(self.store) - 1}"
                )
        if not (math.isfinite(self.weight) and self.weight > 0):
            self._refuse(
                f"weight = {self.weight}: expected a number above 0; "
                "to leave the part out, do not list it"
            )
        self._check_shots()
        if self.example_order not in get_args(ExampleOrder):
            known = ", ".join(map(repr, get_args(ExampleOrder)))
            self._refuse(f"example_order = {self.example_order!r}: expected one of {known}")
        for name in ("max_images", "max_tokens"):
            cap = getattr(self, name)
            if cap is not None and cap < 1:
                self._refuse(f"{name} = {cap}: expected at least 1, or None for no cap")

    def __len__(self) -> int:
        """How many records there are."""
        return len(self.store) if self.rows is None else len(self.rows)

    @property
    def label(self) -> str:
        """What to call the part."""
        return self.name or self.store.folder.name

    def draw_shots(self, number: int) -> int | None:
        """How many examples a random 64-bit number stands for; None for all."""
        if self.shots is None or isinstance(self.shots, int):
            return self.shots
        if isinstance(self.shots, tuple):
            low, high = self.shots
            return low + number % (high - low + 1)
        bounds = list(accumulate(self.shots.values()))
        place = bisect_right(bounds, number / 2**64 * bounds[-1])
        return list(self.shots)[min(place, len(bounds) - 1)]

    def episode(self, row: int, shots: int | None, key: int) -> Episode:
        """The episode of a record.

        Args:
            row: the row of the question in the store.
            shots: how many examples at most; None for all.
            key: which order the examples get where they are shuffled.
        """
        if self.example_order == "as-stored" and not self._is_capped:
            return self.store.episode(row, shots)
        question = self.store.record(row)
        examples = self._fitting(question, list(question.related[:shots]))
        if self.example_order == "most-similar-last":
            examples.reverse()
        elif self.example_order == "shuffled":
            count = len(examples)
            examples = [examples[shuffled(place, count, key)] for place in range(count)]
        return self.store.episode(row, examples=examples)

    @property
    def _is_capped(self) -> bool:
        return self.max_images is not None or self.max_tokens is not None

    def _fitting(self, question: StoredRecord, examples: list[int]) -> list[int]:
        """As many of the first examples as the caps leave room for."""
        if not self._is_capped:
            return examples
        images, tokens = self._size(question)
        for count, row in enumerate(examples):
            more_images, more_tokens = self._size(self.store.record(row))
            images, tokens = images + more_images, tokens + more_tokens
            if images > (self.max_images or images) or tokens > (self.max_tokens or tokens):
                return examples[:count]
        return examples

    def _size(self, record: StoredRecord) -> tuple[int, int]:
        """How many pictures and how many tokens of text a record brings into an episode."""
        images = sum(len(m) if m[0] >= 0 else self.store.frames for m in record.media)
        if self.max_tokens is None:
            return images, 0
        text = self.text_length(record.instruction) + self.text_length(record.answer)
        return images, text + TURN_TOKENS + len(record.media)

    def _check_shots(self) -> None:
        shots = self.shots
        if isinstance(shots, Mapping):
            whole = all(isinstance(count, int) and count >= 0 for count in shots)
            chances = list(shots.values())
            sound = all(math.isfinite(chance) and chance >= 0 for chance in chances)
            if not (whole and sound and abs(math.fsum(chances) - 1) < 1e-6):
                self._refuse(
                    f"shots = {dict(shots)}: expected numbers from 0 with their probabilities, "
                    "which sum to 1"
                )
            return
        low, high = shots if isinstance(shots, tuple) else (shots or 0, shots or 0)
        if not 0 <= low <= high:
            self._refuse(f"shots = {shots}: expected None, a number from 0, or (fewest, most)")

    def _refuse(self, problem: str) -> None:
        raise ValueError(f"part {self.label!r}: {problem}")
