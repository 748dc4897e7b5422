"""What a user can say about a conversion."""

from dataclasses import dataclass
from typing import Literal

import torch

To = Literal["native", "otter-2023", "openflamingo"]

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
"""The types that weights may be written in, by the names of the option ``--dtype``."""


@dataclass(frozen=True)
class Options:
    """The options of :func:`otter.convert.convert`, which explains them."""

    language_model: str | None = None
    vision_tower: str | None = None
    tokenizer: str | None = None
    base: str | None = None
    dtype: str | None = None
    template: str | None = None
    image_transform: str | None = None
    resampler_heads: int | None = None
    cross_attention_heads: int | None = None
    allow_download: bool = False
    max_shard_bytes: int = 5 * 2**30
