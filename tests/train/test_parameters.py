"""What learns and what does not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from otter.recipe import Optimizer
from otter.train.optimizer import build_optimizer
from otter.train.parameters import Trainable, freeze_precision

Fresh = Callable[[Path], Any]


def one_step(trainable: Trainable, lr: float = 0.1) -> torch.optim.Optimizer:
    """Push every token of a sentence up."""
    optimizer = build_optimizer(trainable, Optimizer(lr=lr))
    config = trainable.model.config
    ids = torch.tensor([[70, 71, config.answer_token_id, 72, config.end_of_chunk_token_id]])
    trainable.model(input_ids=ids, labels=ids, use_cache=False).loss.backward()
    optimizer.step()
    trainable.model.zero_grad()
    return optimizer


def changed(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


def state_of(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def test_the_sizes_of_the_parts_add_up(fresh: Fresh, checkpoint_folder: Path) -> None:
    model = fresh(checkpoint_folder).model
    trainable = Trainable(model, ("cross_attention", "new_tokens"))
    sizes = {size.part: size for size in trainable.sizes()}
    assert sum(size.parameters for size in sizes.values()) == model.num_parameters()
    learned = {part for part, size in sizes.items() if size.trainable}
    assert learned == {"cross_attention", "new_tokens"}
    assert sizes["new_tokens"].trainable == 3 * 32
    assert sizes["resampler"].parameters > 0


@pytest.mark.parametrize("tied", [True, False])
def test_of_the_vocabulary_only_the_new_rows_learn(
    fresh: Fresh, checkpoint_folder: Path, untied_checkpoint_folder: Path, tied: bool
) -> None:
    model = fresh(checkpoint_folder if tied else untied_checkpoint_folder).model
    trainable = Trainable(model, ("new_tokens",))
    before = state_of(model)
    optimizer = one_step(trainable)
    after = state_of(model)
    tables = ["language_model.model.embed_tokens.weight", "language_model.lm_head.weight"]
    assert changed(before, after) == set(tables)
    config = model.config
    new = {config.end_of_chunk_token_id, config.answer_token_id, config.image_token_id}
    for name in tables:
        rows = (before[name] != after[name]).any(1).nonzero().flatten().tolist()
        # The sentence ends with a token that is predicted but not read, and has no picture.
        assert {config.answer_token_id} <= set(rows) <= new
    state = [value for entry in optimizer.state.values() for value in entry.values()]
    assert max(value.numel() for value in state) == 3 * 32


def test_new_rows_add_nothing_when_the_language_model_learns(
    fresh: Fresh, checkpoint_folder: Path
) -> None:
    trainable = Trainable(fresh(checkpoint_folder).model, ("language_model", "new_tokens"))
    assert trainable.rows is None
    assert set(trainable.parameters) == {
        name for name, _ in trainable.model.named_parameters() if name.startswith("language_model")
    }


def test_the_gradient_norm_counts_the_new_rows_alone(
    fresh: Fresh, untied_checkpoint_folder: Path
) -> None:
    trainable = Trainable(fresh(untied_checkpoint_folder).model, ("new_tokens",))
    config = trainable.model.config
    ids = torch.tensor([[70, 71, config.answer_token_id, 72]])
    trainable.model(input_ids=ids, labels=ids, use_cache=False).loss.backward()
    gradient: Any = trainable.model.get_output_embeddings().weight.grad
    touched = gradient.any(1).nonzero().flatten().tolist()
    assert set(touched) <= {
        config.image_token_id,
        config.answer_token_id,
        config.end_of_chunk_token_id,
    }


def test_frozen_parts_stay_in_eval_mode(fresh: Fresh, checkpoint_folder: Path) -> None:
    trainable = Trainable(fresh(checkpoint_folder).model, ("resampler",))
    trainable.model.train()
    trainable.quiet_frozen()
    modes = {name: module.training for name, module in trainable.model.named_children()}
    assert modes == {
        "vision_tower": False,
        "resampler": True,
        "language_model": False,
        "cross_attention": False,
    }


def test_only_what_learns_is_kept_in_float32(fresh: Fresh, checkpoint_folder: Path) -> None:
    trainable = Trainable(fresh(checkpoint_folder).model, ("resampler",))
    freeze_precision(trainable, torch.bfloat16)
    for name, parameter in trainable.model.named_parameters():
        learns = name.startswith("resampler")
        assert parameter.dtype == (torch.float32 if learns else torch.bfloat16), name


def test_the_state_comes_back_bit_for_bit(fresh: Fresh, checkpoint_folder: Path) -> None:
    parts = ("cross_attention", "new_tokens")
    trainable = Trainable(fresh(checkpoint_folder).model, parts)
    one_step(trainable)
    state = {name: tensor.clone() for name, tensor in trainable.state().items()}
    other = Trainable(fresh(checkpoint_folder).model, parts)
    other.load_state(state)
    assert not changed(state_of(trainable.model), state_of(other.model))


def test_a_state_of_other_parts_is_refused(fresh: Fresh, checkpoint_folder: Path) -> None:
    state = Trainable(fresh(checkpoint_folder).model, ("resampler",)).state()
    other = Trainable(fresh(checkpoint_folder).model, ("cross_attention",))
    with pytest.raises(ValueError, match="the checkpoint and the recipe train different parameter"):
        other.load_state(state)
