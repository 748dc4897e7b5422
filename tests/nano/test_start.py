"""The start of the foundation: a stock decoder whose first values do what they are for."""

import math

import pytest
import torch
from transformers import LlamaForCausalLM

from otter.model import OtterForConditionalGeneration, OtterProcessor
from otter.model.stem_vision import StemVisionConfig, StemVisionModel
from otter.nano.start import LOOKING_BACK, foundation_start
from otter.prompt import Episode, Example


@pytest.fixture(scope="module")
def tower() -> StemVisionModel:
    torch.manual_seed(0)
    return StemVisionModel(StemVisionConfig())


@pytest.fixture(scope="module")
def start(tower: StemVisionModel) -> tuple[OtterForConditionalGeneration, OtterProcessor]:
    return foundation_start(tower)


@pytest.fixture(scope="module")
def model(start) -> OtterForConditionalGeneration:
    return start[0]


@pytest.fixture(scope="module")
def stock(model: OtterForConditionalGeneration) -> LlamaForCausalLM:
    """The decoder alone, in the class that transformers has for it."""
    config = model.config.text_config
    config._attn_implementation = "eager"
    decoder = LlamaForCausalLM(config)
    decoder.load_state_dict(model.language_model.state_dict())
    return decoder.eval()


def test_the_decoder_is_stock_and_small(model: OtterForConditionalGeneration) -> None:
    assert type(model.language_model) is LlamaForCausalLM
    assert sum(p.numel() for p in model.parameters()) == 1_724_520


@pytest.mark.parametrize("length", [60, 250, 600])
def test_two_heads_look_one_token_back_before_anything_is_learned(
    stock: LlamaForCausalLM, length: int
) -> None:
    tokens = torch.randint(1024, (2, length), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        attentions = stock(tokens, output_attentions=True).attentions

    def weight_of(back: int, layer: int = 0) -> torch.Tensor:
        """float[heads], the mean weight of the token so many places before."""
        return attentions[layer].diagonal(-back, dim1=-2, dim2=-1).mean((0, 2))

    before = weight_of(1)
    assert len(before) == 4
    assert (before[:LOOKING_BACK] > 0.5).all(), before
    assert (before[LOOKING_BACK:] < 0.1).all(), before
    assert all((weight_of(back)[:LOOKING_BACK] < 0.05).all() for back in (0, 2, 3))
    assert all((weight_of(1, layer) < 0.1).all() for layer in (1, 2, 3))


def test_first_answers_are_nearly_uniform(stock: LlamaForCausalLM) -> None:
    tokens = torch.randint(1024, (4, 50), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        loss = stock(tokens, labels=tokens).loss
    assert loss < math.log(1024) + 1.5


def test_mimetic_attention_undoes_itself(model: OtterForConditionalGeneration) -> None:
    eye = torch.eye(128)
    for number, layer in enumerate(model.language_model.model.layers):
        attention = layer.self_attn
        assert torch.allclose(
            attention.o_proj.weight @ attention.v_proj.weight, 0.5 * eye, atol=1e-5
        )
        if number:
            assert torch.equal(attention.q_proj.weight, attention.k_proj.weight)


def test_the_path_of_pictures_keeps_lengths_and_angles(
    model: OtterForConditionalGeneration,
) -> None:
    for layer in (*model.resampler.layers, *model.cross_attention):
        for projection in (layer.attention.v_proj, layer.attention.o_proj):
            weight = projection.weight
            weight = weight if weight.shape[0] <= weight.shape[1] else weight.T
            assert torch.allclose(weight @ weight.T, torch.eye(len(weight)), atol=1e-5)


def test_gates_are_half_open(model: OtterForConditionalGeneration) -> None:
    for block in model.cross_attention:
        assert block.attention_gate.item() == block.feed_forward_gate.item() == 0.5


def test_the_tower_is_taken_over_unchanged(
    model: OtterForConditionalGeneration, tower: StemVisionModel
) -> None:
    own = model.vision_tower.state_dict()
    assert all(torch.equal(own[name], value) for name, value in tower.state_dict().items())


def test_the_same_seed_gives_the_same_start(
    model: OtterForConditionalGeneration, tower: StemVisionModel
) -> None:
    again, _ = foundation_start(tower, seed=0)
    other, _ = foundation_start(tower, seed=1)
    same = [torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True)]
    assert all(same)
    assert not torch.equal(again.resampler.latents, other.resampler.latents)


def test_an_episode_of_a_clip_runs_through_it(start, drawn) -> None:
    model, processor = start
    clip = [drawn.jpegs[name] for name in drawn.pictures.clips[0].frames]
    episode = Episode("which way?", [clip], examples=[Example("what?", "ba", [clip[0]])])
    batch = processor.from_episodes([episode], with_answers=False)
    with torch.no_grad():
        logits = model(**batch).logits
    assert logits.isfinite().all()
    assert logits.shape[-1] == 1024
