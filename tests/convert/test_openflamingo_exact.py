"""Converted OpenFlamingo checkpoints say what OpenFlamingo said."""

from collections.abc import Callable

import pytest
import torch
from tests.convert.originals import (
    LOGITS,
    LOSS,
    OPENFLAMINGO_NAMES,
    Converted,
    first_difference,
    until,
)
from torch import Tensor

Convert = Callable[[str], Converted]

PROMPTS = (
    "interleaved",
    "text_first",
    "text_only",
    "batch_left_pad",
    "adjacent_images",
    "more_images_than_tags",
)
BATCHES = ("train_laion", "train_mmc4")
NEW_TOKENS = 12


@pytest.fixture(params=OPENFLAMINGO_NAMES)
def flamingo(request: pytest.FixtureRequest, converted: Convert) -> Converted:
    return converted(request.param)


def test_every_case_of_the_fixtures_is_compared(flamingo: Converted) -> None:
    assert flamingo.original.cases("logits") == sorted(PROMPTS + BATCHES)
    assert flamingo.original.cases("loss") == sorted(BATCHES)
    assert flamingo.original.cases("greedy") == flamingo.original.cases("beam3") == sorted(PROMPTS)


def test_the_tower_gives_the_patches_before_the_last_norm(flamingo: Converted) -> None:
    tensors = flamingo.original.tensors
    images = tensors["images"][tensors["tower/images"]]
    states = flamingo.model.vision_tower(pixel_values=images).last_hidden_state[:, 1:]
    torch.testing.assert_close(states, tensors["tower/states"], atol=1e-5, rtol=0)


def test_the_resampler_gives_the_same_latents(flamingo: Converted) -> None:
    tensors = flamingo.original.tensors
    images = tensors["images"][tensors["tower/images"]]
    media = flamingo.model.encode_media(images[:, None, None])
    assert media is not None
    latents = tensors["resampler/latents"].flatten(0, 1)
    torch.testing.assert_close(media.states, latents, atol=1e-5, rtol=0)


@pytest.mark.parametrize("case", PROMPTS + BATCHES)
def test_logits_are_equal(flamingo: Converted, case: str) -> None:
    assert flamingo.logits_difference(case) <= LOGITS


@pytest.mark.parametrize("case", BATCHES)
def test_losses_are_equal(flamingo: Converted, case: str) -> None:
    loss = flamingo.forward(case).loss
    torch.testing.assert_close(loss, flamingo.original.expected(case, "loss")[0], atol=LOSS, rtol=0)


@pytest.mark.parametrize("case", PROMPTS)
def test_the_likeliest_tokens_are_equal(flamingo: Converted, case: str) -> None:
    # Where the original said <image>, it was asked again with that token forbidden, as it is here.
    banned = f"{case}/greedy_ban" in flamingo.original.tensors
    theirs = flamingo.original.expected(case, "greedy_ban" if banned else "greedy")
    end = flamingo.original.meta["eoc_token_id"]
    ours = flamingo.generate(case, max_new_tokens=NEW_TOKENS, **_ends(flamingo))
    if until(ours, end) != until(theirs, end):
        assert not first_difference(ours, theirs, _lead(flamingo, case, theirs), end)


@pytest.mark.parametrize("case", PROMPTS)
def test_three_beams_find_the_same_tokens(flamingo: Converted, case: str) -> None:
    theirs = flamingo.original.expected(case, "beam3")
    end = flamingo.original.meta["eoc_token_id"]
    ours = flamingo.generate(case, max_new_tokens=NEW_TOKENS, num_beams=3, **_ends(flamingo))
    assert until(ours, end) == until(theirs, end)


def _ends(flamingo: Converted) -> dict[str, object]:
    """The settings of the original: a text ended at the end of a chunk alone."""
    meta = flamingo.original.meta
    return {"eos_token_id": meta["eoc_token_id"], "pad_token_id": meta["pad_token_id"]}


def _lead(flamingo: Converted, case: str, tokens: Tensor) -> Tensor:
    """By how much the best logit leads at each of the original's new tokens: float[batch, new].

    It is read from our own logits, which are those of the original.
    """
    text = flamingo.original.text(case)
    mask = torch.nn.functional.pad(text["attention_mask"], (0, tokens.shape[1]), value=1)
    ids = torch.cat([text["input_ids"], tokens], dim=1)
    with torch.no_grad():
        logits = flamingo.model(
            input_ids=ids,
            attention_mask=mask,
            **flamingo.original.indexed(case, flamingo.image_token_id),
            position_ids=flamingo.positions(mask, generating=True),
            logits_to_keep=tokens.shape[1] + 1,
        ).logits[:, :-1]
    logits[..., flamingo.image_token_id] = -torch.inf
    best = logits.topk(2).values
    return best[..., 0] - best[..., 1]
