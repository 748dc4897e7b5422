"""``otter inspect``: the page that it prints, and its JSON."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.convert.tiny_backbones import save_language_model, save_tower
from typer.testing import CliRunner, Result

from otter.cli import app
from otter.convert.compose import compose

NANO = Path(__file__).resolve().parents[2] / "src" / "otter" / "checkpoints" / "otter-nano"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("inspected")
    tower, model = save_tower(place / "clip"), save_language_model(place / "mpt", "mpt")
    return compose(place / "new", vision_tower=tower, language_model=model, latents=4).folder


def inspect(*words: str) -> Result:
    return CliRunner().invoke(app, ["inspect", *words])


def test_an_untrained_model_is_said_to_be_blind(made: Path) -> None:
    result = inspect(str(made))
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == f"{made}: an Otter checkpoint"
    assert "All attention gates are shut: this model is blind until it is tuned." in lines
    assert any(line.startswith("vision tower    clip_vision_model, width 24") for line in lines)
    assert any(line.startswith("language model  mpt, width 32, 2 layers") for line in lines)
    assert not any(line.startswith("PROBLEM") for line in lines)


def test_an_open_gate_has_a_bar(made: Path, tmp_path: Path) -> None:
    for file in made.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = tmp_path / "model.safetensors"
    opened = {"cross_attention.1.attention_gate": torch.tensor([0.5])}
    save_file(load_file(weights) | opened, weights, {"format": "pt"})
    lines = inspect(str(tmp_path)).stdout.splitlines()
    assert [line for line in lines if line.startswith("block")] == [
        "block 0, layer 0  +0.000                        +0.000",
        "block 1, layer 1  +0.462  █████████             +0.000",
    ]


def test_json_holds_everything(made: Path) -> None:
    said = json.loads(inspect(str(made), "--json").stdout)
    assert said["kind"] == "native"
    assert said["language_model"]["kind"] == "mpt"
    assert said["example"].startswith("<image>User:What is it?")


def test_what_cannot_be_looked_at_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    result = inspect(str(tmp_path / "gone"))
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == (
        f"otter inspect: PATH {tmp_path / 'gone'}: no such folder; expected a checkpoint as a "
        "folder with config.json and the weights, or the id of a model on the Hugging Face hub "
        "such as owner/name\n"
    )


@pytest.mark.skipif(not NANO.exists(), reason="otter-nano is not in this checkout")
def test_the_shipped_model_sees_and_says_how_it_was_made() -> None:
    result = inspect("otter-nano")
    assert result.exit_code == 0, result.stderr
    assert "blind" not in result.stdout
    assert "PROBLEM" not in result.stdout
    assert "made by         otter nano tune (2026" in result.stdout
