"""Groups by decay and learning rate, and the rate over time."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from otter.recipe import PARTS, Optimizer
from otter.train.optimizer import build_optimizer, build_schedule, parameter_groups
from otter.train.parameters import Trainable


def rates(steps: int, **changes: Any) -> list[float]:
    factor = build_schedule(Optimizer(**changes), steps)
    return [round(factor(step), 4) for step in range(steps + 1)]


def test_cosine_falls_from_the_peak_to_the_final_share() -> None:
    assert rates(4, final_share=0.2) == [1.0, 0.8828, 0.6, 0.3172, 0.2]


def test_warm_up_wastes_no_step_at_zero() -> None:
    assert rates(6, warmup_steps=4, schedule="constant") == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 1.0]


def test_flat_then_linear_is_flat_for_its_share() -> None:
    falling = rates(8, schedule="flat-then-linear", flat_share=0.5, final_share=0.2)
    assert falling == [1.0, 1.0, 1.0, 1.0, 1.0, 0.8, 0.6, 0.4, 0.2]


def test_only_matrices_decay(fresh: Callable[[Path], Any], checkpoint_folder: Path) -> None:
    model = fresh(checkpoint_folder).model
    trainable = Trainable(model, PARTS)
    names = {id(p): n for n, p in trainable.parameters.items()}
    groups = parameter_groups(trainable, Optimizer(weight_decay=0.1))
    decaying = {names[id(p)] for g in groups if g["weight_decay"] for p in g["params"]}
    still = set(trainable.parameters) - decaying
    shapes = {name: p.ndim for name, p in trainable.parameters.items()}
    assert all(name.endswith(".weight") and shapes[name] >= 2 for name in decaying)
    for word in ("norm", "_gate", "bias", "latents", "embed_tokens", "lm_head"):
        assert not any(word in name for name in decaying)
    assert any("gate" in name for name in still)
    assert any("latents" in name for name in still)
    matrices = {name for name in still if shapes[name] >= 2}
    assert matrices == {
        "vision_tower.embeddings.position_embedding.weight",
        "language_model.model.embed_tokens.weight",
        "resampler.latents",
    }


def test_a_part_learns_at_its_own_rate(
    fresh: Callable[[Path], Any], checkpoint_folder: Path
) -> None:
    trainable = Trainable(fresh(checkpoint_folder).model, ("resampler", "language_model"))
    scales = {"embeddings": 3.0, "resampler": 0.5}
    names = {id(p): n for n, p in trainable.parameters.items()}
    groups = parameter_groups(trainable, Optimizer(lr=1e-2, lr_scale=scales))
    rate = {names[id(p)]: group["lr"] for group in groups for p in group["params"]}
    assert rate["language_model.model.embed_tokens.weight"] == pytest.approx(3e-2)
    assert rate["resampler.latents"] == pytest.approx(5e-3)
    assert rate["language_model.model.norm.weight"] == 1e-2
    assert set(rate) == set(trainable.parameters)


def test_what_is_frozen_has_no_place_in_the_optimizer(
    fresh: Callable[[Path], Any], checkpoint_folder: Path
) -> None:
    trainable = Trainable(fresh(checkpoint_folder).model, ("cross_attention",))
    optimizer = build_optimizer(trainable, Optimizer())
    owned = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert owned == {id(p) for p in trainable.model.cross_attention.parameters()}
