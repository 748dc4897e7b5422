"""Tiny random models of several architectures, and batches to read with them.

The models are made once for the session: a test that changes one takes a deep copy, or builds its
own with ``tiny``.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from otter.model import OtterConfig, OtterForConditionalGeneration

IMAGE, ANSWER, END_OF_CHUNK, END, PAD = 5, 6, 4, 2, 0
VOCABULARY = 96

_LAYERS = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
LANGUAGE_MODELS: dict[str, dict[str, Any]] = {
    "llama": {**_LAYERS, "intermediate_size": 48, "num_key_value_heads": 2},
    "mpt": {"d_model": 32, "n_heads": 4, "n_layers": 2, "max_seq_len": 128, "expansion_ratio": 2},
    "gpt_neox": {**_LAYERS, "intermediate_size": 48},
    "qwen3": {
        **_LAYERS,
        "intermediate_size": 48,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "tie_word_embeddings": True,
    },
    "opt": {
        **_LAYERS,
        "dropout": 0.0,
        "ffn_dim": 48,
        "word_embed_proj_dim": 32,
        "max_position_embeddings": 128,
    },
    "gemma2": {
        **_LAYERS,
        "intermediate_size": 48,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "sliding_window": 8,
    },
    "mosaic_gpt": {
        "d_model": 32,
        "n_heads": 4,
        "n_layers": 2,
        "max_seq_len": 128,
        "mlp_ratio": 2,
    },
    "falcon": {**_LAYERS},
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4},
    "bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 4},
}
ARCHITECTURES = ("llama", "mpt", "gpt_neox", "qwen3", "opt", "gemma2", "mosaic_gpt")
"""Those of which every property is tested; the others of LANGUAGE_MODELS get the cheap tests."""

TOWER = {
    "model_type": "clip_vision_model",
    "hidden_size": 24,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 8,
    "patch_size": 4,
}
OUTSIDE = {
    "cross_attention_every_n_layers": 1,
    "num_latents": 3,
    "resampler_depth": 1,
    "resampler_heads": 2,
    "resampler_head_dim": 8,
    "cross_attention_heads": 2,
    "cross_attention_head_dim": 8,
    "image_token_id": IMAGE,
    "answer_token_id": ANSWER,
    "end_of_chunk_token_id": END_OF_CHUNK,
}


def _config(architecture: str = "llama", **changes: Any) -> OtterConfig:
    text = {
        "model_type": architecture,
        "vocab_size": VOCABULARY,
        "pad_token_id": PAD,
        "bos_token_id": 1,
        "eos_token_id": END,
    }
    text |= LANGUAGE_MODELS[architecture] | changes.pop("text", {})
    return OtterConfig(
        vision_config=changes.pop("tower", TOWER), text_config=text, **(OUTSIDE | changes)
    )


def _model(
    architecture: str = "llama", *, gates: float = 0.7, **changes: Any
) -> OtterForConditionalGeneration:
    torch.manual_seed(0)
    model = OtterForConditionalGeneration(_config(architecture, **changes)).eval()
    # As it comes from its initialisation a tiny model hardly looks at anything: larger weights make
    # pictures matter.
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2 and not name.startswith("vision_tower"):
                parameter.normal_(0, 0.4 if name.startswith("cross_attention") else 0.2)
            if name.endswith("_gate"):
                parameter.fill_(gates)
        # Where the embeddings are also the output, large ones would only ever say the last token
        # again.
        tied = model.config.tie_word_embeddings
        model.get_input_embeddings().weight.normal_(0, 0.15 if tied else 1.0)
    return model


@pytest.fixture(scope="session")
def tiny_config() -> Callable[..., OtterConfig]:
    """``tiny_config("mpt", attend="all", text={...}, tower={...})``."""
    return _config


@pytest.fixture(scope="session")
def tiny() -> Callable[..., OtterForConditionalGeneration]:
    """``tiny("mpt", gates=0.0, attend="all")``: a fresh model in which pictures matter."""
    return _model


@pytest.fixture(scope="session", params=ARCHITECTURES)
def architecture(request: pytest.FixtureRequest) -> str:
    """Each of the architectures in turn."""
    return str(request.param)


@pytest.fixture(scope="session")
def model(architecture: str) -> OtterForConditionalGeneration:
    """A model of each architecture, not to be changed."""
    return _model(architecture)


@pytest.fixture(scope="session")
def llama() -> OtterForConditionalGeneration:
    """A LLaMA, not to be changed."""
    return _model("llama")


@pytest.fixture
def own_llama(llama: OtterForConditionalGeneration) -> OtterForConditionalGeneration:
    """A copy of ``llama`` that the test may change."""
    return copy.deepcopy(llama)


@pytest.fixture(scope="session")
def text() -> Callable[..., Tensor]:
    """``text("a<i>bc")``: long[1, 4] with a marker at ``<i>``; rows of one length give a batch."""

    def make(*rows: str) -> Tensor:
        lines = [
            [IMAGE if mark == "\0" else 10 + ord(mark) % 80 for mark in row.replace("<i>", "\0")]
            for row in rows
        ]
        return torch.tensor(lines)

    return make


@pytest.fixture(scope="session")
def pictures() -> Callable[..., Tensor]:
    """``pictures(2)``: float[2, 3, 8, 8]; the first ones of a seed are the same for any number."""

    def make(number: int, seed: int = 0) -> Tensor:
        return torch.randn(16, 3, 8, 8, generator=torch.Generator().manual_seed(seed))[:number]

    return make


@pytest.fixture(scope="session")
def index() -> Callable[..., Tensor]:
    """``index([[0], [1, 2]], [])``: media_index of a picture and a clip, and of nothing."""

    def make(*rows: Sequence[Sequence[int]]) -> Tensor:
        media = max(len(row) for row in rows)
        frames = max((len(medium) for row in rows for medium in row), default=1)
        table = torch.full((len(rows), media, frames), -1)
        for i, row in enumerate(rows):
            for j, medium in enumerate(row):
                table[i, j, : len(medium)] = torch.tensor(medium)
        return table

    return make


@pytest.fixture
def left_padded() -> Callable[..., dict[str, Tensor]]:
    """``left_padded(ids, ids)``: input_ids and attention_mask of rows of different lengths."""

    def make(*rows: Tensor) -> dict[str, Tensor]:
        length = max(row.shape[1] for row in rows)
        padded = [
            torch.nn.functional.pad(row, (length - row.shape[1], 0), value=PAD) for row in rows
        ]
        masks = [
            torch.nn.functional.pad(torch.ones_like(row), (length - row.shape[1], 0))
            for row in rows
        ]
        return {"input_ids": torch.cat(padded), "attention_mask": torch.cat(masks)}

    return make
