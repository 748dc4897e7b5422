"""From predictions to figures: the scores of every model, task, number of examples and control.

:func:`score` needs nothing but predictions, so a run can be scored again without its model. A
:class:`Cell` is one figure of the table with its interval; a :class:`Difference` compares two
models on the questions that both answered. All figures are shares between 0 and 1.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from otter.evaluate.controls import CONTROLS, last_answer, majority_answer
from otter.evaluate.intervals import Interval, mcnemar, paired_difference, wilson
from otter.evaluate.metrics.exact_match import exact_match
from otter.evaluate.predictions import Prediction


@dataclass(frozen=True)
class TaskInfo:
    """What a reader of the figures must know of a task; see ``tasks.FewShotTask``."""

    name: str
    title: str
    questions: int
    chance: float | None = None
    copy_level: float | None = None
    description: str = ""


@dataclass(frozen=True)
class Run:
    """How the predictions of one model were made.

    ``predictions`` counts the questions that were answered, ``computed`` the prompts that the model
    really ran for them: equal prompts and resumed ones are not run again.
    """

    model: str
    seed: int
    limit: int | None
    max_new_tokens: int
    predictions: int
    computed: int
    seconds: float
    metric: str = "exact match"


@dataclass(frozen=True)
class Cell:
    """One model on one task at one number of examples, true or under one control.

    Args:
        model: the model's name.
        task: the task's name.
        shots: how many examples were shown.
        control: empty for true examples, else what was broken.
        questions: how many questions were asked.
        right: how many answers were the question's own answer.
        accuracy: ``right / questions`` with its Wilson interval.
        other: where the broken examples make another answer right (swapped pictures): the share
            that gave it.
        gain: for a control, accuracy with true examples minus accuracy here, on the same questions.
        majority: what the most frequent answer of the examples would score, without a model.
        last: what the last example's answer would score, without a model.
        copied: the share of answers that are some example's answer, right or wrong.
        copied_from: the share of answers equal to that of each example, the oldest first.
    """

    model: str
    task: str
    shots: int
    control: str
    questions: int
    right: int
    accuracy: Interval
    other: Interval | None = None
    gain: Interval | None = None
    majority: float | None = None
    last: float | None = None
    copied: float | None = None
    copied_from: tuple[float, ...] = ()


@dataclass(frozen=True)
class Difference:
    """Accuracy of ``first`` minus accuracy of ``second`` on the same questions, true examples."""

    first: str
    second: str
    task: str
    shots: int
    questions: int
    value: Interval
    p: float


@dataclass(frozen=True)
class Results:
    """All figures of an evaluation; ``predictions`` stay in memory and are not part of the JSON."""

    tasks: tuple[TaskInfo, ...]
    runs: tuple[Run, ...]
    cells: tuple[Cell, ...]
    differences: tuple[Difference, ...] = ()
    predictions: tuple[Prediction, ...] = field(default=(), repr=False, compare=False)

    @property
    def models(self) -> tuple[str, ...]:
        """The models in the order in which they were evaluated."""
        return tuple(dict.fromkeys(run.model for run in self.runs))

    def task(self, name: str) -> TaskInfo:
        """The task of a name.

        Raises:
            ValueError: no such task was evaluated.
        """
        for task in self.tasks:
            if task.name == name:
                return task
        raise ValueError(
            f"task {name!r} was not evaluated: expected one of {[task.name for task in self.tasks]}"
        )

    def cell(self, model: str, task: str, shots: int, control: str = "") -> Cell | None:
        """The figure of a model, task, number of examples and control; None if not measured."""
        wanted = (model, task, shots, control)
        return next(
            (c for c in self.cells if (c.model, c.task, c.shots, c.control) == wanted), None
        )

    def shots(self, control: str = "") -> tuple[int, ...]:
        """The numbers of examples that were measured, ascending."""
        return tuple(sorted({cell.shots for cell in self.cells if cell.control == control}))

    def pooled(self, model: str, tasks: Sequence[str], shots: int) -> Interval | None:
        """Accuracy over the questions of several tasks together; None unless all were measured."""
        cells = [self.cell(model, task, shots) for task in tasks]
        measured = [cell for cell in cells if cell is not None]
        if not measured or len(measured) < len(cells):
            return None
        return wilson(
            sum(cell.right for cell in measured), sum(cell.questions for cell in measured)
        )

    def to_json(self) -> dict[str, Any]:
        """Plain dictionaries and lists, for ``json.dump``."""
        values = {**asdict(self)}
        del values["predictions"]
        return values

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Results":
        """The inverse of :meth:`to_json`."""
        return cls(
            tasks=tuple(TaskInfo(**task) for task in values["tasks"]),
            runs=tuple(Run(**run) for run in values["runs"]),
            cells=tuple(_cell_from_json(cell) for cell in values["cells"]),
            differences=tuple(
                Difference(**{**difference, "value": Interval(**difference["value"])})
                for difference in values["differences"]
            ),
        )


def score(
    predictions: Iterable[Prediction], tasks: Sequence[TaskInfo], runs: Sequence[Run]
) -> Results:
    """The figures of these predictions, in the order of runs, tasks, shots and controls.

    Differences are taken between the first run's model and each of the others.
    """
    kept = tuple(predictions)
    groups: dict[tuple[str, str, int, str], dict[int, Prediction]] = defaultdict(dict)
    for prediction in kept:
        groups[prediction.model, prediction.task, prediction.shots, prediction.control][
            prediction.row
        ] = prediction
    models = list(dict.fromkeys(run.model for run in runs))
    names = [task.name for task in tasks]
    controls = ["", *CONTROLS]
    order = sorted(
        groups, key=lambda g: (models.index(g[0]), names.index(g[1]), g[2], controls.index(g[3]))
    )
    cells = tuple(_cell(groups[group], groups.get((*group[:3], ""), {})) for group in order)
    return Results(tuple(tasks), tuple(runs), cells, _differences(groups, order, models), kept)


def join(results: Sequence[Results]) -> Results:
    """Several models' results as one, with the differences of each from the first.

    Raises:
        ValueError: nothing to join, or results that were read from JSON and so have no predictions.
    """
    if not results or not all(result.predictions for result in results):
        raise ValueError(
            "only results that still hold their predictions can be joined: "
            "score the prediction files"
        )
    tasks = {task.name: task for result in results for task in result.tasks}
    runs = [run for result in results for run in result.runs]
    return score([p for result in results for p in result.predictions], list(tasks.values()), runs)


def _cell(answers: dict[int, Prediction], true: dict[int, Prediction]) -> Cell:
    """One figure; ``answers`` and ``true`` are by row, the latter without a control."""
    given = list(answers.values())
    one = given[0]
    right = {
        row: exact_match(answer.prediction, answer.expected) for row, answer in answers.items()
    }
    diverted = [answer for answer in given if answer.implied != answer.expected]
    other = gain = None
    if diverted:
        other = wilson(sum(exact_match(a.prediction, a.implied) for a in diverted), len(diverted))
    common = [row for row in answers if row in true]
    if one.control and common:
        before = [exact_match(true[row].prediction, true[row].expected) for row in common]
        gain = paired_difference(before, [right[row] for row in common])
    return Cell(
        model=one.model,
        task=one.task,
        shots=one.shots,
        control=one.control,
        questions=len(given),
        right=sum(right.values()),
        accuracy=wilson(sum(right.values()), len(given)),
        other=other,
        gain=gain,
        **_copying(given),
    )


def _copying(given: Sequence[Prediction]) -> dict[str, Any]:
    """The figures about the examples' answers: what they score alone, and who repeats them."""
    shown = min(len(answer.example_answers) for answer in given)
    if shown == 0:
        return {}

    def share(hits: Iterable[bool]) -> float:
        return sum(hits) / len(given)

    return {
        "majority": share(
            exact_match(majority_answer(a.example_answers) or "", a.expected) for a in given
        ),
        "last": share(exact_match(last_answer(a.example_answers) or "", a.expected) for a in given),
        "copied": share(
            any(exact_match(a.prediction, shown) for shown in a.example_answers) for a in given
        ),
        "copied_from": tuple(
            share(exact_match(a.prediction, a.example_answers[place]) for a in given)
            for place in range(shown)
        ),
    }


def _differences(
    groups: dict[tuple[str, str, int, str], dict[int, Prediction]],
    order: Sequence[tuple[str, str, int, str]],
    models: Sequence[str],
) -> tuple[Difference, ...]:
    differences = []
    for model, task, shots, control in order:
        if model != models[0] or control:
            continue
        first = groups[model, task, shots, ""]
        for rival in models[1:]:
            second = groups.get((rival, task, shots, ""), {})
            rows = [row for row in first if row in second]
            if not rows:
                continue
            hits = [
                [exact_match(arm[row].prediction, arm[row].expected) for row in rows]
                for arm in (first, second)
            ]
            value, p = paired_difference(*hits), mcnemar(*hits)
            differences.append(Difference(model, rival, task, shots, len(rows), value, p))
    return tuple(differences)


def _cell_from_json(values: dict[str, Any]) -> Cell:
    values = {**values, "copied_from": tuple(values["copied_from"])}
    for name in ("accuracy", "other", "gain"):
        values[name] = None if values[name] is None else Interval(**values[name])
    return Cell(**values)
