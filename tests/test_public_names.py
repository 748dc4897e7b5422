"""What ``import otter`` offers, and how soon."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import otter

TIMED = """
import sys, time
start = time.perf_counter()
import otter
print(time.perf_counter() - start)
print(*({"torch", "transformers", "datasets", "PIL", "numpy"} & set(sys.modules)))
"""


def printed(program: str) -> list[str]:
    environment = os.environ | {"PYTHONPATH": str(Path(otter.__file__).parents[1])}
    command = [sys.executable, "-c", program]
    run = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return run.stdout.split("\n")


def test_importing_otter_is_quick_and_imports_nothing_heavy() -> None:
    runs = [printed(TIMED) for _ in range(3)]
    assert [heavy for _, heavy, _ in runs] == ["", "", ""]
    assert min(float(seconds) for seconds, *_ in runs) < 0.2


def test_prompts_and_media_need_no_torch() -> None:
    assert printed("import sys, otter.prompt, otter.media; print('torch' in sys.modules)") == [
        "False",
        "",
    ]


@pytest.mark.parametrize("name", otter.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(otter, name) is not None
    assert name in dir(otter)


def test_an_unknown_name_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(AttributeError) as error:
        otter.laod  # noqa: B018
    assert str(error.value) == (
        "module 'otter' has no attribute 'laod'; it has load, Otter, Example, Episode, "
        "OtterConfig, OtterForConditionalGeneration, OtterProcessor, __version__"
    )
