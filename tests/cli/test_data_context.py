"""``otter data context``: what it says about a choice, and how it ends."""

import io
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner, Result

from otter.cli.data_context import PolicyName, context
from otter.data import POLICIES, Record, Store, StoreWriter

app = typer.Typer()
app.command()(context)


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def picture(number: int) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 255, (2, 2, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize((16, 16)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with StoreWriter(tmp_path / "pets") as writer:
        for number in range(6):
            writer.add_image(f"I{number}", picture(number))
            for name, question in (("many", "How many cats?"), ("colour", "What colour?")):
                record = Record(f"{number}.{name}", question, "!", ((f"I{number}",),), task=name)
                writer.add_record(record)
        writer.add_record(Record("text", "2 + 2?", "4", task="many"))
    return tmp_path / "pets"


def test_it_says_how_many_got_examples_and_how_near_they_are(folder: Path) -> None:
    done = run(folder, "--policy", "similar-media", "--shots", 2)
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[:3] == [
        "similar-media: 13 questions, 2 examples wanted",
        "          1 got 0 examples",
        "         12 got 2 examples",
    ]
    assert [line.split(":")[0].strip() for line in lines[3:]] == [
        "instruction",
        "media",
        "same answer",
    ]
    assert lines[3].endswith(" with random ones")
    assert len(Store(folder).record(0).related) == 2
    assert (folder / "features" / "otter-nano.npy").is_file()


def test_only_what_was_asked_for_is_changed(folder: Path) -> None:
    assert run(folder, "--policy", "random", "--tasks", "colour", "--shots", 1).exit_code == 0
    before = [Store(folder).record(row).related for row in range(13)]
    assert [len(related) for related in before] == [0, 1] * 6 + [0]
    done = run(folder, "--policy", "random", "--shots", 3, "--keep-existing", "--across-tasks")
    assert done.stdout.splitlines()[0] == "random: 7 questions, 3 examples wanted"
    after = [Store(folder).record(row).related for row in range(13)]
    assert [len(related) for related in after] == [3, 1] * 6 + [3]
    assert after[1::2] == before[1::2]


def test_the_seed_decides(folder: Path) -> None:
    chosen = []
    for seed in (1, 1, 2):
        assert run(folder, "--policy", "random", "--seed", seed).exit_code == 0
        chosen.append([Store(folder).record(row).related for row in range(13)])
    assert chosen[0] == chosen[1] != chosen[2]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--tasks", "birds"], "pets: task = 'birds': expected one of 'colour', 'many'"),
        (["--examples-from", "dev"], "pets: split = 'dev': expected one of 'train'"),
        (
            ["--policy", "similar-media", "--model", "no-such/dir/there"],
            "no checkpoint 'no-such/dir/there': expected a shipped name (otter-nano, nano-base), a "
            "folder with config.json, or the id of a model on the Hugging Face hub together with "
            "allow_download=True",
        ),
    ],
)
def test_a_refusal_is_one_line_and_code_two(folder: Path, words: list[str], message: str) -> None:
    before = (folder / "manifest.json").read_bytes()
    done = run(folder, "--policy", "random", *words)
    assert (done.exit_code, done.stderr) == (2, f"otter data context: {message}\n")
    assert (folder / "manifest.json").read_bytes() == before


def test_a_folder_that_is_no_store_is_refused(tmp_path: Path) -> None:
    done = run(tmp_path / "nothing", "--policy", "random")
    assert done.exit_code == 2
    assert done.stderr.startswith(f"otter data context: {tmp_path / 'nothing'}: no such folder")


def test_pictures_that_cannot_be_decoded_are_counted(folder: Path, tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "broken") as writer:
        writer.add_image("I", picture(0)[:50])
        writer.add_record(Record("r", "?", "!", (("I",),)))
        writer.add_record(Record("s", "??", "!", (("I",),)))
    done = run(tmp_path / "broken", "--policy", "similar-media")
    assert done.stdout.splitlines()[-1] == (
        "  1 pictures cannot be decoded: `otter data check` names them"
    )


def test_every_policy_can_be_named() -> None:
    assert sorted(PolicyName) == sorted(POLICIES)
    assert "'nonsense' is not one of" in run("store", "--policy", "nonsense").stderr
