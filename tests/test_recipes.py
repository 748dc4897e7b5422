"""Every recipe that is shipped can be read."""

from pathlib import Path

import pytest

from otter import recipe

FILES = sorted(recipe.shipped_folder().rglob("*.toml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_shipped_recipe_reads_and_names_the_command_that_runs_it(path: Path) -> None:
    read = recipe.load(path)
    assert recipe.find(path.stem) == path
    assert recipe.load(path, overrides=["seed=7"]).seed == 7
    assert read.output
    head = path.read_text(encoding="utf-8").splitlines()[:4]
    assert any(line.startswith("#") and "otter " in line for line in head)


def test_there_are_recipes() -> None:
    assert FILES
