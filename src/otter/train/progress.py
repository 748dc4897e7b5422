"""How far a run is: a clock, an honest estimate of the time left, and a bar for the terminal."""

import statistics
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Column

WARM_UP_STEPS = 2
"""Steps that say nothing about the rest: memory is allocated, workers start, kernels are chosen."""


class OnProgress(Protocol):
    """What is called after every step.

    Args:
        step: finished steps.
        max_steps: of the whole run.
        loss: of the newest line of the log; None before the first.
        seconds_left: until the last step, without evaluation; None until it can be told.
    """

    def __call__(
        self, step: int, max_steps: int, loss: float | None, seconds_left: float | None, /
    ) -> None:
        """Show it."""


class Clock:
    """Seconds spent on training: what happens inside :meth:`paused` does not count.

    Args:
        seconds: what an earlier part of the same run took.
    """

    def __init__(self, seconds: float = 0.0) -> None:
        self._before = seconds
        self._since = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Training time so far."""
        return self._before + time.perf_counter() - self._since

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop the clock, as for an evaluation."""
        before = self.seconds
        try:
            yield
        finally:
            self._before, self._since = before, time.perf_counter()


class TimeLeft:
    """Time left from the typical duration of the newest steps.

    The median of the last ``window`` steps, so that neither the slow first steps nor one pause of
    the machine bends it.
    """

    def __init__(self, window: int = 30) -> None:
        self._durations: deque[float] = deque(maxlen=window)
        self._seen = 0
        self._last: float | None = None

    def step(self, now: float) -> None:
        """Note that a step has ended, at ``now`` seconds of the training clock."""
        if self._last is not None:
            self._seen += 1
            if self._seen > WARM_UP_STEPS:
                self._durations.append(now - self._last)
        self._last = now

    def seconds(self, steps: int) -> float | None:
        """How long so many more steps take; None while nothing has been measured."""
        if not self._durations:
            return None
        return steps * statistics.median(self._durations)


class ProgressBar:
    """A bar in the terminal; give it to ``train(on_progress=...)`` inside its ``with`` block.

        with ProgressBar("with examples") as bar:
            train(recipe, on_progress=bar)

    Args:
        label: what is being trained.
        console: where the bar appears; by default the error stream, so that output can be piped.
    """

    def __init__(self, label: str, console: Console | None = None) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(table_column=Column(ratio=1)),
            MofNCompleteColumn(),
            TextColumn("{task.fields[loss]}"),
            TextColumn("{task.fields[left]}"),
            console=console or Console(stderr=True),
        )
        self._task = self._progress.add_task(label, total=None, loss="", left="")

    def __enter__(self) -> Self:
        """Show it."""
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave it as it stands."""
        self._progress.stop()

    def __call__(
        self, step: int, max_steps: int, loss: float | None, seconds_left: float | None
    ) -> None:
        """Move it."""
        self._progress.update(
            self._task,
            completed=step,
            total=max_steps,
            loss="" if loss is None else f"loss {loss:.3f}",
            left="measuring" if seconds_left is None else f"{duration(seconds_left)} left",
        )


def duration(seconds: float) -> str:
    """Seconds as a person says them: ``45 s``, ``3 min 20 s``, ``2 h 5 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
