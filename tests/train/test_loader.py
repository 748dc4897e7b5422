"""From a recipe's stores to batches."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from otter.prompt import Episode, Example, is_clip
from otter.recipe import DataPart, Loss, Recipe
from otter.train.loader import Collator, TokenCount, build_loader, build_mixture

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


@pytest.mark.parametrize(
    ("changes", "counts"),
    [
        ({"shots": (1, 2)}, {0, 1, 2}),
        ({"shots": {"0": 0.5, "2": 0.5}}, {0, 1, 2}),
        ({"shots": {"1": 1.0}}, {0, 1}),
        ({"max_images": 1, "max_tokens": 10_000}, {0, 1, 2}),
        ({"max_tokens": 1}, {0}),
    ],
)
def test_parts_of_a_recipe_can_say_all_that_parts_of_a_mixture_can(
    recipe_for: RecipeFor, changes: dict[str, Any], counts: set[int]
) -> None:
    recipe = recipe_for()
    part = replace(recipe.data[0], **changes)
    mixture = build_mixture(replace(recipe, data=(part,)), 48)
    assert {len(episode.examples) for episode in mixture} == counts
    if "max_images" in changes:
        for episode in mixture:
            media = [medium for medium in episode.all_media() if not is_clip(medium)]
            assert len(media) <= 1


def test_examples_of_a_recipe_can_be_turned_round(recipe_for: RecipeFor) -> None:
    recipe = recipe_for()
    turned = replace(recipe.data[0], example_order="most-similar-last")
    stored, other = (
        build_mixture(replace(recipe, data=(part,)), 48) for part in (recipe.data[0], turned)
    )
    for one, two in zip(stored, other, strict=True):
        assert list(one.examples) == list(two.examples)[::-1]


def test_text_is_measured_by_the_models_own_tokens(recipe_for: RecipeFor, processor: Any) -> None:
    count = TokenCount(processor.tokenizer)
    assert (count(""), count("colour?")) == (0, 7), "a token for each byte"
    recipe = recipe_for()
    # "colour?" and an answer of 3 to 5 letters with what stands around them, and perhaps a picture.
    part = replace(recipe.data[0], max_tokens=2 * (7 + 5 + 8 + 1))
    mixture = build_mixture(replace(recipe, data=(part,)), 48, count)
    assert {len(episode.examples) for episode in mixture} == {0, 1}


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
