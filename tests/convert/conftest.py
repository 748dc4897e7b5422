"""Every fixture of the original code converted once, and read back as anybody would."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.convert.originals import FIXTURES, OTTER_NAMES, Converted, Original, openflamingo, otter

from otter.convert import convert
from otter.model import OtterForConditionalGeneration


@pytest.fixture(scope="session")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Converted]:
    """``converted("llama_every2_nano")``: the fixture, the native folder and its model."""
    done: dict[str, Converted] = {}

    def make(name: str) -> Converted:
        if name not in done:
            done[name] = convert_fixture(name, tmp_path_factory.mktemp(name))
        return done[name]

    return make


def convert_fixture(name: str, scratch: Path) -> Converted:
    """Convert one of them, as a user would, into a folder below ``scratch``."""
    destination = scratch / "native"
    if name in OTTER_NAMES:
        original = otter(name)
        tokenizer = FIXTURES / "otter" / "tokenizer"
        # Saved as float16 to be small; every value is one of float16.
        convert(original.folder, destination, tokenizer=tokenizer, dtype="fp32")
    else:
        original = openflamingo(name)
        convert(
            original.folder / "checkpoint.pt",
            destination,
            language_model=language_model(original, scratch / "language-model"),
            vision_tower=original.folder / "clip_hf",
            dtype="fp32",
            resampler_heads=original.meta["perceiver"]["heads"],
            cross_attention_heads=original.meta["xattn"]["heads"],
        )
    model = OtterForConditionalGeneration.from_pretrained(destination).eval()
    return Converted(original, destination, model)


def language_model(original: Original, scratch: Path) -> Path:
    """The folder of the language model that the original ran with.

    An OpenFlamingo checkpoint has no output rows for the tokens that were added to a LLaMA: they
    were whatever the resizing made. Here they are put in, so that all logits can be compared.
    """
    base = original.folder / "lm_base"
    if "head/added" not in original.tensors:
        return base
    shutil.copytree(base, scratch)
    weights = load_file(base / "model.safetensors")
    added = original.tensors["head/added"]
    weights["lm_head.weight"] = torch.cat([weights["lm_head.weight"], added])
    table = weights["model.embed_tokens.weight"]
    weights["model.embed_tokens.weight"] = torch.cat([table, torch.zeros_like(added)])
    save_file(weights, scratch / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((base / "config.json").read_text("utf-8"))
    config["vocab_size"] += len(added)
    (scratch / "config.json").write_text(json.dumps(config), "utf-8")
    return scratch
