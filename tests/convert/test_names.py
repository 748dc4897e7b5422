import pytest

from otter.convert.names import (
    OPENFLAMINGO,
    OTTER_2023,
    Layout,
    Naming,
    Origin,
    open_clip,
    original,
    vision_tower,
)

LLAMA = Layout("model.layers", (1, 3))


@pytest.mark.parametrize(
    ("target", "naming", "name"),
    [
        ("resampler.latents", OPENFLAMINGO, "perceiver.latents"),
        ("resampler.norm.bias", OTTER_2023, "perceiver.norm.bias"),
        ("resampler.frame_embeddings", OTTER_2023, "perceiver.frame_embs"),
        (
            "resampler.layers.2.norm_media.weight",
            OPENFLAMINGO,
            "perceiver.layers.2.0.norm_media.weight",
        ),
        (
            "resampler.layers.2.norm_media.weight",
            OTTER_2023,
            "perceiver.layers.2.norm_media.weight",
        ),
        (
            "resampler.layers.2.attention.o_proj.weight",
            OPENFLAMINGO,
            "perceiver.layers.2.0.to_out.weight",
        ),
        (
            "resampler.layers.2.feed_forward.up_proj.weight",
            OPENFLAMINGO,
            "perceiver.layers.2.1.1.weight",
        ),
        (
            "resampler.layers.2.feed_forward.norm.bias",
            OTTER_2023,
            "perceiver.layers.2.feed_forward.0.bias",
        ),
        (
            "cross_attention.1.attention_gate",
            OTTER_2023,
            "lang_encoder.model.layers.3.gated_cross_attn_layer.attn_gate",
        ),
        (
            "cross_attention.0.feed_forward.down_proj.weight",
            OPENFLAMINGO,
            "lang_encoder.model.layers.1.gated_cross_attn_layer.ff.3.weight",
        ),
        (
            "cross_attention.0.norm.bias",
            OPENFLAMINGO,
            "lang_encoder.model.layers.1.gated_cross_attn_layer.attn.norm.bias",
        ),
        (
            "language_model.model.layers.10.mlp.up_proj.weight",
            OTTER_2023,
            "lang_encoder.model.layers.10.decoder_layer.mlp.up_proj.weight",
        ),
        (
            "language_model.model.norm.weight",
            OTTER_2023,
            "lang_encoder.model.norm.weight",
        ),
        (
            "vision_tower.encoder.layers.0.mlp.fc1.bias",
            OTTER_2023,
            "vision_encoder.vision_model.encoder.layers.0.mlp.fc1.bias",
        ),
        (
            "vision_tower.encoder.layers.0.mlp.fc1.bias",
            OPENFLAMINGO,
            "vision_encoder.transformer.resblocks.0.mlp.c_fc.bias",
        ),
    ],
)
def test_our_names_have_theirs(target: str, naming: Naming, name: str) -> None:
    assert original(target, naming, LLAMA)[0] == Origin(name)


def test_keys_and_values_are_halves_of_one_matrix() -> None:
    stem = "cross_attention.0.attention"
    key, value = (original(f"{stem}.{which}_proj.weight", OTTER_2023, LLAMA)[0] for which in "kv")
    assert key.name == value.name
    assert (key.part, value.part, key.parts, value.parts) == (0, 1, 2, 2)
    assert str(value).endswith("attn.to_kv.weight [2 of 2]")


def test_the_output_layer_of_gpt_neox_has_an_older_name() -> None:
    names = original("language_model.lm_head.weight", OPENFLAMINGO, Layout("gpt_neox.layers", (0,)))
    assert [origin.name for origin in names] == [
        "lang_encoder.lm_head.weight",
        "lang_encoder.embed_out.weight",
    ]


@pytest.mark.parametrize(
    ("name", "origin"),
    [
        ("embeddings.class_embedding", Origin("class_embedding")),
        ("embeddings.patch_embedding.weight", Origin("conv1.weight")),
        ("embeddings.position_embedding.weight", Origin("positional_embedding")),
        ("pre_layrnorm.bias", Origin("ln_pre.bias")),
        (
            "encoder.layers.3.self_attn.v_proj.bias",
            Origin("transformer.resblocks.3.attn.in_proj_bias", 2, 3),
        ),
        (
            "encoder.layers.3.self_attn.out_proj.weight",
            Origin("transformer.resblocks.3.attn.out_proj.weight"),
        ),
        ("encoder.layers.3.layer_norm2.weight", Origin("transformer.resblocks.3.ln_2.weight")),
    ],
)
def test_the_tower_has_other_names_in_open_clip(name: str, origin: Origin) -> None:
    assert open_clip(name) == origin


def test_a_tower_is_found_in_any_form_of_clip() -> None:
    names = [origin.name for origin in vision_tower("vision_tower.post_layernorm.bias")]
    assert names == [
        "post_layernorm.bias",
        "vision_model.post_layernorm.bias",
        "visual.ln_post.bias",
        "ln_post.bias",
    ]
