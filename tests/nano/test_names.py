"""Names: of their part, told apart by their first letter, and the same for the same seed."""

import numpy as np
import pytest

from otter.nano.names import FAMOUS, SHORT, distinct_names, is_held_out, made_up


@pytest.mark.parametrize("held_out", [False, True])
def test_a_made_up_word_is_of_the_part_that_was_asked_for(held_out: bool) -> None:
    rng = np.random.default_rng(0)
    words = [made_up(rng, held_out=held_out) for _ in range(500)]
    assert {is_held_out(word) for word in words} == {held_out}
    assert not set(words) & set(SHORT)
    assert len(set(words)) > 400


def test_about_a_tenth_of_all_words_is_held_out_and_every_famous_one() -> None:
    rng = np.random.default_rng(0)
    trained = {made_up(rng) for _ in range(300)}
    held_out = {made_up(rng, held_out=True) for _ in range(300)}
    assert not trained & held_out
    assert not trained & set(FAMOUS)
    assert all(map(is_held_out, FAMOUS))


def test_no_short_word_is_held_out_since_the_foundation_learns_them_all() -> None:
    assert len(set(SHORT)) == 90
    assert not any(map(is_held_out, SHORT))


@pytest.mark.parametrize("options", [{}, {"short": True}, {"held_out": True}, {"among": FAMOUS}])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_names_of_an_episode_begin_with_different_letters(count: int, options: dict) -> None:
    rng = np.random.default_rng(count)
    for _ in range(50):
        names = distinct_names(rng, count, **options)
        assert len({name[0] for name in names}) == len(names) == count
        assert all(type(name) is str for name in names)


def test_names_come_from_the_words_that_are_given() -> None:
    rng = np.random.default_rng(0)
    assert set(distinct_names(rng, 2, among=("dax", "wug"))) == {"dax", "wug"}
    assert set(distinct_names(rng, 4, short=True)) <= set(SHORT)


def test_more_names_than_first_letters_are_refused() -> None:
    with pytest.raises(ValueError) as caught:
        distinct_names(np.random.default_rng(0), 3, among=("dax", "dup", "wug"))
    assert str(caught.value) == (
        "3 names that begin with different letters: expected at most 2, since the words begin "
        "with d, w"
    )
