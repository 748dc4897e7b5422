"""The exam: every task, held out from training, and the same questions whatever else is asked."""

from pathlib import Path
from typing import Any

import pytest

from otter.data import Store
from otter.nano.exam import EXAM, TEST_CLASSES, write_exam
from otter.nano.names import FAMOUS, SHORT, is_held_out
from otter.nano.pictures import PictureCounts
from otter.nano.scenes import HELD_OUT
from otter.nano.wording import is_held_out_question

from .conftest import groups

NAMING = [task for task in EXAM if task.startswith("name_")]


def episodes(store: Store, task: str) -> list[list[Any]]:
    """The records of each group of a task, the question last."""
    return [[store.record(row) for row in group] for group in groups(store, task)]


def shown(store: Store, record: Any) -> str:
    """The id of a record's one picture."""
    [[row]] = record.media
    return store.image_id(row)


def test_every_task_has_its_questions_with_eight_examples(exam: Store) -> None:
    assert {entry["task"] for entry in exam.manifest["tasks"]} == set(EXAM)
    for task in EXAM:
        found = episodes(exam, task)
        assert [len(group) for group in found] == [9] * 4
        assert all(record.split == "test" for group in found for record in group)
        assert not any(record.related for group in found for record in group[:-1])


def test_titles_are_told_apart_and_every_task_is_described() -> None:
    assert len({task.title for task in EXAM.values()}) == len(EXAM)
    assert all(task.description.endswith(".") for task in EXAM.values())


@pytest.mark.parametrize("task", NAMING)
def test_names_are_held_out_and_wordings_where_the_task_says_so(exam: Store, task: str) -> None:
    for group in episodes(exam, task):
        names = {record.answer for record in group}
        assert {is_held_out(name) for name in names} == {not task.endswith("short")}
        assert names.isdisjoint(SHORT) != task.endswith("short")
        assert len(names) == (4 if task.endswith("4_way") else 2)
        assert EXAM[task].copy_level == 1 / len(names)
        new_wording = {is_held_out_question(record.instruction) for record in group}
        assert new_wording == {task.endswith("new_wording")}
        if task.endswith("famous"):
            assert names <= set(FAMOUS)


@pytest.mark.parametrize("task", EXAM)
def test_the_picture_that_is_asked_about_is_no_example(exam: Store, task: str) -> None:
    for *examples, question in episodes(exam, task):
        shown_before = {row for record in examples for medium in record.media for row in medium}
        assert shown_before.isdisjoint(row for medium in question.media for row in medium)
        assert question.weight == 1


def test_pictures_are_of_the_part_that_training_never_sees(exam: Store) -> None:
    for task in NAMING:
        for group in episodes(exam, task):
            for record in group:
                kind, what, _ = shown(exam, record).split("/")
                colour_and_shape = tuple(reversed(what.split()))
                assert kind == ("kind" if "_kind" in task else kind)
                if "glyph" in task:
                    assert kind == "glyph"
                    assert int(what) in TEST_CLASSES
                elif "digit" in task:
                    assert kind == "digit"
                    assert int(what) in range(10)
                elif task == "name_kind_held_out":
                    assert colour_and_shape in HELD_OUT
                else:
                    assert colour_and_shape not in HELD_OUT


def test_a_tasks_questions_do_not_depend_on_the_other_tasks(
    exam: Store, small_exam: PictureCounts, tmp_path: Path
) -> None:
    write_exam(tmp_path / "exam", groups=2, tasks=("count", "name_digit"), workers=1)
    alone = Store(tmp_path / "exam")
    assert {entry["task"] for entry in alone.manifest["tasks"]} == {"count", "name_digit"}
    for task in ("count", "name_digit"):
        for one, other in zip(episodes(alone, task), episodes(exam, task), strict=False):
            assert [(r.id, r.instruction, r.answer) for r in one] == [
                (r.id, r.instruction, r.answer) for r in other
            ]
            assert [shown(alone, r) for r in one] == [shown(exam, r) for r in other]


def test_the_same_seed_gives_the_same_exam(
    exam: Store, small_exam: PictureCounts, tmp_path: Path
) -> None:
    write_exam(tmp_path / "again", groups=4, workers=2)
    assert Store(tmp_path / "again").manifest == exam.manifest


def test_an_unknown_task_is_named_before_anything_is_drawn(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^unknown exam tasks \['counts'\]: expected some of "):
        write_exam(tmp_path / "exam", tasks=("counts", "rule"))
    assert not list(tmp_path.iterdir())
