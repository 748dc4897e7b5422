"""Tasks: answers are true of the pictures, and what only examples can tell is told by them."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from otter.nano.names import is_held_out
from otter.nano.scenes import COLOURS, HELD_OUT, PLACES, SHAPES, Scene
from otter.nano.tasks import (
    ANSWERABLE,
    ASK,
    RULES,
    Naming,
    Turn,
    answer_format,
    count_rule,
    naming,
    standard,
)
from otter.nano.wording import NUMBERS, WORDINGS, is_held_out_question

from .conftest import Drawn

BLANKS = {
    "colour": "|".join(COLOURS),
    "shape": "|".join(SHAPES),
    "place": "|".join(PLACES),
}


def blanks(task: str, question: str) -> dict[str, str]:
    """What the blanks of a question were filled with."""
    for wording in WORDINGS[task.removesuffix("_held_out")]:
        pattern = re.escape(wording)
        for name, choices in BLANKS.items():
            pattern = pattern.replace(re.escape(f"{{{name}}}"), f"(?P<{name}>{choices})")
        if match := re.fullmatch(pattern, question):
            return match.groupdict()
    raise AssertionError(f"{question!r} is no question of {task}")


def scene_of(drawn: Drawn, turn: Turn) -> Scene:
    """The scene on the one picture of a turn."""
    [[name]] = turn.media
    pictures = drawn.pictures
    [scene] = [s.scene for s in (*pictures.scenes, *pictures.held_out_scenes) if s.id == name]
    return scene


def counted(scene: Scene, **marks: str) -> str:
    """How many things have these marks, in words."""
    return NUMBERS[sum(all(getattr(t, k) == v for k, v in marks.items()) for t in scene.things)]


def only(scene: Scene, **marks: str) -> Any:
    """The one thing with these marks."""
    [thing] = [t for t in scene.things if all(getattr(t, k) == v for k, v in marks.items())]
    return thing


def described(scene: Scene) -> str:
    """The things from top left to bottom right."""
    at = {PLACES[thing.place]: thing for thing in scene.things}
    said = [f"a {t.size} {t.colour} {t.shape} at the {p}" for p in PLACES if (t := at.get(p))]
    return " and ".join(said)


TRUTH: dict[str, Callable[..., str]] = {
    "count": lambda scene: counted(scene),
    "count_colour": counted,
    "colour": lambda scene, shape: only(scene, shape=shape).colour,
    "shape": lambda scene, colour: only(scene, colour=colour).shape,
    "where": lambda scene, **kind: PLACES[only(scene, **kind).place],
    "yes_no": lambda scene, **kind: "no" if counted(scene, **kind) == "zero" else "yes",
    "describe": described,
}


def what_is_at(scene: Scene, place: str) -> str:
    """The thing in a place."""
    thing = only(scene, place=PLACES.index(place))
    return f"a {thing.colour} {thing.shape}"


TRUTH["at"] = what_is_at
TRUTH["colour_held_out"] = TRUTH["colour"]
TRUTH["shape_held_out"] = TRUTH["shape"]


@pytest.mark.parametrize("task", TRUTH)
def test_an_answer_about_a_picture_is_true_of_its_scene(drawn: Drawn, task: str) -> None:
    turns = standard(task, drawn.pictures, 150, np.random.default_rng(1))
    for turn in turns:
        scene = scene_of(drawn, turn)
        assert turn.answer == TRUTH[task](scene, **blanks(task, turn.question)), turn
        assert turn.weight == 1
    assert len({turn.answer for turn in turns}) > 1


@pytest.mark.parametrize("task", ["colour_held_out", "shape_held_out"])
def test_a_held_out_question_is_about_a_kind_that_is_held_out(drawn: Drawn, task: str) -> None:
    for turn in standard(task, drawn.pictures, 50, np.random.default_rng(1)):
        marks = blanks(task, turn.question)
        marks["shape" if task.startswith("shape") else "colour"] = turn.answer
        assert (marks["shape"], marks["colour"]) in HELD_OUT


def test_the_difference_is_what_changed_between_the_frames(drawn: Drawn) -> None:
    for turn in standard("difference", drawn.pictures, 80, np.random.default_rng(1)):
        [frames] = turn.media
        before, after = (
            {(t.colour, t.shape, PLACES[t.place]) for t in scene.things}
            for scene in drawn.scenes_of[frames]
        )
        gone, new = before - after, after - before
        words = turn.answer.split()
        if words[-1] == "added":
            assert not gone
            [(colour, shape, _)] = new
            assert turn.answer == f"a {colour} {shape} was added"
            continue
        [(colour, shape, place)] = gone
        known = f"the {colour} {shape}"
        if words[-1] == "removed":
            assert (turn.answer, new) == (f"{known} was removed", set())
            continue
        [(new_colour, new_shape, new_place)] = new
        assert new_shape == shape
        changed = f"moved to the {new_place}" if new_place != place else f"became {new_colour}"
        assert turn.answer == f"{known} {changed}"


def test_the_thing_that_is_asked_about_moves_as_the_answer_says(drawn: Drawn) -> None:
    for turn in standard("motion", drawn.pictures, 80, np.random.default_rng(1)):
        kind = blanks("motion", turn.question)
        [frames] = turn.media
        places = [only(scene, **kind).centre for scene in drawn.scenes_of[frames]]
        (x, y), (to_x, to_y) = places[0], places[-1]
        along = max((abs(to_x - x), to_x - x, "rl"), (abs(to_y - y), to_y - y, "du"))
        assert turn.answer[0] == along[2][along[1] < 0], (turn, places)


def test_the_number_that_comes_next_goes_on_with_the_story(drawn: Drawn) -> None:
    for turn in standard("story", drawn.pictures, 80, np.random.default_rng(1)):
        [frames] = turn.media
        first, second, third = (len(scene.things) for scene in drawn.scenes_of[frames])
        assert second - first == third - second
        assert turn.answer == NUMBERS[2 * third - second]


def test_two_glyphs_are_the_same_when_their_class_is_and_never_one_picture(drawn: Drawn) -> None:
    turns = standard("same", drawn.pictures, 100, np.random.default_rng(1))
    for turn in turns:
        [left], [right] = turn.media
        assert left != right
        same = left.split("/")[1] == right.split("/")[1]
        assert turn.answer == ("yes" if same else "no")
    assert {turn.answer for turn in turns} == {"yes", "no"}


def test_every_answerable_task_can_be_asked() -> None:
    assert set(ANSWERABLE) <= set(ASK)
    assert set(ASK) - set(ANSWERABLE) == {"colour_held_out", "shape_held_out"}


@pytest.mark.parametrize("ways", [2, 3, 4])
def test_the_first_turns_show_each_name_once_and_only_later_ones_are_learned(
    drawn: Drawn, ways: int
) -> None:
    for seed in range(20):
        turns = naming(drawn.pictures.glyphs, Naming(ways=ways), np.random.default_rng(seed))
        assert len(turns) == 9
        first, later = turns[:ways], turns[ways:]
        names = {turn.answer for turn in first}
        assert len(names) == ways == len({name[0] for name in names})
        assert {turn.answer for turn in later} <= names
        assert [turn.weight for turn in turns] == [0.0] * ways + [1.0] * (9 - ways)


def test_a_name_means_one_class_in_its_group(drawn: Drawn) -> None:
    for seed in range(20):
        turns = naming(drawn.pictures.glyphs, Naming(ways=4), np.random.default_rng(seed))
        classes = {(turn.answer, turn.media[0][0].split("/")[1]) for turn in turns}
        assert len(classes) == 4
        assert len({name for name, _ in classes}) == len({number for _, number in classes}) == 4


def test_pictures_come_again_only_where_that_is_wanted(drawn: Drawn) -> None:
    def shown(repeat: float) -> list[int]:
        how = Naming(repeat=repeat)
        groups = (naming(drawn.pictures.glyphs, how, np.random.default_rng(n)) for n in range(20))
        return [len({turn.media for turn in group}) for group in groups]

    assert set(shown(0.0)) == {9}
    assert set(shown(1.0)) == {2}


def test_a_class_with_few_pictures_shows_them_again(drawn: Drawn) -> None:
    turns = naming([ids[:2] for ids in drawn.pictures.glyphs], Naming(), np.random.default_rng(0))
    assert len({turn.media for turn in turns}) == 4


@pytest.mark.parametrize("held_out", [False, True])
def test_names_and_wordings_are_of_the_part_that_was_asked_for(
    drawn: Drawn, held_out: bool
) -> None:
    how = Naming(held_out_names=held_out, held_out_wording=held_out)
    turns = [
        turn
        for seed in range(20)
        for turn in naming(drawn.pictures.glyphs, how, np.random.default_rng(seed))
    ]
    assert {is_held_out(turn.answer) for turn in turns} == {held_out}
    assert {is_held_out_question(turn.question) for turn in turns} == {held_out}


def test_the_question_is_asked_in_the_same_words_unless_rewording_is_wanted(drawn: Drawn) -> None:
    def questions(reword: float) -> int:
        how = Naming(reword=reword)
        return len({t.question for t in naming(drawn.pictures.glyphs, how, rng)})

    rng = np.random.default_rng(0)
    assert questions(0.0) == 1
    assert questions(1.0) > 4


def test_all_numbers_of_a_rule_group_follow_one_rule(drawn: Drawn) -> None:
    found = set()
    for seed in range(40):
        turns = count_rule(drawn.pictures, 9, np.random.default_rng(seed))
        counts = [len(scene_of(drawn, turn).things) for turn in turns]
        fitting = [
            name
            for name, (times, plus) in RULES.items()
            if all(
                turn.answer == NUMBERS[times * count + plus]
                for turn, count in zip(turns, counts, strict=True)
            )
        ]
        assert fitting
        found |= set(fitting)
        assert [turn.weight for turn in turns] == [0.0] + [1.0] * 8
    assert found == set(RULES)


def test_all_answers_of_a_format_group_are_true_and_of_one_form(drawn: Drawn) -> None:
    forms = set()
    for seed in range(80):
        turns = answer_format(drawn.pictures, 9, np.random.default_rng(seed))
        assert [turn.weight for turn in turns] == [0.0] + [1.0] * 8
        forms.add(form_of(drawn, turns))
    plain = {"it is {}", "{} {}", "I see {}.", "{upper}!", '{{"answer": "{}"}}'}
    assert plain <= forms
    others = forms - plain
    assert {form.index("{") == 0 for form in others} == {True, False}  # a word before, or after
    words = {form.replace("{}", "").strip() for form in others}
    assert not any(map(is_held_out, words))


def form_of(drawn: Drawn, turns: list[Turn]) -> str:
    """The form that all answers of a group share."""
    shared: set[str] = set()
    for turn in turns:
        scene = scene_of(drawn, turn)
        try:
            truth = only(scene, **blanks("format_colour", turn.question)).colour
        except AssertionError:
            truth = only(scene, **blanks("format_shape", turn.question)).shape
        answer = turn.answer.replace("{", "{{").replace("}", "}}")
        form = answer.replace(truth, "{}").replace(truth.upper(), "{upper}")
        assert "{" in form, turn
        shared.add(form)
    [form] = shared
    return form
