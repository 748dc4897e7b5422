"""The worker processes: nothing that a decoder does ends an import."""

import io
import os
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from otter.build.pictures import Preparation
from otter.build.sources import PictureBytes
from otter.build.workers import Finished, Made, prepare_all


@dataclass(frozen=True)
class Deadly:
    """An item that is found out only while it is decoded."""

    id: str
    does: str

    @property
    def reason(self) -> str:
        if self.does == "crash":
            os._exit(139)
        if self.does == "hang":
            time.sleep(600)
        raise MemoryError


def picture(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (300, 300), (shade, 0, 0)).save(buffer, "BMP")
    return buffer.getvalue()


def test_a_crash_and_an_endless_loop_cost_one_item_each() -> None:
    items: list[Any] = [PictureBytes(str(n), picture(n)) for n in range(12)]
    items[3] = Deadly("3", "crash")
    items[5] = Deadly("5", "hang")
    items[8] = Deadly("8", "fill the memory")
    started = time.monotonic()
    events = list(prepare_all(enumerate(items), Preparation(), workers=2, timeout=4.0))
    assert time.monotonic() - started < 60
    made = {event.index: event.data for event in events if isinstance(event, Made)}
    assert made == {n: picture(n) for n in range(12) if n not in (3, 5, 8)}
    reasons = {event.index: event.reason for event in events if isinstance(event, Finished)}
    assert {n: reason for n, reason in reasons.items() if reason} == {
        3: "the decoder crashed",
        5: "it was not decoded within 4 s",
        8: "there was not enough memory to decode it",
    }
    assert sorted(reasons) == list(range(12))


def test_items_are_taken_as_there_is_a_worker_for_them() -> None:
    taken = 0

    def items() -> Any:
        nonlocal taken
        for n in range(40):
            taken += 1
            yield n, PictureBytes(str(n), picture(n))

    ahead = 0
    done = 0
    for event in prepare_all(items(), Preparation(), workers=2):
        done += isinstance(event, Finished)
        ahead = max(ahead, taken - done)
    assert done == 40
    assert ahead <= 3


def test_a_script_without_a_guard_is_told_so(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
            from otter.build.pictures import Preparation
            from otter.build.sources import PictureBytes
            from otter.build.workers import prepare_all

            list(prepare_all([(0, PictureBytes("a", b"x"))], Preparation(), workers=1))
        """)
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "call import_source below `if __name__ == '__main__':`, or with workers=0" in done.stderr


@pytest.mark.parametrize("workers", [0, 1])
def test_pictures_arrive_before_the_end_of_their_item(workers: int) -> None:
    events = list(prepare_all([(4, PictureBytes("a", picture(1)))], Preparation(), workers=workers))
    assert [type(event).__name__ for event in events] == ["Made", "Finished"]
    assert {event.index for event in events} == {4}
