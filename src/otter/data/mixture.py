"""Which episode comes when: parts mixed by weight, as a pure function of seed and position.

    mixture = Mixture([Part(shapes, weight=3, shots=(0, 8)), Part(digits, shots=4)], seed=1)
    mixture[70_000]     the same episode in every process, before and after a restart

Nothing is remembered between calls: a run that was stopped after 70,000 episodes goes on at
position 70,000, and a loader with any number of workers may ask in any order. Three of four
episodes come from ``shapes``, with a number of examples drawn from 0 to 8. Of each part every
record comes once before any comes again.
"""

import operator
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Literal, NamedTuple, TypeAlias

from otter.data.mixture_order import EPOCH, EXAMPLES, ORDER, SHOTS, mix, quotas, shuffled, spread
from otter.data.mixture_part import Part, Shots
from otter.prompt import Episode

__all__ = ["Draw", "Mixture", "MixtureRow", "Part", "Shots"]

Weights: TypeAlias = Literal["shares", "repeats"]


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

    With weights as shares, a fixed pattern says which part comes at which position: with weights 3
    and 1 its shares are exact and evenly spread, jittered so that parts do not alternate like
    clockwork. With weights as repeats an epoch holds every record of a part exactly ``weight``
    times: 1 is once, 3 is upsampled, 0.5 is one half in this epoch and the other in the next.
    Either way the n-th episode of a part is the n-th record of its order; when all were used, the
    next pass begins, shuffled anew.

    Args:
        parts: what is mixed.
        seed: another seed gives another order of the same records.
        length: episodes in an epoch; where None the number of all records, each times its weight
            where weights are repeats.
        order: "shuffled", or "written" for the records in the order of ``rows`` (a curriculum);
            where weights are repeats also the parts one after another.
        epoch: begin with the episodes that follow so many times ``length``.
        weights: what the weights of the parts mean: "shares" of the episodes, or "repeats" of each
            record.

    Raises:
        ValueError: no parts, a length below 1, an unknown order or meaning of weights, a negative
            epoch, a part that ``repeats`` would leave empty.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        *,
        seed: int = 0,
        length: int | None = None,
        order: Literal["shuffled", "written"] = "shuffled",
        epoch: int = 0,
        weights: Weights = "shares",
    ) -> None:
        self.parts = tuple(parts)
        self.seed = seed
        self.order = order
        self.epoch = epoch
        self.weights = weights
        if not self.parts:
            raise ValueError("parts is empty: expected at least one Part(store)")
        if order not in ("shuffled", "written"):
            raise ValueError(f"order = {order!r}: expected 'shuffled' or 'written'")
        if epoch < 0:
            raise ValueError(f"epoch = {epoch}: expected 0 or more")
        if weights not in ("shares", "repeats"):
            raise ValueError(f"weights = {weights!r}: expected 'shares' or 'repeats'")
        if weights == "shares":
            self._counts = quotas([part.weight for part in self.parts])
            self._pattern, self._ranks = spread(self._counts, seed)
            records = sum(map(len, self.parts))
        else:
            self._counts = [round(part.weight * len(part)) for part in self.parts]
            self._check_repeats()
            self._ends = list(accumulate(self._counts))
            records = self._ends[-1]
        self.length = records if length is None else length
        if self.length < 1:
            raise ValueError(f"length = {length}: expected at least 1 episode")

    def __len__(self) -> int:
        """Episodes in an epoch."""
        return self.length

    def __getitem__(self, position: int) -> Episode:
        """The episode at a position of the epoch.

        Raises:
            IndexError: the position is not in the epoch.
        """
        number, nth = self._place(position)
        _, row, shots = self._draw(number, nth)
        return self.parts[number].episode(row, shots, mix(self.seed, EXAMPLES, number, nth))

    def __iter__(self) -> Iterator[Episode]:
        """The episodes of the epoch in order."""
        return (self[position] for position in range(len(self)))

    def draw(self, position: int) -> Draw:
        """Where the episode at a position comes from: to find a record that made trouble.

        Raises:
            IndexError: the position is not in the epoch.
        """
        return self._draw(*self._place(position))

    def positions(
        self,
        *,
        rank: int = 0,
        ranks: int = 1,
        worker: int = 0,
        workers: int = 1,
        start: int = 0,
        batch_size: int = 1,
    ) -> Iterator[int]:
        """What one worker of one rank is to read of the epoch, from ``start`` on.

        Batches of neighbouring positions are dealt to the ranks in turn, and those of a rank to its
        workers in turn, as loaders collect them: with 2 ranks of 2 workers and batches of 2

            rank 0   worker 0: 0 1, 8 9     worker 1: 4 5, 12 13
            rank 1   worker 0: 2 3, 10 11   worker 1: 6 7, 14 15

        Every position belongs to exactly one. When each rank has trained on s batches, all before
        ``s * ranks * batch_size`` were used: that is where to start again, with any numbers.

        Raises:
            ValueError: a rank, worker, start or batch size that cannot be.
        """
        for name, value, least, below in (
            ("rank", rank, 0, ranks),
            ("worker", worker, 0, workers),
            ("start", start, 0, self.length + 1),
            ("batch_size", batch_size, 1, None),
        ):
            if value < least or (below is not None and value >= below):
                most = "" if below is None else f" to {below - 1}"
                raise ValueError(f"{name} = {value}: expected {least}{most or ' or more'}")
        return self._dealt(rank + ranks * worker, ranks * workers, start, batch_size)

    def stream(
        self,
        *,
        rank: int = 0,
        ranks: int = 1,
        worker: int = 0,
        workers: int = 1,
        start: int = 0,
        batch_size: int = 1,
    ) -> Iterator[tuple[int, Episode]]:
        """The episodes of :meth:`positions`, each with its position."""
        wanted = self.positions(
            rank=rank,
            ranks=ranks,
            worker=worker,
            workers=workers,
            start=start,
            batch_size=batch_size,
        )
        return ((position, self[position]) for position in wanted)

    def at_epoch(self, epoch: int) -> "Mixture":
        """The same mixture in another epoch."""
        return Mixture(
            self.parts,
            seed=self.seed,
            length=self.length,
            order=self.order,
            epoch=epoch,
            weights=self.weights,
        )

    def table(self) -> list[MixtureRow]:
        """For each part its name, records, weight and share: print it before a run."""
        total = sum(self._counts)
        return [
            MixtureRow(part.label, len(part), part.weight, count / total)
            for part, count in zip(self.parts, self._counts, strict=True)
        ]

    def _place(self, position: int) -> tuple[int, int]:
        """The part of a position, and which of the part's episodes stands there."""
        position = operator.index(position)
        if not 0 <= position < self.length:
            raise IndexError(
                f"position {position}: expected a position from 0 to {self.length - 1}"
            )
        position += self.epoch * self.length
        if self.weights == "shares":
            period, place = divmod(position, len(self._pattern))
            number = self._pattern[place]
            return number, period * self._counts[number] + self._ranks[place]
        period, place = divmod(position, self._ends[-1])
        if self.order == "shuffled":
            place = shuffled(place, self._ends[-1], mix(self.seed, EPOCH, period))
        number = bisect_right(self._ends, place)
        count = self._counts[number]
        return number, period * count + place - (self._ends[number] - count)

    def _draw(self, number: int, nth: int) -> Draw:
        part = self.parts[number]
        turn, index = divmod(nth, len(part))
        if self.order == "shuffled":
            index = shuffled(index, len(part), mix(self.seed, ORDER, number, turn))
        row = index if part.rows is None else int(part.rows[index])
        return Draw(number, row, part.draw_shots(mix(self.seed, SHOTS, number, nth)))

    def _dealt(self, share: int, shares: int, start: int, batch_size: int) -> Iterator[int]:
        for first in range(start + share * batch_size, self.length, shares * batch_size):
            yield from range(first, min(first + batch_size, self.length))

    def _check_repeats(self) -> None:
        for part, count in zip(self.parts, self._counts, strict=True):
            if count < 1:
                raise ValueError(
                    f"part {part.label!r}: weight = {part.weight} of {len(part)} records repeats "
                    f"none: expected at least {1 / len(part):g}; leave the part out"
                )
