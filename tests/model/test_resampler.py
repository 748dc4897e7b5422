"""The resampler, against the original's outputs and by its properties."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from otter.model import OtterConfig
from otter.model.resampler import OtterResampler

FIXTURES = Path(__file__).parents[1] / "fixtures" / "otter_2023_modules.safetensors"


def ours(name: str) -> str:
    """The name of a parameter of the 2023 perceiver here; ``to_kv`` is cut in two by ``loaded``."""
    for old, new in {
        "frame_embs": "frame_embeddings",
        "to_q": "attention.q_proj",
        "to_out": "attention.o_proj",
        "feed_forward.0": "feed_forward.norm",
        "feed_forward.1": "feed_forward.up_proj",
        "feed_forward.3": "feed_forward.down_proj",
    }.items():
        name = name.replace(old, new)
    return name


def loaded(fixture: str, **sizes: int) -> tuple[OtterResampler, dict[str, torch.Tensor]]:
    tensors = load_file(FIXTURES)
    weights = {}
    for name, value in tensors.items():
        if name.startswith(f"{fixture}.param."):
            name = name.removeprefix(f"{fixture}.param.")
            if "to_kv" in name:
                for half, part in zip("kv", value.float().chunk(2), strict=True):
                    weights[name.replace("to_kv", f"attention.{half}_proj")] = part
            else:
                weights[ours(name)] = value.float()
    resampler = OtterResampler(OtterConfig(resampler_depth=2, num_latents=5, **sizes), 24)
    resampler.load_state_dict(weights)
    return resampler, tensors


# The original could also give each medium of a row an embedding for its place (media_time_embs). No
# 2023 config could ask for that and no checkpoint has it, so it is not here.
@pytest.mark.parametrize(
    ("fixture", "sizes"), [("perceiver_plain", {}), ("perceiver_frames", {"max_frames": 6})]
)
def test_it_gives_what_the_original_gave(fixture, sizes):
    resampler, tensors = loaded(fixture, **sizes)
    with torch.no_grad():
        packed = resampler(tensors[f"{fixture}.input"].flatten(0, 1))
    expected = tensors[f"{fixture}.expected"].flatten(0, 1)
    torch.testing.assert_close(packed, expected, atol=1e-5, rtol=0)


@pytest.fixture
def resampler():
    return loaded("perceiver_frames", max_frames=6)[0].requires_grad_(False)


def test_what_stands_in_the_place_of_an_absent_frame_does_not_matter(resampler):
    patches, present = torch.randn(2, 4, 3, 24), torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1]]).bool()
    packed = resampler(patches, present)
    torch.testing.assert_close(packed[:1], resampler(patches[:1, :2]), atol=1e-5, rtol=0)
    torch.testing.assert_close(packed[1:], resampler(patches[1:]), atol=1e-5, rtol=0)
    patches[0, 2:] = 100
    assert torch.equal(resampler(patches, present), packed)


def test_the_order_of_frames_matters_only_with_frame_embeddings(resampler):
    patches = torch.randn(1, 4, 3, 24)
    assert (resampler(patches) - resampler(patches.flip(1))).abs().max() > 0.01
    plain = loaded("perceiver_plain")[0]
    torch.testing.assert_close(plain(patches), plain(patches.flip(1)), atol=1e-5, rtol=0)


def test_a_clip_of_too_many_frames_is_refused(resampler):
    message = r"a clip of 7 frames: .*embeddings for 6 \(config.max_frames\); sample at most 6"
    with pytest.raises(ValueError, match=message):
        resampler(torch.randn(1, 7, 3, 24))
