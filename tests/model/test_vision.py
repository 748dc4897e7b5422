"""From pixels to vision states."""

import pytest
import torch
from transformers import AutoConfig, AutoModel

from otter.model import OtterConfig
from otter.model.resampler import OtterResampler
from otter.model.vision import VisionStates, distinct_media, encode_media, tower_features

SMALL = {
    "hidden_size": 24,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 8,
}
TOWERS = {
    "clip_vision_model": {**SMALL, "patch_size": 4},
    "siglip_vision_model": {**SMALL, "patch_size": 4},
    "dinov2_with_registers": {**SMALL, "patch_size": 4, "num_register_tokens": 3, "mlp_ratio": 1},
    "convnext": {
        "hidden_sizes": [8, 24],
        "depths": [1, 1],
        "num_stages": 2,
        "patch_size": 2,
        "image_size": 8,
    },
    "otter_stem_vision": {**SMALL, "num_attention_heads": 2, "stem_channels": 8, "image_size": 16},
}


def tower_of(kind):
    torch.manual_seed(0)
    return AutoModel.from_config(AutoConfig.for_model(kind, **TOWERS[kind])).eval()


def resampler_of(**changes):
    torch.manual_seed(0)
    config = OtterConfig(
        num_latents=3, resampler_depth=1, resampler_heads=2, resampler_head_dim=8, **changes
    )
    resampler = OtterResampler(config, 24)
    for parameter in (resampler.latents, getattr(resampler, "frame_embeddings", None)):
        if parameter is not None:
            torch.nn.init.normal_(parameter)
    return resampler


@pytest.fixture
def tower():
    return tower_of("clip_vision_model")


@pytest.fixture
def resampler():
    return resampler_of(max_frames=4)


@pytest.mark.parametrize("kind", TOWERS)
def test_a_tower_gives_one_vector_for_each_patch(kind, pictures):
    side = TOWERS[kind]["image_size"]
    pixels = torch.randn(2, 3, side, side)
    assert tower_features(tower_of(kind), pixels).shape == (2, 4, 24)


def test_clip_features_are_the_last_layers_without_class_token_and_norm(tower, pictures):
    output = tower(pixel_values=pictures(2), output_hidden_states=True)
    assert torch.equal(tower_features(tower, pictures(2)), output.hidden_states[-1][:, 1:])


def test_siglip_features_stand_before_its_last_norm(pictures):
    tower = tower_of("siglip_vision_model")
    with torch.no_grad():
        tower.post_layernorm.weight.mul_(3)
    features = tower_features(tower, pictures(2))
    last = tower(pixel_values=pictures(2)).last_hidden_state
    assert not torch.allclose(features, last)
    torch.testing.assert_close(tower.post_layernorm(features), last)


def test_a_frozen_tower_works_without_gradients_and_in_evaluation_mode(tower, pictures):
    tower.train()
    assert tower_features(tower, pictures(1)).requires_grad
    assert tower.training
    tower.requires_grad_(False)
    assert not tower_features(tower, pictures(1)).requires_grad
    assert not tower.training


def test_a_frozen_tower_stays_in_evaluation_mode_when_the_model_trains(own_llama):
    own_llama.train()
    assert own_llama.vision_tower.training
    own_llama.vision_tower.requires_grad_(False)
    own_llama.train()
    assert not own_llama.vision_tower.training
    assert own_llama.resampler.training


def test_gradients_reach_a_tower_that_learns(tower, resampler, pictures, index):
    encode_media(tower, resampler, pictures(2), index([[0]], [[1]])).states.sum().backward()
    assert tower.embeddings.patch_embedding.weight.grad.abs().sum() > 0


def test_media_of_the_same_frames_are_one(index):
    distinct, rows = distinct_media(index([[4], [7, 4]], [[7, 4], [4], [4, 7]], []))
    assert distinct.tolist() == [[4, -1], [4, 7], [7, 4]]
    assert rows.tolist() == [[0, 2, -1], [2, 0, 1], [-1, -1, -1]]


def test_the_resampler_sees_each_distinct_medium_once(tower, resampler, pictures, index):
    sizes = []
    resampler.register_forward_pre_hook(lambda module, args: sizes.append(args[0].shape[:2]))
    encoded = encode_media(tower, resampler, pictures(3), index([[0], [1], [0]], [[1], [2, 0]]))
    assert sizes == [(3, 2)]
    assert encoded.states.shape == (3, 3, 24)


def test_clips_of_different_lengths_are_packed_as_they_are_alone(tower, resampler, pictures, index):
    media = [[[0], [1, 2]], [[3, 1, 0, 2], [2]]]
    encoded = encode_media(tower, resampler, pictures(4), index(*media))
    for row, line in enumerate(media):
        for place, frames in enumerate(line):
            alone = encode_media(
                tower, resampler, pictures(4)[frames], torch.arange(len(frames))[None, None]
            )
            got = encoded.states[encoded.rows[row, place]]
            torch.testing.assert_close(got, alone.states[0], atol=1e-5, rtol=0)


def test_a_picture_is_a_clip_of_one_frame(tower, resampler, pictures, index):
    dense = encode_media(tower, resampler, pictures(2).view(1, 2, 1, 3, 8, 8), None)
    indexed = encode_media(tower, resampler, pictures(2), index([[0], [1]]))
    torch.testing.assert_close(
        dense.states[dense.rows], indexed.states[indexed.rows], atol=1e-6, rtol=0
    )


def test_no_media_are_no_vision_states(tower, resampler, pictures, index):
    assert encode_media(tower, resampler, pictures(1), index([], [])) is None
    assert encode_media(tower, resampler, pictures(1), torch.full((2, 3, 1), -1)) is None
    assert encode_media(tower, resampler, torch.zeros(2, 0, 1, 3, 8, 8), None) is None


def test_vision_states_follow_rows_without_copying_states():
    states = VisionStates(torch.randn(2, 3, 4), torch.tensor([[0, 1], [1, -1]]))
    twice = states.repeat_interleave(2)
    assert twice.states is states.states
    assert twice.rows.tolist() == [[0, 1], [0, 1], [1, -1], [1, -1]]
    assert states.select(torch.tensor([1])).rows.tolist() == [[1, -1]]
    assert states.to(torch.bfloat16).states.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("shape", "media_index", "message"),
    [
        (
            (2, 3, 8, 8),
            None,
            r"pixel_values of shape \(2, 3, 8, 8\) without media_index: expected \(batch, media, f",
        ),
        (
            (1, 1, 1, 3, 8, 8),
            [[[0]]],
            r"with media_index of shape \(1, 1, 1\): expected \(images, channels, height",
        ),
        (
            (2, 3, 8, 8),
            [[[0], [2]]],
            r"media_index holds 2: expected -1 \(no frame\) to 1, for pixel_values has 2 images",
        ),
        ((2, 3, 8, 8), [[[-2]]], r"media_index holds -2: expected -1 \(no frame\) to 1"),
        (
            (2, 3, 8, 8),
            [[[0], [1]], [[-1], [1]]],
            "media_index row 1 has an empty place before a medium: expected the media f",
        ),
    ],
)
def test_pictures_in_neither_form_are_refused(tower, resampler, shape, media_index, message):
    with pytest.raises(ValueError, match=message):
        encode_media(
            tower,
            resampler,
            torch.zeros(shape),
            None if media_index is None else torch.tensor(media_index),
        )


def test_a_tower_with_fewer_vectors_than_patches_is_reported(tower, pictures):
    tower.config.patch_size = 2
    with pytest.raises(
        ValueError,
        match=r"gives 5 vectors for a 8 x 8 picture, but patches of 2 x 2 make 16; check vision",
    ):
        tower_features(tower, pictures(1))
