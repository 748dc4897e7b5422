"""The clock, the time left, and the bar."""

import io
import time

import pytest
from rich.console import Console

from otter.train.progress import Clock, ProgressBar, TimeLeft, duration


def test_time_left_is_unknown_until_typical_steps_were_seen() -> None:
    left = TimeLeft()
    for now in (10.0, 15.0, 17.0):  # the first, and two that warm up
        left.step(now)
        assert left.seconds(100) is None
    left.step(17.5)
    assert left.seconds(100) == pytest.approx(50)


def test_one_pause_of_the_machine_does_not_bend_it() -> None:
    left = TimeLeft(window=5)
    now = 0.0
    for step in [9, 9, 1, 1, 30, 1, 1]:
        now += step
        left.step(now)
    assert left.seconds(10) == pytest.approx(10)


def test_it_follows_the_newest_steps() -> None:
    left = TimeLeft(window=3)
    now = 0.0
    for step in [1] * 10 + [4] * 3:
        now += step
        left.step(now)
    assert left.seconds(1) == pytest.approx(4)


def test_a_pause_does_not_count() -> None:
    clock = Clock(seconds=100)
    with clock.paused():
        time.sleep(0.05)
    assert 100 <= clock.seconds < 100.05


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (59.4, "59 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")]
)
def test_durations_read_like_speech(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_the_bar_shows_step_loss_and_time() -> None:
    console = Console(file=io.StringIO(), width=100, force_terminal=True)
    with ProgressBar("with examples", console) as bar:
        bar(1, 8, None, None)
        bar(3, 8, 1.2345, 75)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    for piece in ("with examples", "3/8", "loss 1.23", "1 min 15 s left"):
        assert piece in shown
