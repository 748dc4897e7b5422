"""The config: built offline from itself, and helpful about what it cannot be."""

import pytest
from transformers import AutoConfig, CLIPVisionConfig, LlamaConfig

from otter.model import OtterConfig


def test_defaults_are_those_of_the_published_checkpoints():
    config = OtterConfig()
    assert isinstance(config.vision_config, CLIPVisionConfig)
    assert isinstance(config.text_config, LlamaConfig)
    assert (
        config.num_latents,
        config.resampler_depth,
        config.resampler_heads,
        config.resampler_head_dim,
    ) == (64, 6, 8, 64)
    assert (config.cross_attention_every_n_layers, config.attend, config.max_frames) == (
        4,
        "last",
        None,
    )


def test_a_saved_config_comes_back_the_same(tiny_config, architecture, tmp_path):
    config = tiny_config(architecture, max_frames=8, surplus_markers="uniform")
    config.save_pretrained(tmp_path)
    loaded = AutoConfig.from_pretrained(tmp_path)
    loaded.name_or_path = config.name_or_path
    assert loaded.to_dict() == config.to_dict()


def test_tied_embeddings_follow_the_language_model(tiny_config):
    assert tiny_config("qwen3").tie_word_embeddings is True
    assert tiny_config("llama").tie_word_embeddings is False


def test_a_language_model_whose_config_turns_the_cache_off_gets_it_back(tiny_config):
    assert tiny_config("mpt").text_config.use_cache is True


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"attend": "lst"},
            "attend = 'lst': expected one of 'last', 'group', 'all'; 'last' is what published",
        ),
        (
            {"surplus_markers": "even"},
            "surplus_markers = 'even': expected one of 'refuse', 'uniform'; 'refuse' unless a",
        ),
        (
            {"surplus_markers": "uniform", "attend": "all"},
            "surplus_markers = 'uniform' with attend = 'all': expected attend = 'last', as every",
        ),
        ({"num_latents": 0}, "num_latents = 0: expected 1 or more; change it in config.json"),
        (
            {"cross_attention_every_n_layers": 3},
            "cross_attention_every_n_layers = 3: the language model has 2 layers, so no block",
        ),
        ({"max_frames": 0}, "max_frames = 0: expected 1 or more"),
        (
            {"text": {"model_type": "lama"}},
            r"text_config\.model_type = 'lama': not a model .* knows; did you mean 'llama'\? Give",
        ),
        (
            {"tower": {"model_type": "no-such-tower"}},
            r"vision_config\.model_type = 'no-such-tower': not a model.*register its",
        ),
    ],
)
def test_a_wrong_value_is_named_with_what_to_do(tiny_config, changes, message):
    with pytest.raises(ValueError, match=message):
        tiny_config(**changes)
