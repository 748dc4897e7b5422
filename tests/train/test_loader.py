"""From a recipe's stores to batches."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from otter.prompt import Episode, Example
from otter.recipe import DataPart, Loss, Recipe
from otter.train.loader import Collator, build_loader, build_mixture

RecipeFor = Callable[..., Recipe]


@pytest.fixture
def processor(fresh: Callable[[Path], Any], checkpoint_folder: Path) -> Any:
    return fresh(checkpoint_folder).processor


EPISODES = [
    Episode("a?", examples=[Example("b?", "xy"), Example("c?", "z", weight=0)], answer="xyz"),
    Episode("d?", answer="w"),
]


def test_answers_of_examples_are_learned_too(processor: Any) -> None:
    batch = Collator(processor, Loss())(EPISODES)
    # "xy", "xyz" and "w", each with its end of chunk; "z" has weight 0.
    assert (batch["pairs"], batch["weight"]) == (3, 3 + 4 + 2)
    assert batch["tokens"] == int(batch["attention_mask"].sum())


def test_only_the_question_is_learned_when_so_said(processor: Any) -> None:
    batch = Collator(processor, Loss(on="question"))(EPISODES)
    assert (batch["pairs"], batch["weight"]) == (2, 4 + 2)


def test_rest_weight_reaches_the_batch(processor: Any) -> None:
    batch = Collator(processor, Loss(rest_weight=0.5))(EPISODES)
    assert batch["weight"] == pytest.approx(3 + 0.5 * (2 + 3 + 1))


def test_kept_positions_predict_the_learned_tokens(processor: Any) -> None:
    batch = Collator(processor, Loss())(EPISODES)
    learned = batch["labels"] != -100
    following = batch["input_ids"][:, batch["logits_to_keep"] + 1]
    assert torch.equal(following[learned], batch["labels"][learned])
    assert learned.any(0).all()


@pytest.mark.parametrize(("shots", "counts"), [("none", {0}), (1, {0, 1}), ("related", {0, 1, 2})])
def test_shots_say_how_many_examples_come(
    recipe_for: RecipeFor, shots: Any, counts: set[int]
) -> None:
    recipe = recipe_for()
    part = replace(recipe.data[0], shots=shots)
    mixture = build_mixture(replace(recipe, data=(part,)), 48)
    assert {len(episode.examples) for episode in mixture} == counts


def test_questions_without_examples_can_be_left_out(recipe_for: RecipeFor) -> None:
    recipe = recipe_for()
    part = replace(recipe.data[0], questions="with_examples")
    mixture = build_mixture(replace(recipe, data=(part,)), 48)
    assert {len(episode.examples) for episode in mixture} == {1, 2}


def test_parts_are_mixed_by_task_and_weight(recipe_for: RecipeFor, store_folder: Path) -> None:
    parts = tuple(
        DataPart(str(store_folder), tasks=(task,), weight=weight)
        for task, weight in (("a", 3.0), ("b", 1.0))
    )
    mixture = build_mixture(recipe_for(data=parts), 1024)
    rows = mixture.table()
    assert [row.part.rpartition(":")[2] for row in rows] == ["a", "b"]
    assert [row.share for row in rows] == [0.75, 0.25]
    assert {episode.answer for episode in mixture} == {"red", "green"}


@pytest.mark.parametrize("workers", [0, 1])
def test_text_pictures_and_clips_share_a_batch(
    recipe_for: RecipeFor, processor: Any, workers: int
) -> None:
    recipe = recipe_for(workers=workers, batch_size=8)
    loader = build_loader(recipe, build_mixture(recipe, 24), Collator(processor, recipe.loss))
    batches = list(loader)
    assert len(batches) == 3
    frames = torch.cat([(batch["media_index"] >= 0).sum(-1).flatten() for batch in batches])
    assert set(frames.tolist()) == {0, 1, 2}
