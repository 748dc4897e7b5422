"""What training needs of the model: gradients that survive checkpointing, and adapters."""

import copy

import pytest
import torch

FIRST_LINEAR = {
    "llama": r"q_proj|v_proj",
    "mpt": r"Wqkv",
    "mosaic_gpt": r"Wqkv",
    "gpt_neox": r"query_key_value",
    "qwen3": r"q_proj|v_proj",
    "opt": r"q_proj|v_proj",
    "gemma2": r"q_proj|v_proj",
}


@pytest.fixture
def given(text, pictures, index):
    ids = text("a<i>b<i>cd", "abcde<i>", "abcdef")
    media = index([[0], [1, 2]], [[2]], [])
    return {"input_ids": ids, "pixel_values": pictures(3), "media_index": media, "labels": ids}


def gradients(model, given):
    model.zero_grad()
    model(**given).loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("frozen", [True, False])
def test_checkpointed_layers_give_the_same_gradients(model, given, frozen, reentrant):
    model = copy.deepcopy(model).train()
    for part in ("language_model", "vision_tower"):
        getattr(model, part).requires_grad_(not frozen)
    expected = gradients(model, given)
    model.activation_checkpointing_enable({"use_reentrant": reentrant})
    assert model.is_activation_checkpointing
    got = gradients(model, given)
    assert set(got) == set(expected)
    assert any(name.startswith("cross_attention.0") for name in got)
    assert all(name.startswith(("resampler", "cross_attention")) for name in got) == frozen
    for name, gradient in expected.items():
        torch.testing.assert_close(got[name], gradient, atol=1e-6, rtol=1e-5)


def test_every_part_that_learns_gets_a_gradient(own_llama, given):
    expected = {name for name, _ in own_llama.named_parameters()}
    # CLIP pools its class token after a norm that Otter does not use.
    expected -= {name for name in expected if "post_layernorm" in name}
    assert set(gradients(own_llama.train(), given)) == expected


def test_text_alone_teaches_the_feed_forward_of_the_blocks(own_llama, text):
    got = gradients(own_llama.train(), {"input_ids": text("abc"), "labels": text("abc")})
    assert "cross_attention.0.feed_forward.up_proj.weight" in got
    assert "cross_attention.0.attention.q_proj.weight" not in got
    assert "resampler.latents" not in got


def test_training_makes_no_cache(own_llama, given):
    own_llama.train()
    assert own_llama(**given).past_key_values is None
    assert own_llama(**given, use_cache=True).past_key_values is not None
    own_llama.activation_checkpointing_enable()
    assert own_llama(**given, use_cache=True).past_key_values is None


# PEFT still asks transformers by the old name.
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_a_low_rank_adapter_leaves_the_blocks_alone_and_merges(
    model, architecture, given, tmp_path
):
    peft = pytest.importorskip("peft")
    names = rf"language_model\..*\.({FIRST_LINEAR[architecture]})"
    config = peft.LoraConfig(r=2, target_modules=names, init_lora_weights=False)
    adapted = peft.get_peft_model(copy.deepcopy(model), config)
    given.pop("labels")
    assert not torch.allclose(adapted(**given).logits, model(**given).logits, atol=1e-3)
    touched = [name for name, _ in adapted.named_parameters() if "lora" in name]
    assert touched
    assert all(".language_model." in name for name in touched)
    adapted.save_pretrained(tmp_path)
    again = peft.PeftModel.from_pretrained(copy.deepcopy(model), tmp_path)
    assert torch.equal(again(**given).logits, adapted(**given).logits)
    how = {**given, "max_new_tokens": 3, "do_sample": False}
    generated = adapted.generate(**how)
    merged = adapted.merge_and_unload()
    assert set(merged.state_dict()) == set(model.state_dict())
    torch.testing.assert_close(merged(**given).logits, again(**given).logits, atol=2e-5, rtol=1e-5)
    assert torch.equal(merged.generate(**how), generated)
