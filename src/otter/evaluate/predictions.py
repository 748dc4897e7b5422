"""What a model answered, one JSON line per question, written before anything is scored.

A prediction is keyed by everything that could change it: task, row, number of examples, control,
the model's name, the length limit and the prompt with its pictures. A run that was cut off goes
on from the lines that are there; a changed prompt has another key and is asked again. The lines
hold all that scoring needs, so scores can be made again later without model and store.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL.Image import Image

from otter.prompt import Episode, Medium, is_clip


@dataclass(frozen=True)
class Prediction:
    """One answer of one model.

    Args:
        model: the name of the arm.
        task: the task's name.
        row: the question's row in the task's store.
        shots: how many examples were shown.
        control: what was broken on purpose, a name of ``controls.CONTROLS``; empty for the true
            episode.
        prediction: what the model said.
        expected: the question's own answer.
        implied: what the examples as shown make right; differs from ``expected`` when pictures
            are swapped.
        example_answers: the answers that the examples showed, oldest first.
        key: hash of all that the answer depends on.
        prompt: hash of model, limit, text and pictures alone: equal prompts are run once.
    """

    model: str
    task: str
    row: int
    shots: int
    control: str
    prediction: str
    expected: str
    implied: str
    example_answers: tuple[str, ...]
    key: str
    prompt: str

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Prediction":
        """The inverse of the line that :class:`PredictionLog` writes."""
        return cls(**{**values, "example_answers": tuple(values["example_answers"])})


def prompt_hash(episode: Episode, *, model: str, max_new_tokens: int) -> str:
    """A hash of what the model is shown: every message in order, each picture by its content."""
    messages = episode.messages()
    for message in messages:
        for part in message["content"]:
            if part["type"] != "text":
                part[part["type"]] = _medium_hash(part[part["type"]])
    return _digest([model, max_new_tokens, messages])


def prediction_key(
    *, task: str, row: int, shots: int, control: str, expected: str, prompt: str
) -> str:
    """A hash of which question this is; ``prompt`` is :func:`prompt_hash`, which has the model."""
    return _digest([task, row, shots, control, expected, prompt])


class PredictionLog:
    """The predictions of a run, in memory and, with a path, appended to a file as they come.

    Opening an existing file reads it. A last line that a kill cut short is dropped, so that the
    question is asked again; anything else that is not a prediction is refused.

    Raises:
        ValueError: a line of the file is not a prediction.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.by_key: dict[str, Prediction] = {}
        self.by_prompt: dict[str, str] = {}
        self._path = path
        if path is not None and path.exists():
            self._drop_unfinished_line(path)
            for prediction in read_predictions(path):
                self._remember(prediction)
        elif path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)

    def add(self, predictions: Iterable[Prediction]) -> None:
        """Keep the predictions; they are on disk when this returns."""
        new = list(predictions)
        for prediction in new:
            self._remember(prediction)
        if self._path is not None and new:
            with self._path.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(asdict(prediction)) + "\n" for prediction in new)

    def _remember(self, prediction: Prediction) -> None:
        self.by_key[prediction.key] = prediction
        self.by_prompt[prediction.prompt] = prediction.prediction

    @staticmethod
    def _drop_unfinished_line(path: Path) -> None:
        content = path.read_bytes()
        complete = content.rfind(b"\n") + 1
        if complete < len(content):
            with path.open("r+b") as file:
                file.truncate(complete)


def read_predictions(path: Path) -> list[Prediction]:
    """The predictions of a file, in the order in which they came.

    Raises:
        ValueError: a line is not a prediction.
    """
    predictions = []
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                predictions.append(Prediction.from_json(json.loads(line)))
            except (ValueError, TypeError, KeyError) as error:
                raise ValueError(
                    f"{path}, line {number}: {line.strip()[:80]!r} is not a prediction ({error}). "
                    "Expected a file that an evaluation wrote; name another one, or remove it to "
                    "start again"
                ) from error
    return predictions


def _medium_hash(medium: Medium) -> str | list[str]:
    if is_clip(medium):
        return [_picture_hash(frame) for frame in medium]  # type: ignore[union-attr]  # is_clip says it is a list
    return _picture_hash(medium)


def _picture_hash(picture: Any) -> str:
    if isinstance(picture, Image):
        buffer = BytesIO()
        picture.save(buffer, "PNG")
        picture = buffer.getvalue()
    elif not isinstance(picture, bytes):
        picture = Path(picture).read_bytes()
    return hashlib.blake2b(picture, digest_size=16).hexdigest()


def _digest(parts: list[Any]) -> str:
    text = json.dumps(parts, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
