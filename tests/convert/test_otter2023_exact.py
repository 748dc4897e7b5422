"""Converted 2023 Otters say what the code of 2023 said, and keep looking while they speak."""

import copy
from collections.abc import Callable

import pytest
import torch
from tests.convert.originals import (
    LOGITS,
    LOSS,
    OTTER_NAMES,
    Converted,
    first_difference,
    until,
)

Convert = Callable[[str], Converted]

BATCHES = ("train_right_padded", "text_only_zero_image", "frames_on_one_media")
TEXTS = ("single_no_mask", "left_padded", *BATCHES)
SURPLUS = "quirk_more_image_tokens_than_media"
OF_CLIPS = ("video_full_frames", "video_three_clips")
GENERATED = ("single", "leftpad")


@pytest.fixture(params=OTTER_NAMES)
def otter(request: pytest.FixtureRequest, converted: Convert) -> Converted:
    return converted(request.param)


@pytest.fixture(scope="module")
def video(converted: Convert) -> Converted:
    return converted("llama_video")


def test_every_case_of_the_fixtures_is_compared(otter: Converted, video: Converted) -> None:
    clips = OF_CLIPS if otter is video else ()
    assert otter.original.cases("logits") == sorted([*TEXTS, SURPLUS, *clips])
    assert otter.original.cases("loss") == sorted([*BATCHES, *clips])
    generated = sorted(
        f"generate_{how}_{rows}" for how in ("greedy", "beam3") for rows in GENERATED
    )
    assert otter.original.cases("tokens") == generated


@pytest.mark.parametrize("case", TEXTS)
def test_logits_are_equal(otter: Converted, case: str) -> None:
    assert otter.logits_difference(case) <= LOGITS


@pytest.mark.parametrize("case", OF_CLIPS)
def test_logits_about_clips_are_equal(video: Converted, case: str) -> None:
    assert video.logits_difference(case) <= LOGITS


@pytest.mark.parametrize("case", BATCHES)
def test_losses_are_equal(otter: Converted, case: str) -> None:
    expected = otter.original.expected(case, "loss")[0]
    torch.testing.assert_close(otter.forward(case).loss, expected, atol=LOSS, rtol=0)


@pytest.mark.parametrize("case", OF_CLIPS)
def test_losses_about_clips_are_equal(video: Converted, case: str) -> None:
    expected = video.original.expected(case, "loss")[0]
    torch.testing.assert_close(video.forward(case).loss, expected, atol=LOSS, rtol=0)


def test_text_after_a_surplus_marker_can_see_all_media_alike_as_in_2023(otter: Converted) -> None:
    model = copy.deepcopy(otter.model)
    model.config.surplus_markers = "uniform"
    uniform = Converted(otter.original, otter.folder, model)
    assert uniform.logits_difference(SURPLUS) <= LOGITS


def test_the_resampler_gives_the_same_latents(otter: Converted) -> None:
    media = otter.model.encode_media(otter.original.dense("train_right_padded"))
    assert media is not None
    latents = otter.original.tensors["resampler/latents"].flatten(0, 1)
    torch.testing.assert_close(media.states, latents, atol=1e-5, rtol=0)


@pytest.mark.parametrize("rows", GENERATED)
def test_the_likeliest_tokens_with_a_cache_are_those_of_2023_without(
    otter: Converted, rows: str
) -> None:
    case = f"generate_greedy_{rows}"
    theirs, lead = (otter.original.expected(case, what) for what in ("tokens", "margin"))
    ours = _generate(otter, case)
    assert not first_difference(ours, theirs, lead, _end(otter))


@pytest.mark.parametrize("rows", GENERATED)
def test_beams_with_a_cache_are_those_of_2023_without(otter: Converted, rows: str) -> None:
    case = f"generate_beam3_{rows}"
    theirs = otter.original.expected(case, "tokens")
    assert until(_generate(otter, case), _end(otter)) == until(theirs, _end(otter))


def _end(otter: Converted) -> int:
    return int(otter.original.meta["special_token_ids"]["<|endofchunk|>"])


def _generate(otter: Converted, case: str) -> torch.Tensor:
    """With the settings of the original, which ended a text at the end of a chunk alone."""
    ids = otter.original.meta["special_token_ids"]
    settings = otter.original.meta["generation"][case]
    return otter.generate(case, eos_token_id=_end(otter), pad_token_id=ids["<PAD>"], **settings)
