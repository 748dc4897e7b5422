"""The command line answers at once, and names what there is."""

import os
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from otter.cli import app

HEAVY = ("torch", "transformers", "datasets", "sklearn", "av")


@pytest.mark.parametrize("words", [["--help"], ["ask", "--help"], []])
def test_help_loads_nothing_heavy(words: list[str]) -> None:
    code = (
        "import sys\n"
        "from otter.cli import app\n"
        f"try:\n    app({words!r})\n"
        "except SystemExit:\n    pass\n"
        f"loaded = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "sys.exit(f'it loaded {loaded}' if loaded else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Usage:" in done.stdout + done.stderr


def test_help_takes_less_than_half_a_second_of_work() -> None:
    """Counted as processor time: what else the machine does must not decide."""
    before = os.times()
    command = [sys.executable, "-c", "from otter.cli import main; main()", "--help"]
    subprocess.run(command, capture_output=True, check=True)
    after = os.times()
    spent = after.children_user + after.children_system
    assert spent - before.children_user - before.children_system < 0.5


def test_every_command_says_what_it_does() -> None:
    def commands(group: object) -> list[object]:
        inner = getattr(group, "commands", {}).values()
        return [group, *(found for command in inner for found in commands(command))]

    for command in commands(typer.main.get_command(app)):
        assert getattr(command, "help", None), command


def test_the_version_is_printed() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert result.exit_code == 0
    assert result.stdout.startswith("otter")
