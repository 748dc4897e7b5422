"""``otter new``: what it prints, and what it says to parts that do not fit."""

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.convert.tiny_backbones import save_language_model, save_tower
from typer.testing import CliRunner, Result

from otter.cli import app


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    place = tmp_path_factory.mktemp("parts")
    tower, model = save_tower(place / "clip"), save_language_model(place / "llama")
    return ["--vision-tower", str(tower), "--language-model", str(model)]


def new(*words: str) -> Result:
    return CliRunner().invoke(app, ["new", *words])


def test_the_parameter_table_is_printed_with_what_was_decided(
    parts: list[str], tmp_path: Path
) -> None:
    result = new(str(tmp_path / "mine"), *parts, "--latents", "4")
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == f"{tmp_path / 'mine'}: an untrained Otter in float32"
    assert lines[2].split() == ["part", "parameters", "trainable"]
    table = {line.split()[0]: line.split()[1:] for line in lines[3:10]}
    assert list(table) == [
        "vision_tower",
        "resampler",
        "token_embeddings",
        "decoder",
        "output_projection",
        "cross_attention",
        "total",
    ]
    assert {part for part, (_, trainable) in table.items() if trainable != "0"} == {
        "resampler",
        "token_embeddings",
        "cross_attention",
        "total",
    }
    columns = [[int(size.replace(",", "")) for size in sizes] for sizes in table.values()]
    assert [sum(column[:-1]) for column in zip(*columns, strict=True)] == columns[-1]
    assert "2 gated blocks, before layers 0, 1 (counted from 0) of 2; the gates are shut." in lines
    assert any(line.startswith("The vocabulary grew from ") for line in lines)


def test_every_option_is_handed_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given: dict[str, Any] = {}

    def compose(destination: Path, **options: Any) -> Any:
        given.update(options, destination=destination)
        raise ValueError("enough")

    monkeypatch.setattr("otter.convert.compose.compose", compose)
    words = ["--vision-tower", "t", "--language-model", "m", "--tokenizer", "w"]
    words += ["--cross-attention-every", "2", "--latents", "8", "--attend", "all"]
    words += ["--max-frames", "4", "--dtype", "fp16", "--allow-download"]
    result = new("place", *words)
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (2, "otter new: enough")
    del given["command"], given["on_progress"]
    assert given == {
        "destination": Path("place"),
        "vision_tower": "t",
        "language_model": "m",
        "tokenizer": "w",
        "every": 2,
        "latents": 8,
        "attend": "all",
        "max_frames": 4,
        "dtype": "fp16",
        "allow_download": True,
    }


def test_a_refusal_is_one_line_and_exit_code_2(parts: list[str], tmp_path: Path) -> None:
    result = new(str(tmp_path), *parts[:2], "--language-model", str(tmp_path / "gone"))
    assert result.exit_code == 2
    assert result.stdout == ""
    [line] = result.stderr.splitlines()
    assert line.startswith(f"otter new: --language-model {tmp_path / 'gone'}: no such folder;")
    assert list(tmp_path.iterdir()) == []


def test_no_module_of_the_commands_hides_one_of_python() -> None:
    assert import_module("inspect").signature(torch.no_grad)
