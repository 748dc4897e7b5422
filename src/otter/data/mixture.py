"""Which episode comes when: parts mixed by weight, as a pure function of seed and position.

    mixture = Mixture([Part(shapes, weight=3, shots=(0, 8)), Part(digits, shots=4)], seed=1)
    mixture[70_000]     the same episode in every process, before and after a restart

Nothing is remembered between calls: a run that was stopped after 70,000 episodes goes on at
position 70,000, and a loader with any number of workers may ask in any order. Three of four
episodes come from ``shapes``, with a number of examples drawn from 0 to 8. Of each part every
record comes once before any comes again.
"""

import math
import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from otter.data.store import Store
from otter.prompt import Episode

Shots: TypeAlias = int | tuple[int, int] | None
"""How many examples: None for all related records, a number, or the bounds of one to draw."""

SHORTEST_PATTERN = 1_024
LONGEST_PATTERN = 131_072

# What the random numbers of a mixture are for; each use has its own stream.
_PATTERN, _ORDER, _SHOTS = 1, 2, 3


@dataclass(frozen=True, eq=False)
class Part:
    """Some records of a store, and how they enter a mixture.

    Args:
        store: where the records are.
        rows: int64[records], the questions; None for every record of the store.
        weight: this part's share of the episodes, relative to the other parts.
        shots: how many examples go before a question: None for all related records, 4 for the first
            four, (0, 8) for a number drawn evenly from 0 to 8. Where a record has fewer, all are
            taken.
        name: what the mixture's table calls it; the name of the store's folder where empty.

    Raises:
        ValueError: no rows, rows outside the store, a weight that is not positive, impossible
            shots.
    """

    store: Store
    rows: npt.NDArray[np.int64] | None = None
    weight: float = 1.0
    shots: Shots = None
    name: str = ""

    def __post_init__(self) -> None:
        """Checks every field."""
        label = f"part {self.label!r}"
        if self.rows is not None:
            rows = np.asarray(self.rows)
            if rows.dtype == np.bool_:
                raise ValueError(
                    f"{label}: rows is a mask: expected row numbers; use np.flatnonzero"
                )
            object.__setattr__(self, "rows", rows.astype(np.int64))
        if not len(self):
            raise ValueError(
                f"{label}: rows is empty: expected at least one record; "
                "choose others or leave the part out"
            )
        if self.rows is not None and not 0 <= int(self.rows.min()) <= int(self.rows.max()) < len(
            self.store
        ):
            bounds = f"{int(self.rows.min())} to {int(self.rows.max())}"
            raise ValueError(
                f"{label}: rows from {bounds}: expected rows of its store, "
                f"0 to {len(self.store) - 1}"
            )
        if not (math.isfinite(self.weight) and self.weight > 0):
            raise ValueError(
                f"{label}: weight = {self.weight}: expected a number above 0; "
                "to leave the part out, do not list it"
            )
        low, high = self.shots_range
        if not 0 <= low <= high:
            raise ValueError(
                f"{label}: shots = {self.shots}: expected None, a number from 0, or (fewest, most)"
            )

    def __len__(self) -> int:
        """How many records there are."""
        return len(self.store) if self.rows is None else len(self.rows)

    @property
    def label(self) -> str:
        """What to call the part."""
        return self.name or self.store.folder.name

    @property
    def shots_range(self) -> tuple[int, int]:
        """The fewest and the most examples, where ``shots`` is not None."""
        if isinstance(self.shots, tuple):
            return self.shots
        return self.shots or 0, self.shots or 0


class MixtureRow(NamedTuple):
    """One line of a mixture's table; ``share`` is the exact part of all episodes."""

    part: str
    records: int
    weight: float
    share: float


class Draw(NamedTuple):
    """What stands at a position: the part, the row in its store, how many examples (None: all)."""

    part: int
    row: int
    shots: int | None


class Mixture:
    """Episodes of several parts by position; a map-style dataset for any loader.

    A fixed pattern says which part comes at which position: with weights 3 and 1 its shares are
    exact and evenly spread, jittered so that parts do not alternate like clockwork. The n-th
    episode of a part is the n-th record of its order; when all were used, the next pass begins,
    shuffled anew.

    Args:
        parts: what is mixed.
        seed: another seed gives another order of the same records.
        length: episodes in an epoch; the number of all records where None.
        order: "shuffled", or "written" for the records in the order of ``rows`` (a curriculum).
        epoch: begin with the episodes that follow so many times ``length``.

    Raises:
        ValueError: no parts, a length below 1, an unknown order, a negative epoch.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        *,
        seed: int = 0,
        length: int | None = None,
        order: Literal["shuffled", "written"] = "shuffled",
        epoch: int = 0,
    ) -> None:
        self.parts = tuple(parts)
        self.seed = seed
        self.order = order
        self.epoch = epoch
        if not self.parts:
            raise ValueError("parts is empty: expected at least one Part(store)")
        self.length = sum(map(len, self.parts)) if length is None else length
        if self.length < 1:
            raise ValueError(f"length = {length}: expected at least 1 episode")
        if order not in ("shuffled", "written"):
            raise ValueError(f"order = {order!r}: expected 'shuffled' or 'written'")
        if epoch < 0:
            raise ValueError(f"epoch = {epoch}: expected 0 or more")
        self._counts = _quotas([part.weight for part in self.parts])
        self._pattern, self._ranks = _spread(self._counts, seed)

    def __len__(self) -> int:
        """Episodes in an epoch."""
        return self.length

    def __getitem__(self, position: int) -> Episode:
        """The episode at a position of the epoch.

        Raises:
            IndexError: the position is not in the epoch.
        """
        part, row, shots = self.draw(position)
        return self.parts[part].store.episode(row, shots)

    def __iter__(self) -> Iterator[Episode]:
        """The episodes of the epoch in order."""
        return (self[position] for position in range(len(self)))

    def draw(self, position: int) -> Draw:
        """Where the episode at a position comes from: to find a record that made trouble.

        Raises:
            IndexError: the position is not in the epoch.
        """
        position = operator.index(position)
        if not 0 <= position < self.length:
            raise IndexError(
                f"position {position}: expected a position from 0 to {self.length - 1}"
            )
        period, place = divmod(self.epoch * self.length + position, len(self._pattern))
        number = self._pattern[place]
        part = self.parts[number]
        nth = period * self._counts[number] + self._ranks[place]
        turn, index = divmod(nth, len(part))
        if self.order == "shuffled":
            index = shuffled(index, len(part), _mix(self.seed, _ORDER, number, turn))
        row = index if part.rows is None else int(part.rows[index])
        if part.shots is None:
            return Draw(number, row, None)
        low, high = part.shots_range
        return Draw(number, row, low + _mix(self.seed, _SHOTS, number, nth) % (high - low + 1))

    def table(self) -> list[MixtureRow]:
        """For each part its name, records, weight and share: print it before a run."""
        total = len(self._pattern)
        return [
            MixtureRow(part.label, len(part), part.weight, count / total)
            for part, count in zip(self.parts, self._counts, strict=True)
        ]


def shuffled(index: int, size: int, key: int) -> int:
    """The place that ``index`` has after shuffling ``range(size)``; the key is the shuffle.

    For every key ``[shuffled(i, 3, key) for i in range(3)]`` is a permutation such as [2, 0, 1],
    but none is ever held in memory: a Feistel network permutes the next power of four, and is
    applied again until it lands inside.
    """
    half = ((size - 1).bit_length() + 1) // 2
    mask = (1 << half) - 1
    while True:
        left, right = index >> half, index & mask
        for turn in range(1, 7):
            left, right = right, left ^ (_scrambled(key + (turn << 40) + right) & mask)
        index = left << half | right
        if index < size:
            return index


def _mix(*values: int) -> int:
    """Integers to 64 random-looking bits, the same everywhere and for ever."""
    state = 0
    for value in values:
        state = _scrambled(state + value)
    return state


def _scrambled(state: int) -> int:
    """The next number of the generator splitmix64."""
    state = (state + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
    state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
    state = (state ^ state >> 27) * 0x94D049BB133111EB & 0xFFFFFFFFFFFFFFFF
    return state ^ state >> 31


def _quotas(weights: list[float]) -> list[int]:
    """How often each part comes in one pattern, so long that shares are right to half a percent.

    [3.0, 1.0] gives [768, 256]. A part so small that the longest pattern cannot hold it exactly
    comes once.
    """
    if len(weights) == 1:
        return [1]
    total = math.fsum(weights)
    length = min(max(math.ceil(100 * total / min(weights)), SHORTEST_PATTERN), LONGEST_PATTERN)
    exact = [weight / total * length for weight in weights]
    counts = [max(1, math.floor(share)) for share in exact]
    by_remainder = sorted(range(len(weights)), key=lambda part: counts[part] - exact[part])
    for part in by_remainder[: max(0, length - sum(counts))]:
        counts[part] += 1
    return counts


def _spread(counts: list[int], seed: int) -> tuple[list[int], list[int]]:
    """The order of the parts within a pattern, and for each place which one of its part it is.

    The j-th of n comes at a random time between j/n and (j+1)/n, so that every stretch has nearly
    the right shares.
    """
    times = [
        ((nth + _mix(seed, _PATTERN, part, nth) / 2**64) / count, part, nth)
        for part, count in enumerate(counts)
        for nth in range(count)
    ]
    times.sort()
    return [part for _, part, _ in times], [nth for _, _, nth in times]
