"""Checkpoints of 2023 given to what loads ours: one line that says what to type."""

import json
import struct

import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForImageTextToText

from otter.model import OtterConfig, OtterForConditionalGeneration, OtterProcessor
from otter.model.answer import load

LLAMA = {"model_type": "llama", "_name_or_path": "luodian/llama-7b-hf", "hidden_size": 64}
MPT = {"model_type": "mpt", "_name_or_path": "", "d_model": 64}
OTTER_2023 = {
    "model_type": "otter",
    "cross_attn_every_n_layers": 2,
    "only_attend_previous": True,
    "use_media_placement_augmentation": True,
    "vision_config": {"model_type": "clip_vision_model"},
}


@pytest.fixture
def folder(tmp_path):
    """``folder({...})``: a folder with this config.json."""

    def make(fields, name="old"):
        path = tmp_path / name
        path.mkdir()
        (path / "config.json").write_text(json.dumps(fields))
        return path

    return make


LOADERS = {
    "the processor": OtterProcessor.from_pretrained,
    "the model": OtterForConditionalGeneration.from_pretrained,
    "AutoModel": AutoModelForImageTextToText.from_pretrained,
    "the config": OtterConfig.from_pretrained,
    "AutoConfig": AutoConfig.from_pretrained,
    "load": load,
}


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize("model_type", ["otter", "flamingo"])
def test_every_way_to_load_names_the_command(folder, loader, model_type):
    path = folder(OTTER_2023 | {"model_type": model_type, "text_config": LLAMA})
    with pytest.raises(ValueError) as error:
        LOADERS[loader](path)
    name = "a Flamingo" if model_type == "flamingo" else "an Otter"
    assert str(error.value) == (
        f"{path} is of {name} of 2023, whose weights have other names and which has no tokenizer "
        f"of its own: convert it once with `otter convert {path} {path}-native --tokenizer "
        f"luodian/llama-7b-hf`, then load {path}-native"
    )


@pytest.mark.parametrize(
    ("text", "tokenizer"),
    [
        (LLAMA, "luodian/llama-7b-hf"),
        (MPT, "mosaicml/mpt-7b-instruct"),
        ({"model_type": "llama"}, "<id of its language model's tokenizer>"),
        (LLAMA | {"_name_or_path": "/mnt/llama"}, "<id of its language model's tokenizer>"),
        (LLAMA | {"_name_or_path": "a/b/llama"}, "<id of its language model's tokenizer>"),
        (None, "<id of its language model's tokenizer>"),
    ],
)
def test_the_tokenizer_is_that_of_the_language_model(text, tokenizer):
    with pytest.raises(ValueError) as error:
        OtterConfig(**OTTER_2023, text_config=text)
    assert str(error.value) == (
        "this config is of an Otter of 2023, whose weights have other names and which has no "
        "tokenizer of its own: convert it once with `otter convert FOLDER FOLDER-native "
        f"--tokenizer {tokenizer}`, then load FOLDER-native"
    )


def test_a_path_with_spaces_can_be_pasted(folder):
    path = folder(OTTER_2023 | {"text_config": MPT}, name="an otter")
    with pytest.raises(ValueError, match=f"otter convert '{path}' '{path}-native' --tokenizer mos"):
        load(path)


@pytest.mark.parametrize("form", ["safetensors", "bin", "index"])
@pytest.mark.parametrize("name", ["lang_encoder.lm_head.weight", "perceiver.latents"])
def test_weights_of_2023_under_a_config_of_ours_are_known_by_their_names(
    tiny_config, tmp_path, form, name
):
    config, tensors = tiny_config(), {name: torch.zeros(2)}
    config.save_pretrained(tmp_path)
    if form == "safetensors":
        save_file(tensors, tmp_path / "model.safetensors")
    elif form == "bin":
        torch.save(tensors, tmp_path / "pytorch_model.bin")
    else:
        index = {"weight_map": {name: "pytorch_model-00001-of-00002.bin"}}
        (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    for loader in (load, OtterForConditionalGeneration.from_pretrained):
        with pytest.raises(ValueError, match=r"is of an Otter of 2023, .*`otter convert "):
            loader(tmp_path)
    with pytest.raises(ValueError, match="`otter convert "):
        OtterForConditionalGeneration.from_pretrained(tmp_path.parent, subfolder=tmp_path.name)


@pytest.mark.parametrize(
    ("loader", "given"),
    [
        *((loader, "folder") for loader in ("load", "the model", "the config", "the processor")),
        *((loader, "file") for loader in ("load", "the model", "the processor")),
    ],
)
def test_a_checkpoint_of_openflamingo_is_told_what_it_lacks(tmp_path, loader, given):
    file = tmp_path / "checkpoint.pt"
    for name in (file.name, "checkpoint_0.pt"):
        torch.save({"perceiver.latents": torch.zeros(2)}, tmp_path / name)
    with pytest.raises(ValueError) as error:
        LOADERS[loader](tmp_path if given == "folder" else file)
    assert str(error.value) == (
        f"{file} looks like a checkpoint of OpenFlamingo, which holds only what was trained: put "
        f"it together once with `otter convert {file} {tmp_path}-native --language-model <id or "
        "folder of the language model that it was trained on> --vision-tower "
        f"openai/clip-vit-large-patch14`, then load {tmp_path}-native"
    )


def test_our_own_checkpoints_and_broken_files_are_left_to_loading(own_llama, tmp_path):
    own_llama.save_pretrained(tmp_path)
    assert OtterForConditionalGeneration.from_pretrained(tmp_path).num_parameters()
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", 1 << 40) + b"nothing")
    with pytest.raises(Exception, match=r"(?i)header"):
        OtterForConditionalGeneration.from_pretrained(tmp_path)
