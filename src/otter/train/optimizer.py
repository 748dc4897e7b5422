"""AdamW as a recipe says it: who decays, how fast each part learns, and the rate over time."""

import math
from collections.abc import Callable
from typing import Any

import torch

from otter.recipe import Optimizer
from otter.train.parameters import Trainable, part_of


def build_optimizer(trainable: Trainable, recipe: Optimizer) -> torch.optim.AdamW:
    """AdamW over what learns, and nothing else."""
    optimizer = torch.optim.AdamW(
        parameter_groups(trainable, recipe),
        lr=recipe.lr,
        betas=recipe.betas,
        # One kernel for all tensors: with the many small ones of a resampler, several times faster.
        fused=True,
    )
    if trainable.rows is not None:
        rows = trainable.rows
        optimizer.register_step_pre_hook(lambda *_: rows.take_gradients())
        optimizer.register_step_post_hook(lambda *_: rows.write_back())
    return optimizer


def parameter_groups(trainable: Trainable, recipe: Optimizer) -> list[dict[str, Any]]:
    """Groups by learning rate and decay.

    Only matrices decay: the ``weight`` of linear and convolution layers. Norms, gates, biases,
    latents, position embeddings, token embeddings and the output projection do not.
    """
    groups: dict[tuple[float, bool], dict[str, Any]] = {}
    for name, parameter in trainable.parameters.items():
        embedding = name in trainable.embeddings
        scale = recipe.lr_scale.get(part_of(name), 1.0)
        scale = recipe.lr_scale.get("embeddings", scale) if embedding else scale
        decays = not embedding and name in trainable.matrices
        group = groups.setdefault(
            (scale, decays),
            {
                "params": [],
                "lr": recipe.lr * scale,
                "weight_decay": recipe.weight_decay if decays else 0.0,
            },
        )
        group["params"].append(parameter)
    return list(groups.values())


def build_schedule(recipe: Optimizer, max_steps: int) -> Callable[[int], float]:
    """The factor on every learning rate after so many finished steps.

    With 4 warm-up steps the first steps run at 1/4, 2/4, 3/4 and 4/4 of the peak; the last of
    ``max_steps`` runs just above ``final_share`` of it.
    """
    warmup, final = recipe.warmup_steps, recipe.final_share

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        share = min(1.0, (step - warmup) / max(1, max_steps - warmup))
        if recipe.schedule == "constant":
            return 1.0
        if recipe.schedule == "cosine":
            return final + (1 - final) * (1 + math.cos(math.pi * share)) / 2
        falling = max(0.0, share - recipe.flat_share) / max(1e-9, 1 - recipe.flat_share)
        return 1 - (1 - final) * falling

    return factor
