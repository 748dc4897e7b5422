"""``otter ask``: one question about pictures, with or without worked examples."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from otter.cli.failure import fail

if TYPE_CHECKING:
    from otter.model.answer import Otter
    from otter.prompt import Medium

BETWEEN = "\0"
"""Joins the three values of an example; no argument of a process can contain it."""


class AskCommand(TyperCommand):
    """Lets ``--example`` take three values and come more than once, which typer cannot declare.

    Before typer sees ``--example a.png "Q" "A"``, the three values are joined into one.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Join the values of each example, then parse as usual."""
        joined: list[str] = []
        rest = list(args)
        while rest and rest[0] != "--":
            joined.append(rest.pop(0))
            if joined[-1] == "--example":
                values, rest = rest[:3], rest[3:]
                if len(values) < 3:
                    fail(
                        "ask",
                        "--example takes three values, IMAGE QUESTION ANSWER; "
                        f"got {len(values)}: {' '.join(values) or 'nothing'}. "
                        'Try: --example cat.png "What is it?" "a cat"',
                    )
                joined.append(BETWEEN.join(values))
        return super().parse_args(ctx, joined + rest)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The usage line, in the form in which the command is typed."""
        return ["[OPTIONS]", "IMAGE...", '"QUESTION"']


def ask(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar='IMAGE... "QUESTION"',
            help="Picture or video files, then the question.",
            show_default=False,
        ),
    ],
    example: Annotated[
        list[str] | None,
        typer.Option(
            "--example",
            metavar='IMAGE "QUESTION" "ANSWER"',
            help="A worked example that the model sees first; may be repeated.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str, typer.Option("--model", metavar="PATH|ID", help="A checkpoint folder or name.")
    ] = "otter-nano",
    max_new_tokens: Annotated[
        int, typer.Option("--max-new-tokens", min=1, help="Where a long answer is cut.")
    ] = 64,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the answer and what led to it as JSON.")
    ] = False,
) -> None:
    """Ask a question about pictures.

    Example: otter ask new.png "what is this?" --example a.png "what is this?" dax --example b.png
    "what is this?" wug
    """
    *images, question = words
    shown = [value.split(BETWEEN) for value in example or []]
    if any(len(values) != 3 for values in shown):
        fail("ask", "--example=... takes one value only; write --example IMAGE QUESTION ANSWER")
    _check_words(images, question, [image for image, _, _ in shown])
    _ask(images, question, shown, model, max_new_tokens, as_json)


def _check_words(images: list[str], question: str, shown: list[str]) -> None:
    """Find what is wrong with the arguments before anything slow is loaded."""
    if not images and Path(question).is_file():
        fail(
            "ask", f'there is no question after {question}. Try: otter ask {question} "What is it?"'
        )
    if not images:
        fail("ask", f'there is no picture before "{question}". Try: otter ask cat.png "{question}"')
    if Path(question).is_file():
        fail(
            "ask",
            f"the last word should be the question, and {question} is a file. "
            f'Try: otter ask {" ".join(images)} {question} "What is it?"',
        )
    if not question.strip():
        fail("ask", f'the question is empty. Try: otter ask {" ".join(images)} "What is it?"')
    for file in [*shown, *images]:
        if not Path(file).is_file():
            fail(
                "ask",
                f"{file}: no such file; the pictures come first, the question last, in quotes",
            )


def _ask(
    images: list[str],
    question: str,
    shown: list[list[str]],
    name: str,
    max_new_tokens: int,
    as_json: bool,
) -> None:
    from otter.prompt import Example

    try:
        media = {file: _opened(file) for file in [*images, *(file for file, _, _ in shown)]}
        examples = [Example(asked, said, [media[file]]) for file, asked, said in shown]
        model = _loaded(name)
        unfamiliar = _unfamiliar(model, media)
        pieces = model.stream(
            [media[file] for file in images], question, examples, max_new_tokens=max_new_tokens
        )
        answer = "".join(pieces) if as_json else _said(pieces)
    except (ImportError, OSError, ValueError) as error:
        fail("ask", error)
    if as_json:
        report = {
            "question": question,
            "answer": answer,
            "model": name,
            "images": images,
            "examples": [
                {"image": file, "question": asked, "answer": said} for file, asked, said in shown
            ],
            "unfamiliar": unfamiliar,
        }
        print(json.dumps(report, ensure_ascii=False, indent=2))


def _opened(file: str) -> "Medium":
    """A picture, decoded now so that a bad one is known before the model is loaded; or a video."""
    from otter.media import is_video_file, open_image

    return Path(file) if is_video_file(file) else open_image(file)


def _loaded(name: str) -> "Otter":
    from transformers.utils import logging

    from otter.model.answer import load

    # Reports of the loading are for those who train; here they would stand in front of the answer.
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    return load(name)


def _unfamiliar(model: "Otter", media: "dict[str, Medium]") -> dict[str, dict[str, float]]:
    """The pictures outside of the model's world, each with its distance; a warning for each."""
    found: dict[str, dict[str, float]] = {}
    for file, medium in media.items():
        distance = model.distance(medium)
        if model.familiarity is None or distance is None:
            continue
        if distance > model.familiarity.threshold:
            typer.echo(f"{file}: {model.familiarity.warning(distance, model.name)}", err=True)
            found[file] = {"distance": distance, "threshold": model.familiarity.threshold}
    return found


def _said(pieces: Iterable[str]) -> str:
    """Print the answer, on a terminal as it comes."""
    live = sys.stdout.isatty()
    kept = []
    for piece in pieces:
        kept.append(piece)
        if live:
            print(piece, end="", flush=True)
    answer = "".join(kept)
    print("" if live else answer)
    return answer
