"""Finding the parts of models that are not ours."""

import pytest
import torch
from transformers import AutoConfig, CLIPConfig, CLIPTextConfig

from otter.model import OtterForConditionalGeneration
from otter.model.backbones import build_language_model, find_decoder_layers, vision_width


def test_decoder_layers_are_found_by_their_number(model, architecture):
    layers = find_decoder_layers(model.language_model, 2)
    assert len(layers) == 2
    assert type(layers[0]).__name__.endswith(("Layer", "Block"))


def test_no_list_of_that_length_is_reported_with_the_lists_there_are(llama):
    message = (
        r"LlamaForCausalLM: expected exactly one ModuleList with.* = 3 .*lists: layers \(2\); this"
    )
    with pytest.raises(ValueError, match=message):
        find_decoder_layers(llama.language_model, 3)


def test_two_lists_of_that_length_are_refused(own_llama):
    own_llama.language_model.model.others = torch.nn.ModuleList(
        [torch.nn.Identity(), torch.nn.Identity()]
    )
    with pytest.raises(
        ValueError, match="2 lists fit: layers, others; this language model cannot carry gated"
    ):
        find_decoder_layers(own_llama.language_model, 2)


def test_lists_inside_the_layers_do_not_confuse(own_llama):
    for layer in own_llama.language_model.model.layers:
        layer.experts = torch.nn.ModuleList([torch.nn.Identity(), torch.nn.Identity()])
    assert find_decoder_layers(own_llama.language_model, 2) is own_llama.language_model.model.layers


def test_a_backbone_that_cannot_speak_is_refused():
    message = r"model_type = 'clip_text_model': transformers has no causal.*AutoModelForCausalLM"
    with pytest.raises(ValueError, match=message):
        build_language_model(CLIPTextConfig())


def test_a_tower_without_a_width_is_refused():
    with pytest.raises(
        ValueError,
        match=r"'clip': a vision tower's config has hidden_size.*give its vision_config alone",
    ):
        vision_width(CLIPConfig())


def test_the_tower_may_be_our_own_small_one(tiny, text):
    tower = {
        "model_type": "otter_stem_vision",
        "hidden_size": 24,
        "num_attention_heads": 2,
        "stem_channels": 8,
        "image_size": 16,
    }
    model = tiny("llama", tower=tower)
    assert isinstance(model, OtterForConditionalGeneration)
    assert AutoConfig.for_model("otter_stem_vision").model_type == "otter_stem_vision"
    assert model(
        input_ids=text("a<i>b"), pixel_values=torch.randn(1, 1, 1, 3, 16, 16)
    ).logits.shape == (1, 3, 96)
