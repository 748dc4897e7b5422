"""The gated block, against the original's outputs and by its properties."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from otter.model import OtterConfig
from otter.model.cross_attention import MediaView, OtterCrossAttentionBlock
from otter.model.media_mask import marker_positions

FIXTURES = Path(__file__).parents[1] / "fixtures" / "otter_2023_modules.safetensors"
NAMES = {
    "attn.norm": "norm",
    "attn.to_q": "attention.q_proj",
    "attn.to_out": "attention.o_proj",
    "feed_forward.0": "feed_forward.norm",
    "feed_forward.1": "feed_forward.up_proj",
    "feed_forward.3": "feed_forward.down_proj",
    "attn_gate": "attention_gate",
    "ff_gate": "feed_forward_gate",
}


def loaded(fixture: str) -> tuple[OtterCrossAttentionBlock, dict[str, torch.Tensor]]:
    tensors = load_file(FIXTURES)
    weights = {}
    for name, value in tensors.items():
        if name.startswith(f"{fixture}.param."):
            name = name.removeprefix(f"{fixture}.param.")
            if "to_kv" in name:
                for half, part in zip("kv", value.float().chunk(2), strict=True):
                    weights[f"attention.{half}_proj.weight"] = part
                continue
            for old, new in NAMES.items():
                name = name.replace(old, new)
            weights[name] = value.float()
    block = OtterCrossAttentionBlock(
        OtterConfig(cross_attention_heads=2, cross_attention_head_dim=8), 0, 20, 24
    )
    block.load_state_dict(weights)
    return block.requires_grad_(False), tensors


def seen(tensors, attend):
    """The fixture's media, and who sees what; its second row has three media but two markers."""
    markers, media = tensors["xattn.input.media_locations"], tensors["xattn.input.media"]
    rows = torch.arange(6).view(2, 3).masked_fill(torch.arange(3) >= markers.sum(-1)[:, None], -1)
    view = MediaView(
        rows, marker_positions(markers, rows), torch.arange(10), attend, media.shape[2]
    )
    return media.flatten(0, 1), view


# The original could also let a token see the *next* picture (attend_previous false). Otter always
# ran with it true, whatever the config said, and a token that sees a picture before it is announced
# is what this model promises never to have.
@pytest.mark.parametrize(
    ("fixture", "attend"),
    [("xattn_immediateTrue_previousTrue", "last"), ("xattn_immediateFalse_previousTrue", "all")],
)
def test_it_gives_what_the_original_gave(fixture, attend):
    block, tensors = loaded(fixture)
    states, view = seen(tensors, attend)
    read, expected = block(tensors["xattn.input.x"], states, view), tensors[f"{fixture}.expected"]
    if attend == "all":
        # The one difference: before the first picture the original, attending to all, let a token
        # look at every picture.
        assert not torch.allclose(read[0, 0], expected[0, 0], atol=1e-3)
        read, expected = read[:, 1:], expected[:, 1:]
    torch.testing.assert_close(read, expected, atol=1e-5, rtol=0)


@pytest.fixture
def block():
    return loaded("xattn_immediateTrue_previousTrue")[0]


@pytest.fixture
def given():
    tensors = load_file(FIXTURES)
    return tensors["xattn.input.x"], *seen(tensors, "last")


def test_with_both_gates_closed_it_is_the_identity(block, given):
    block.attention_gate.zero_()
    block.feed_forward_gate.zero_()
    assert torch.equal(block(*given), given[0])


def test_a_token_before_the_first_picture_gets_the_feed_forward_alone(block, given):
    x, states, view = given
    alone = block(x, None, None)
    assert torch.equal(block(x, states, view)[0, 0], alone[0, 0])
    assert not torch.allclose(alone[0, 0], x[0, 0])


def test_gradients_are_finite_where_a_row_sees_nothing(block, given):
    x, states, _ = given
    block.requires_grad_(True)
    nothing = torch.full((2, 1), -1)
    view = MediaView(nothing, torch.full((2, 1), 1 << 62), torch.arange(10), "last", 4)
    block(x, states, view).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in block.parameters() if p.grad is not None)
    assert not block.attention.v_proj.weight.grad.any()


def test_a_block_in_full_precision_may_stand_in_a_half_precision_model(block, given):
    x, states, view = given
    read = block(x.bfloat16(), states, view)
    assert read.dtype == torch.bfloat16
    torch.testing.assert_close(read.float(), block(x, states, view), atol=0.05, rtol=0.05)
