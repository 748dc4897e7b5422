"""Saving and loading: the same model comes back, however it is stored and wherever it is put."""

import json

import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForImageTextToText, BitsAndBytesConfig

from otter.model.backbones import SPARED_FROM_QUANTIZATION


@pytest.fixture
def given(text, pictures, index):
    ids = text("a<i>b<i>cd", "abc<i>de")
    return {"input_ids": ids, "pixel_values": pictures(2), "media_index": index([[0], [1]], [[0]])}


def load(folder, **how):
    model, report = AutoModelForImageTextToText.from_pretrained(
        folder, output_loading_info=True, **how
    )
    assert {name: keys for name, keys in report.items() if keys} == {}
    return model


@pytest.mark.parametrize("shard", ["5GB", "20KB"])
def test_a_saved_model_comes_back_bit_for_bit(model, given, tmp_path, shard):
    model.save_pretrained(tmp_path, max_shard_size=shard)
    assert (len(list(tmp_path.glob("*.safetensors"))) > 1) == (shard == "20KB")
    loaded = load(tmp_path)
    assert torch.equal(loaded(**given).logits, model(**given).logits)
    assert loaded.generation_config.to_dict() == model.generation_config.to_dict()


def test_the_names_on_disk_are_those_of_the_parts(llama, tmp_path):
    llama.save_pretrained(tmp_path)
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        names = set(file.keys())
    assert names == set(llama.state_dict())
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "otter"
    assert {"cross_attention.1.attention.k_proj.weight", "resampler.latents"} <= names


def test_what_is_asked_of_generation_is_kept(own_llama, tmp_path):
    own_llama.generation_config.suppress_tokens = [5, 7]
    own_llama.save_pretrained(tmp_path)
    assert load(tmp_path).generation_config.suppress_tokens == [5, 7]


def test_half_precision_reads_nearly_the_same(model, given, tmp_path):
    model.save_pretrained(tmp_path)
    half = load(tmp_path, dtype=torch.bfloat16)
    assert {p.dtype for p in half.parameters()} == {torch.bfloat16}
    assert half.generate(**given, max_new_tokens=3).shape[0] == 2
    exact, rough = model(**given).logits, half(**given).logits.float()
    assert torch.nn.functional.cosine_similarity(exact, rough, dim=-1).mean() > 0.98


def test_the_blocks_may_be_kept_in_another_precision_than_the_language_model(own_llama, given):
    own_llama.language_model.to(torch.bfloat16)
    own_llama.vision_tower.to(torch.bfloat16)
    own_llama.train()
    read = own_llama(**given, labels=given["input_ids"])
    read.loss.backward()
    assert read.logits.dtype == torch.bfloat16
    gates = [block.attention_gate for block in own_llama.cross_attention]
    assert all(gate.grad.dtype == torch.float32 and gate.grad.abs() > 0 for gate in gates)


@pytest.mark.parametrize("architecture", ["llama", "mpt"])
def test_parts_may_lie_on_disk(tiny, architecture, given, tmp_path):
    model = tiny(architecture)
    model.save_pretrained(tmp_path / "model")
    places = {"vision_tower": "cpu", "resampler": "disk", "cross_attention": "disk"}
    body = {"llama": "model.layers", "mpt": "transformer.blocks"}[architecture]
    for name in model.language_model.state_dict():
        module = f"{body}.1" if name.startswith(f"{body}.1.") else name.rpartition(".")[0]
        places[f"language_model.{module}"] = "disk" if module == f"{body}.1" else "cpu"
    loaded = load(tmp_path / "model", device_map=places, offload_folder=tmp_path / "offload")
    assert loaded.cross_attention[0].attention_gate.device.type == "meta"
    assert torch.equal(loaded(**given).logits, model(**given).logits)
    how = {**given, "max_new_tokens": 4, "do_sample": False}
    assert torch.equal(loaded.generate(**how), model.generate(**how))


@pytest.mark.parametrize("spared", [None, list(SPARED_FROM_QUANTIZATION)])
def test_four_bits_are_for_the_language_model_alone(tiny, given, tmp_path, spared):
    bitsandbytes = pytest.importorskip("bitsandbytes")
    tiny("llama").save_pretrained(tmp_path)
    asked = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", llm_int8_skip_modules=spared
    )
    model = AutoModelForImageTextToText.from_pretrained(tmp_path, quantization_config=asked)
    assert asked.llm_int8_skip_modules == spared
    four_bits = {
        name for name, m in model.named_modules() if isinstance(m, bitsandbytes.nn.Linear4bit)
    }
    assert {name.split(".")[0] for name in four_bits} == {"language_model"}
    assert "language_model.model.layers.0.self_attn.q_proj" in four_bits
    assert "language_model.lm_head" not in four_bits
    model.train()
    model(**given, labels=given["input_ids"]).loss.backward()
    assert model.cross_attention[0].attention.k_proj.weight.grad.abs().sum() > 0
    assert model.generate(**given, max_new_tokens=2).shape[0] == 2
