"""``otter ask``: what it says to a wrong call, and what it hands to the model."""

import json
import shlex
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from otter.cli import app

ROOT = Path(__file__).resolve().parents[2]
NANO = ROOT / "src" / "otter" / "checkpoints" / "otter-nano"


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with red.png, blue.png, and a text that calls itself text.png."""
    for name in ("red", "blue"):
        Image.new("RGB", (8, 8), name).save(tmp_path / f"{name}.png")
    (tmp_path / "text.png").write_text("no picture", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ask(*words: str) -> Result:
    return CliRunner().invoke(app, ["ask", *words])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["What is it?"],
            'there is no picture before "What is it?". Try: otter ask cat.png "What is it?"',
        ),
        (
            ["red.png"],
            'there is no question after red.png. Try: otter ask red.png "What is it?"',
        ),
        (
            ["red.png", "blue.png"],
            "the last word should be the question, and blue.png is a file. "
            'Try: otter ask red.png blue.png "What is it?"',
        ),
        (
            ["red.png", " "],
            'the question is empty. Try: otter ask red.png "What is it?"',
        ),
        (
            ["gone.png", "What?"],
            "gone.png: no such file; the pictures come first, the question last, in quotes",
        ),
        (
            ["red.png", "What?", "--example", "gone.png", "What?", "a cat"],
            "gone.png: no such file; the pictures come first, the question last, in quotes",
        ),
        (
            ["red.png", "What?", "--example", "blue.png", "What?"],
            "--example takes three values, IMAGE QUESTION ANSWER; got 2: blue.png What?. "
            'Try: --example cat.png "What is it?" "a cat"',
        ),
        (
            ["red.png", "What?", "--example"],
            "--example takes three values, IMAGE QUESTION ANSWER; got 0: nothing. "
            'Try: --example cat.png "What is it?" "a cat"',
        ),
        (
            ["red.png", "What?", "--example=blue.png"],
            "--example=... takes one value only; write --example IMAGE QUESTION ANSWER",
        ),
    ],
)
def test_a_wrong_call_is_answered_by_one_line_and_exit_code_2(
    pictures: Path, words: list[str], message: str
) -> None:
    result = ask(*words)
    assert result.stderr == f"otter ask: {message}\n"
    assert result.exit_code == 2
    assert result.stdout == ""


def test_a_file_that_is_no_picture_is_named(pictures: Path) -> None:
    result = ask("text.png", "What?")
    assert result.stderr.startswith("otter ask: text.png: not an image that can be read;")
    assert result.stderr.count("\n") == 1
    assert result.exit_code == 2


def test_an_unknown_model_is_named_with_what_there_is(pictures: Path) -> None:
    result = ask("red.png", "What?", "--model", "./otter-giant")
    assert result.stderr.startswith("otter ask: no checkpoint './otter-giant': expected ")
    assert "otter-nano" in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.exit_code == 2


class FakeFamiliarity:
    """Blue is out of this world."""

    threshold = 3.0

    def warning(self, distance: float, name: str) -> str:
        return f"{distance:g} is far for {name}"


class FakeOtter:
    """Remembers what it was asked, and says what it was made with."""

    name = "fake"
    familiarity = FakeFamiliarity()

    def __init__(self, *pieces: str) -> None:
        self.pieces = pieces
        self.asked: list[Any] = []

    def distance(self, medium: Image.Image) -> float:
        return 5.5 if medium.getpixel((0, 0)) == (0, 0, 255) else 1.0

    def stream(
        self, media: list[Image.Image], question: str, examples: list[Any], max_new_tokens: int
    ) -> Iterator[str]:
        self.asked.append((media, question, examples, max_new_tokens))
        yield from self.pieces


@pytest.fixture
def fake(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> FakeOtter:
    model = FakeOtter("d", "ax")
    # By import_module: the attribute otter.cli.ask is the command of that name.
    monkeypatch.setattr(import_module("otter.cli.ask"), "_loaded", lambda name: model)
    return model


def test_the_answer_is_all_that_is_printed(fake: FakeOtter) -> None:
    result = ask("red.png", "What is it?")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "dax\n", "")


def test_pictures_question_and_examples_reach_the_model_in_order(fake: FakeOtter) -> None:
    ask(
        *("red.png", "blue.png", "What differs?", "--max-new-tokens", "7"),
        *("--example", "blue.png", "first?", "one", "--example", "red.png", "second?", "two"),
    )
    [(media, question, examples, limit)] = fake.asked
    assert [image.getpixel((0, 0)) for image in media] == [(255, 0, 0), (0, 0, 255)]
    assert (question, limit) == ("What differs?", 7)
    assert [(e.question, e.answer) for e in examples] == [("first?", "one"), ("second?", "two")]
    assert examples[0].media[0] is media[1]  # the same file is opened once, and encoded once


def test_a_picture_outside_the_models_world_is_named_on_stderr(fake: FakeOtter) -> None:
    result = ask("red.png", "What?", "--example", "blue.png", "What?", "wug")
    assert result.stderr == "blue.png: 5.5 is far for fake\n"
    assert result.stdout == "dax\n"


def test_json_holds_the_answer_and_what_led_to_it(fake: FakeOtter) -> None:
    result = ask("blue.png", "What?", "--json", "--example", "red.png", "Which?", "wug")
    assert json.loads(result.stdout) == {
        "question": "What?",
        "answer": "dax",
        "model": "otter-nano",
        "images": ["blue.png"],
        "examples": [{"image": "red.png", "question": "Which?", "answer": "wug"}],
        "unfamiliar": {"blue.png": {"distance": 5.5, "threshold": 3.0}},
    }


def test_a_problem_found_while_answering_is_one_line_too(
    fake: FakeOtter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stream(*_: Any, **__: Any) -> Iterator[str]:
        raise ValueError("the prompt is too long: leave out examples")

    monkeypatch.setattr(fake, "stream", stream)
    result = ask("red.png", "What?")
    assert result.stderr == "otter ask: the prompt is too long: leave out examples\n"
    assert result.exit_code == 2


@pytest.mark.skipif(not NANO.exists(), reason="otter-nano is not in this checkout")
def test_the_readmes_question_is_answered_and_swapped_names_swap_the_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    text = (ROOT / "README.md").read_text(encoding="utf-8").replace("\\\n", " ")
    line = next(line for line in text.splitlines() if line.startswith(".venv/bin/otter ask"))
    words = shlex.split(line)[2:]
    swapped = [{"dax": "wug", "wug": "dax"}.get(word, word) for word in words]
    assert ask(*words).stdout == "dax\n"
    assert ask(*swapped).stdout == "wug\n"
