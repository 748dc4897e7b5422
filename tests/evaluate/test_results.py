"""Figures from predictions: JSON, joining, pooling, tables."""

import json

import pytest

from otter.evaluate.controls import PICTURES_SWAPPED
from otter.evaluate.fewshot import evaluate
from otter.evaluate.intervals import mcnemar, wilson
from otter.evaluate.results import Results, join, score
from otter.evaluate.tables import (
    accuracy_table,
    controls_table,
    copying_table,
    differences_table,
    points_with_interval,
)
from otter.evaluate.tasks import FewShotTask

from .conftest import Names, Rule, bind, copy_last

SHOTS = (0, 2, 4)


@pytest.fixture(scope="module")
def both() -> Results:
    tasks = [
        FewShotTask("names", Names(), range(16), title="New names", copy_level=0.5),
        FewShotTask("few", Names(), range(8), title="Fewer names", chance=0.1),
    ]
    arms = {"binder": bind, "copier": copy_last}
    results = [evaluate(Rule(rule), tasks, model=name, shots=SHOTS) for name, rule in arms.items()]
    return join(results)


def test_json_is_plain_and_comes_back_equal(both: Results) -> None:
    text = json.dumps(both.to_json())
    assert Results.from_json(json.loads(text)) == both
    assert "predictions" not in json.loads(text)


def test_predictions_can_be_scored_again_without_a_model(both: Results) -> None:
    assert score(both.predictions, both.tasks, both.runs) == both


def test_joined_arms_are_compared_on_the_same_questions(both: Results) -> None:
    assert both.models == ("binder", "copier")
    difference = next(d for d in both.differences if (d.task, d.shots) == ("names", 4))
    assert (difference.first, difference.second) == ("binder", "copier")
    assert difference.value.value == 0.5
    assert difference.questions == 16
    assert difference.p == mcnemar([True] * 16, [True, False] * 8)


def test_results_without_predictions_cannot_be_joined(both: Results) -> None:
    with pytest.raises(ValueError, match="score the prediction files"):
        join([Results.from_json(both.to_json())])


def test_pooling_adds_questions_and_not_percentages(both: Results) -> None:
    assert both.pooled("copier", ("names", "few"), 4) == wilson(12, 24)
    assert both.pooled("copier", ("names", "few"), 3) is None


def test_an_unknown_task_is_named(both: Results) -> None:
    with pytest.raises(
        ValueError, match=r"task 'nomes' was not evaluated: expected one of \['names"
    ):
        both.task("nomes")


def test_the_accuracy_table_has_a_row_per_task_and_model(both: Results) -> None:
    table = accuracy_table(both, {"binder": "it binds"})
    assert table.columns == (
        *("task", "model", "0 examples", "2 examples", "4 examples", "chance", "copying"),
    )
    assert table.rows[0] == (
        *("New names", "it binds", "0 (0–19)", "100 (81–100)", "100 (81–100)", "", "50"),
    )
    assert [row[1] for row in table.rows] == ["it binds", "copier"] * 2
    assert table.rows[3][-2:] == ("10", "")


def test_the_controls_table_keeps_only_what_was_measured(both: Results) -> None:
    table = controls_table(both)
    assert "pictures removed" not in table.columns
    row = dict(zip(table.columns, table.rows[1], strict=True))
    assert row == {
        "task": "New names",
        "model": "binder",
        "examples": "4",
        "true examples": "100",
        "swapped: other": "100 (81–100)",
        "swapped: old": "0 (0–19)",
        "picture-dependent gain": "+100 (+73 to +100)",
        "answers shuffled": row["answers shuffled"],
        "majority vote": "50",
        "last answer": "50",
    }
    assert [len(r) for r in table.rows] == [len(table.columns)] * 8


def test_the_copying_table_counts_by_position(both: Results) -> None:
    table = copying_table(both, 4)
    assert table.columns[2:] == ("example 1", "example 2", "example 3", "example 4", "any example")
    assert table.rows[1][2:] == ("50", "50", "0", "100", "100")


def test_the_differences_table_names_who_leads(both: Results) -> None:
    table = differences_table(both, 4)
    assert table.title == "How far “binder” is ahead with 4 examples, in points"
    assert table.rows[0][:2] == ("New names", "copier")
    assert table.rows[0][2].startswith("+50 (")


def test_points_show_their_sign(both: Results) -> None:
    cell = both.cell("copier", "names", 4, PICTURES_SWAPPED)
    assert cell is not None
    assert cell.gain is not None
    text = points_with_interval(cell.gain)
    assert text.startswith("0 (−")
    assert points_with_interval(None) == ""
