"""The world as stores: reproducible, in groups, and without anything that the exam asks about."""

from dataclasses import replace
from pathlib import Path

import pytest

from otter.data import Store
from otter.nano.exam import TEST_CLASSES
from otter.nano.names import FAMOUS, SHORT, is_held_out
from otter.nano.scenes import HELD_OUT
from otter.nano.tasks import ANSWERABLE
from otter.nano.wording import is_held_out_question
from otter.nano.world import (
    FOUNDATION,
    QUICK,
    TOWER_CLASSES,
    TRAIN_CLASSES,
    TUNING,
    Stage,
    write_world,
)

from .conftest import MANY_CLASSES, TINY, groups


def image_ids(store: Store) -> list[str]:
    return [store.image_id(row) for row in range(store.image_count)]


def test_the_same_seed_gives_the_same_store_whatever_the_number_of_workers(
    tmp_path: Path,
) -> None:
    stage = replace(TUNING, groups=40, pictures=MANY_CLASSES)
    manifests = []
    for workers in (1, 3):
        write_world(tmp_path / str(workers), stage, workers=workers)
        manifests.append(Store(tmp_path / str(workers)).manifest)
    assert manifests[0] == manifests[1]
    write_world(tmp_path / "other", replace(stage, seed=21), workers=1)
    assert Store(tmp_path / "other").manifest["files"] != manifests[0]["files"]


def test_a_group_is_nine_records_and_its_last_alone_has_the_eight_others_as_examples(
    world: Store, stage: Stage
) -> None:
    found = groups(world)
    assert len(found) == stage.groups
    assert sorted(row for group in found for row in group) == list(range(len(world)))
    for *examples, question in found:
        assert list(world.record(question).related) == examples
        assert len(examples) == 8
        assert not any(world.record(row).related for row in examples)
        assert len({world.record(row).task for row in (*examples, question)}) == 1


def test_every_kind_of_task_has_about_its_share(world: Store, stage: Stage) -> None:
    tasks = [world.record(group[-1]).task for group in groups(world)]
    share = {
        "name": stage.share_naming,
        "rule": stage.share_rule,
        "format": stage.share_format,
    }
    for kind, wanted in share.items():
        found = sum(task.startswith(kind) for task in tasks) / len(tasks)
        assert found == pytest.approx(wanted, abs=0.1)
    assert {task for task in tasks if not task.startswith(tuple(share))} == set(ANSWERABLE)


def test_nothing_that_the_exam_asks_about_is_in_a_training_store(world: Store) -> None:
    for name in image_ids(world):
        kind, what, *_ = name.split("/")
        assert kind in {"glyph", "kind", "scene", "pair", "clip", "story"}, "a digit?"
        assert kind != "glyph" or int(what) in TRAIN_CLASSES
        assert kind != "kind" or tuple(reversed(what.split())) not in HELD_OUT
    for row in range(len(world)):
        record = world.record(row)
        if record.task.startswith("name_"):
            assert not is_held_out(record.answer)
            assert not is_held_out_question(record.instruction)
        assert not set(record.answer.split()) & set(FAMOUS)
        assert record.split == "train"


def test_glyph_classes_of_the_exam_are_of_no_stage() -> None:
    assert not set(TEST_CLASSES) & (set(TRAIN_CLASSES) | set(TOWER_CLASSES))
    assert len(set(TRAIN_CLASSES) - set(TOWER_CLASSES)) == 1600
    for stage in (FOUNDATION, TUNING, QUICK):
        assert set(stage.pictures.glyph_classes) <= set(TRAIN_CLASSES)
        assert not stage.pictures.digits
        assert not stage.pictures.held_out_kinds
    # What the quickstart tunes on, the tower has never seen.
    assert not set(QUICK.pictures.glyph_classes) & set(TOWER_CLASSES)


def test_the_foundation_begins_with_two_short_names_and_pictures_that_come_again(
    tmp_path: Path,
) -> None:
    write_world(tmp_path / "foundation", replace(FOUNDATION, groups=256, pictures=TINY), workers=1)
    store = Store(tmp_path / "foundation")
    ways, repeated = [], []
    for group in groups(store):
        records = [store.record(row) for row in group]
        if records[0].task != "name_glyph":
            continue
        assert {record.answer for record in records} <= set(SHORT)
        ways.append((len({record.answer for record in records}), group[-1] < len(store) // 2))
        repeated.append((len({r.media for r in records}) < 9, group[-1] < len(store) // 2))
    assert {count for count, early in ways if early} == {2}
    assert {count for count, early in ways if not early} == {2, 3, 4}
    assert any(again for again, early in repeated if early)
    assert not any(again for again, early in repeated if not early)


def test_progress_is_told_up_to_the_last_group(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    stage = replace(TUNING, groups=130, pictures=replace(TINY, scenes=20))
    write_world(
        tmp_path / "world", stage, workers=1, on_progress=lambda *counts: told.append(counts)
    )
    assert told == [(128, 130), (130, 130)]


def test_a_store_that_is_there_is_not_written_over(world: Store, stage: Stage) -> None:
    with pytest.raises(FileExistsError, match="exists already: choose another folder"):
        write_world(world.folder, stage)
