"""Tiny random towers and language models, saved as anybody would save them."""

from pathlib import Path
from typing import Any

import torch
from tests.model.tiny_processor import TOKENIZERS
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    SiglipConfig,
    SiglipImageProcessorPil,
    SiglipModel,
)

_LAYERS = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
_GROUPED = {**_LAYERS, "intermediate_size": 48, "num_key_value_heads": 2, "head_dim": 8}
LANGUAGE_MODELS: dict[str, dict[str, Any]] = {
    "llama": {**_LAYERS, "intermediate_size": 48, "num_key_value_heads": 2},
    "qwen3": {**_GROUPED, "tie_word_embeddings": True},
    "gemma2": {**_GROUPED, "sliding_window": 8},
    "gemma3_text": {**_GROUPED, "sliding_window": 8},
    "mpt": {"d_model": 32, "n_heads": 4, "n_layers": 2, "max_seq_len": 128},
    "gpt_neox": {**_LAYERS, "intermediate_size": 48},
    "opt": {
        **_LAYERS,
        "dropout": 0.0,
        "ffn_dim": 48,
        "word_embed_proj_dim": 32,
        "max_position_embeddings": 128,
    },
    "phi": {**_LAYERS, "intermediate_size": 48},
    "phi3": {**_LAYERS, "intermediate_size": 48, "num_key_value_heads": 2},
}
TOWERS = ("clip", "siglip")

_TOWER = {
    "hidden_size": 24,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 16,
    "patch_size": 8,
}
_TEXT = {
    "hidden_size": 24,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "vocab_size": 64,
    "max_position_embeddings": 16,
}


def save_language_model(
    folder: Path,
    kind: str = "llama",
    *,
    spare: int = 0,
    tokenizer: str | None = "byte-level",
    dtype: torch.dtype = torch.float32,
    **changes: Any,
) -> Path:
    """A language model with the tokenizer's vocabulary and ``spare`` rows more."""
    words = TOKENIZERS[tokenizer or "byte-level"]()
    torch.manual_seed(0)
    settings = {
        "vocab_size": len(words) + spare,
        "bos_token_id": words.bos_token_id,
        "eos_token_id": words.eos_token_id,
        "pad_token_id": None,
    }
    config = AutoConfig.for_model(kind, **(settings | LANGUAGE_MODELS.get(kind, {}) | changes))
    model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.normal_(0, 0.2)
    model.save_pretrained(folder)
    if tokenizer is not None:
        words.save_pretrained(folder)
    return folder


def save_tower(folder: Path, kind: str = "clip", *, prepared: bool = True) -> Path:
    """A tower alone, or ``"whole clip"`` and ``"whole siglip"`` with their text halves."""
    torch.manual_seed(1)
    family = kind.rpartition(" ")[2]
    if kind.startswith("whole"):
        config_class, model_class = {
            "clip": (CLIPConfig, CLIPModel),
            "siglip": (SiglipConfig, SiglipModel),
        }[family]
        config = config_class(vision_config=_TOWER, text_config=_TEXT, projection_dim=24)
        model: Any = model_class(config)
    else:
        model = AutoModel.from_config(AutoConfig.for_model(f"{family}_vision_model", **_TOWER))
    model.save_pretrained(folder)
    if prepared:
        side = {"height": 16, "width": 16}
        pictures: Any = (
            CLIPImageProcessorPil(size={"shortest_edge": 16}, crop_size=side)
            if family == "clip"
            else SiglipImageProcessorPil(size=side)
        )
        pictures.save_pretrained(folder)
    return folder
