"""``otter convert``: what it prints, and how it ends."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from otter.cli import app

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
OTTER = FIXTURES / "otter" / "llama_image"
TOKENIZER = FIXTURES / "otter" / "tokenizer"


def convert(*words: object) -> Result:
    return CliRunner().invoke(app, ["convert", *map(str, words)])


def test_it_prints_the_account_and_saves_it(tmp_path: Path) -> None:
    done = convert(OTTER, tmp_path / "native", "--tokenizer", TOKENIZER, "--dtype", "bf16")
    assert done.exit_code == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == f"otter-2023 -> native: {tmp_path / 'native'}"
    parts = [line.split()[0] for line in lines if line.endswith("parameters")]
    assert parts == ["vision_tower", "resampler", "language_model", "cross_attention", "in"]
    assert "  note: template: otter-2023" in lines
    assert "  note: pictures: training-2023, 28 px" in lines
    audit = json.loads((tmp_path / "native" / "audit.json").read_text("utf-8"))
    assert len(audit["tensors"]) == int(lines[5].split()[2])


def test_a_refusal_is_one_line_and_code_two(tmp_path: Path) -> None:
    done = convert(tmp_path / "missing.pt", tmp_path / "native")
    assert done.exit_code == 2
    assert done.stderr == (
        f"otter convert: {tmp_path / 'missing.pt'}: no such file or folder; give a checkpoint that "
        "is here\n"
    )


@pytest.mark.parametrize("option", ["--dtype", "--to", "--template", "--image-transform"])
def test_choices_are_listed_when_one_is_wrong(tmp_path: Path, option: str) -> None:
    done = convert(OTTER, tmp_path / "native", option, "nonsense")
    assert done.exit_code == 2
    assert "'nonsense' is not one of" in done.stderr
    assert not (tmp_path / "native").exists()


def test_there_and_back_is_printed_too(tmp_path: Path) -> None:
    assert convert(OTTER, tmp_path / "native", "--tokenizer", TOKENIZER).exit_code == 0
    done = convert(tmp_path / "native", tmp_path / "theirs", "--to", "otter-2023")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith("native -> otter-2023")
    assert "joined" in done.stdout
