"""Wordings: hundreds for a name, a tenth of them held out, and every blank filled."""

import numpy as np
import pytest

from otter.nano.wording import NAME_QUESTIONS, WORDINGS, ask, ask_name, is_held_out_question

BLANKS = {"colour": "red", "shape": "moon", "place": "top left"}


def test_there_are_hundreds_of_ways_to_ask_for_a_name_and_a_tenth_is_held_out() -> None:
    assert len(set(NAME_QUESTIONS)) == len(NAME_QUESTIONS) == 420
    share = sum(map(is_held_out_question, NAME_QUESTIONS)) / len(NAME_QUESTIONS)
    assert 0.05 < share < 0.15


@pytest.mark.parametrize("held_out", [False, True])
def test_a_question_is_of_the_part_that_was_asked_for(held_out: bool) -> None:
    rng = np.random.default_rng(0)
    asked = {ask_name(rng, held_out=held_out) for _ in range(300)}
    assert {is_held_out_question(question) for question in asked} == {held_out}
    assert len(asked) > 20


@pytest.mark.parametrize("task", WORDINGS)
def test_every_task_is_asked_in_several_ways_without_a_blank_left(task: str) -> None:
    rng = np.random.default_rng(0)
    asked = {ask(task, rng, **BLANKS) for _ in range(60)}
    assert len(asked) == len(WORDINGS[task]) >= 2
    assert not any("{" in question for question in asked)


def test_no_two_tasks_share_a_question_except_where_only_the_examples_can_tell() -> None:
    questions = [wording for wordings in WORDINGS.values() for wording in wordings]
    assert len(set(questions)) == len(questions)
    assert not set(questions) & set(NAME_QUESTIONS)
