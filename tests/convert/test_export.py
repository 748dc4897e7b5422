"""Back to the original forms: bit for bit, and in a form that the original code takes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.convert.conftest import language_model
from tests.convert.originals import FIXTURES, OPENFLAMINGO_NAMES, OTTER_NAMES, Converted

from otter.convert import ConversionError, convert
from otter.convert.sources import open_weights
from otter.model import OtterConfig

HEADS = {"resampler_heads": 4, "cross_attention_heads": 4}


def assert_equal(one: Path, other: Path) -> None:
    ours, theirs = open_weights(one), open_weights(other)
    assert ours.infos == theirs.infos
    for name in ours.infos:
        assert torch.equal(ours.read(name), theirs.read(name)), name


@pytest.mark.parametrize("name", OPENFLAMINGO_NAMES)
def test_to_openflamingo_and_back_changes_no_bit(
    name: str, converted: Callable[[str], Converted], tmp_path: Path
) -> None:
    native = converted(name)
    convert(native.folder, tmp_path / "theirs", to="openflamingo")
    convert(
        tmp_path / "theirs" / "checkpoint.pt",
        tmp_path / "ours",
        language_model=language_model(native.original, tmp_path / "lm"),
        vision_tower=native.original.folder / "clip_hf",
        **HEADS,
    )
    assert_equal(tmp_path / "ours", native.folder)


@pytest.mark.parametrize("name", OPENFLAMINGO_NAMES)
def test_an_exported_openflamingo_is_the_checkpoint_that_it_came_from(
    name: str, converted: Callable[[str], Converted], tmp_path: Path
) -> None:
    native = converted(name)
    convert(native.folder, tmp_path / "theirs", to="openflamingo")
    ours: dict[str, Any] = torch.load(tmp_path / "theirs" / "checkpoint.pt", weights_only=True)
    theirs = open_weights(native.original.folder / "checkpoint.pt")
    for key, tensor in ours.items():
        if key in theirs.infos:
            assert torch.equal(tensor, theirs.read(key)), key
    # The output projection of LLaMA is written too: the original loads it, and ours would lose it.
    assert set(ours) - set(theirs.infos) <= {"lang_encoder.lm_head.weight"}
    missing = set(theirs.infos) - set(ours)
    assert all("inv_freq" in key or "bias" in key or "lm_head" in key for key in missing), missing


@pytest.mark.parametrize("name", OTTER_NAMES)
def test_to_otter_2023_and_back_changes_no_bit(
    name: str, converted: Callable[[str], Converted], tmp_path: Path
) -> None:
    native = converted(name)
    convert(native.folder, tmp_path / "theirs", to="otter-2023")
    convert(tmp_path / "theirs", tmp_path / "ours", tokenizer=FIXTURES / "otter" / "tokenizer")
    assert_equal(tmp_path / "ours", native.folder)
    ours, before = (
        OtterConfig.from_pretrained(f).to_dict() for f in (tmp_path / "ours", native.folder)
    )
    assert ours == before


@pytest.mark.parametrize("name", OTTER_NAMES)
def test_an_exported_otter_has_the_names_and_values_of_the_original(
    name: str, converted: Callable[[str], Converted], tmp_path: Path
) -> None:
    native = converted(name)
    convert(native.folder, tmp_path / "theirs", to="otter-2023")
    theirs = load_file(native.original.folder / "model.safetensors")
    ours = load_file(tmp_path / "theirs" / "model.safetensors")
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key].float()) for key in theirs)


def test_the_exported_config_is_one_of_2023(
    converted: Callable[[str], Converted], tmp_path: Path
) -> None:
    convert(converted("llama_video").folder, tmp_path / "theirs", to="otter-2023")
    config = json.loads((tmp_path / "theirs" / "config.json").read_text("utf-8"))
    given = json.loads((FIXTURES / "otter" / "llama_video" / "config.json").read_text("utf-8"))
    for key in ("model_type", "cross_attn_every_n_layers", "max_num_frames", "tie_word_embeddings"):
        assert config[key] == given[key], key
    for part, keys in (
        ("text_config", ("model_type", "architectures", "hidden_size", "vocab_size", "rope_theta")),
        ("vision_config", ("hidden_size", "num_hidden_layers", "hidden_act", "image_size")),
    ):
        for key in keys:
            assert config[part][key] == given[part][key], key


@pytest.mark.parametrize("to", ["otter-2023", "openflamingo"])
def test_a_model_that_the_original_cannot_run_is_refused(
    to: Any, converted: Callable[[str], Converted], tmp_path: Path
) -> None:
    folder = tmp_path / "native"
    convert(converted("llama_image").folder, folder)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "attend": "group"}))
    with pytest.raises(ConversionError, match="attend = 'group': the originals let a token see"):
        convert(folder, tmp_path / "theirs", to=to)
    assert not (tmp_path / "theirs").exists()


def test_only_a_native_checkpoint_is_exported(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="only a native checkpoint is converted to"):
        convert(FIXTURES / "otter" / "llama_image", tmp_path / "x", to="openflamingo")


def test_sizes_that_the_original_has_written_into_its_code_are_noted(
    converted: Callable[[str], Converted], tmp_path: Path
) -> None:
    audit = convert(converted("llama_every2_nano").folder, tmp_path / "x", to="openflamingo")
    assert "num_latents = 8: the original code has 64 written into it" in audit.notes
