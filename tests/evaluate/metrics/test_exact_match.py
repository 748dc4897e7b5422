"""Exact match forgives white space around the answer and nothing else."""

import pytest

from otter.evaluate.metrics.exact_match import exact_match


@pytest.mark.parametrize("said", ["dax", " dax", "dax\n"])
def test_white_space_around_an_answer_does_not_count(said: str) -> None:
    assert exact_match(said, "dax")


@pytest.mark.parametrize("said", ["Dax", "dax.", "d ax", "daxx", ""])
def test_everything_else_counts(said: str) -> None:
    assert not exact_match(said, "dax")
