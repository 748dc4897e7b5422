"""transformers' MPT: what is right in it, what is put right, and what is refused."""

import math

import pytest
import torch
from transformers import MptConfig

from otter.model.backbones import build_language_model

SIZES = {"d_model": 24, "n_layers": 2, "vocab_size": 40, "max_seq_len": 32}


def slopes_of_the_original(heads, bias_max=8):
    """llm-foundry's rule, written once more."""
    steps = 2 ** math.ceil(math.log2(heads))
    slopes = [2.0 ** -(bias_max * (i + 1) / steps) for i in range(steps)]
    return slopes if steps == heads else (slopes[1::2] + slopes[::2])[:heads]


@pytest.mark.parametrize("heads", [2, 3, 4, 6, 12])
def test_alibi_is_right_for_any_number_of_heads(heads):
    model = build_language_model(MptConfig(**SIZES, n_heads=heads)).eval()
    biases = []
    model.transformer.blocks[0].register_forward_pre_hook(
        lambda block, args, kwargs: biases.append(kwargs["position_bias"]), with_kwargs=True
    )
    model(torch.tensor([[1, 2, 3]]))
    bias = biases[0][:, 0]
    slopes = bias[:, -1] - bias[:, -2]
    torch.testing.assert_close(slopes, torch.tensor(slopes_of_the_original(heads)))
    torch.testing.assert_close(bias, slopes[:, None] * torch.arange(1 - 32, 1))


def test_a_head_of_its_own_slope_forgets_as_fast_as_it_says():
    torch.manual_seed(0)
    model = build_language_model(MptConfig(**SIZES, n_heads=3)).eval()
    attention = model.transformer.blocks[0].attn
    with torch.no_grad():
        attention.Wqkv.weight.zero_()  # every score is its bias
    weights = []
    attention.register_forward_hook(lambda module, args, output: weights.append(output[1]))
    model(torch.arange(1, 7)[None])
    slopes = torch.tensor(slopes_of_the_original(3))
    expected = (slopes[:, None] * torch.arange(6)).softmax(-1)
    torch.testing.assert_close(weights[0][0, :, -1], expected)


@pytest.mark.parametrize("ratio", [2, 4])
def test_feed_forwards_are_as_wide_as_the_config_says(ratio):
    model = build_language_model(MptConfig(**SIZES, n_heads=3, expansion_ratio=ratio))
    for block in model.transformer.blocks:
        assert block.ffn.up_proj.weight.shape == (ratio * 24, 24)
        assert block.ffn.down_proj.weight.shape == (24, ratio * 24)
    std = torch.cat(
        [block.ffn.up_proj.weight.flatten() for block in model.transformer.blocks]
    ).std()
    assert 0.018 < std < 0.022
    model(torch.tensor([[1, 2, 3]]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"attn_config": {"qk_ln": True}},
            r"text_config\.attn_config\.qk_ln = True: .* with False",
        ),
        ({"attn_config": {"alibi": False}}, r"attn_config\.alibi = False: .* as with True"),
        ({"attn_config": {"alibi_bias_max": 16}}, r"alibi_bias_max = 16: .* as with 8"),
        ({"attn_config": {"prefix_lm": True}}, r"prefix_lm = True"),
        ({"no_bias": False}, r"text_config\.no_bias = False"),
        ({"logit_scale": 0.5}, r"text_config\.logit_scale = 0\.5: .*the rest cannot be used"),
    ],
)
def test_what_transformers_would_ignore_is_refused_by_name(changes, message):
    with pytest.raises(ValueError, match=message):
        build_language_model(MptConfig(**SIZES, n_heads=3, **changes))
