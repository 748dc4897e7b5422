"""A small vision tower: a few convolutions, then a few transformer layers.

A convolution stem in place of one large patch embedding (Xiao et al. 2021, arXiv 2106.14881) is
what lets a tower of some hundred thousand parameters learn within minutes. It has no class token;
its features are the last hidden state after a final norm.
"""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutput

PATCH = 8
"""Width and height of a patch, in pixels: the stem halves a picture three times."""


class StemVisionConfig(PreTrainedConfig):
    """Sizes of a :class:`StemVisionModel`.

    The stem halves the picture three times, so a patch is always 8 pixels wide and high.
    """

    model_type = "otter_stem_vision"

    hidden_size: int = 96
    num_hidden_layers: int = 2
    num_attention_heads: int = 4
    intermediate_size: int = 384
    image_size: int = 48
    patch_size: int = PATCH
    num_channels: int = 3
    stem_channels: int = 64
    layer_norm_eps: float = 1e-5
    initializer_range: float = 0.02


class StemVisionLayer(nn.Module):
    """Attention and a feed-forward, each after a norm and added to what came in."""

    def __init__(self, config: StemVisionConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.heads = config.num_attention_heads
        self.attention_norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width, eps=config.layer_norm_eps),
            nn.Linear(width, config.intermediate_size),
            nn.GELU(),
            nn.Linear(config.intermediate_size, width),
        )

    def forward(self, hidden_states: Tensor) -> Tensor:
        """float[images, patches, dim] to the same."""
        n, patches, width = hidden_states.shape
        qkv = self.qkv(self.attention_norm(hidden_states))
        q, k, v = qkv.view(n, patches, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        attended = nn.functional.scaled_dot_product_attention(q, k, v)
        hidden_states = hidden_states + self.out(
            attended.transpose(1, 2).reshape(n, patches, width)
        )
        return hidden_states + self.feed_forward(hidden_states)


class StemVisionModel(PreTrainedModel):
    """Pictures to patch features; ``AutoModel`` builds it from a :class:`StemVisionConfig`.

    Raises:
        ValueError: sizes that do not fit together.
    """

    config: StemVisionConfig
    main_input_name = "pixel_values"
    input_modalities = ("image",)
    _no_split_modules: ClassVar[list[str]] = ["StemVisionLayer"]

    def __init__(self, config: StemVisionConfig) -> None:
        _check(config)
        super().__init__(config)
        half, full = config.stem_channels // 2, config.stem_channels
        self.stem = nn.Sequential(
            nn.Conv2d(config.num_channels, half, 3, 2, 1),
            nn.ReLU(),
            nn.Conv2d(half, full, 3, 2, 1),
            nn.ReLU(),
            nn.Conv2d(full, full, 3, 1, 1),
            nn.ReLU(),
            nn.Conv2d(full, config.hidden_size, 3, 2, 1),
        )
        patches = (config.image_size // config.patch_size) ** 2
        self.position_embedding = nn.Parameter(torch.zeros(1, patches, config.hidden_size))
        self.layers = nn.ModuleList(
            [StemVisionLayer(config) for _ in range(config.num_hidden_layers)]
        )
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.post_init()

    def forward(self, pixel_values: Tensor, **kwargs: Any) -> BaseModelOutput:
        """Pictures to patch features.

        Args:
            pixel_values: float[images, channels, height, width].

        Returns:
            ``last_hidden_state`` float[images, patches, dim], row by row from the top left.

        Raises:
            ValueError: the pictures are not of the configured size.
        """
        side = self.config.image_size
        if tuple(pixel_values.shape[-2:]) != (side, side):
            height, width = pixel_values.shape[-2:]
            raise ValueError(
                f"pixel_values are {height} by {width}, the tower takes {side} by {side}: "
                "prepare pictures with the checkpoint's own processor"
            )
        hidden_states = self.stem(pixel_values).flatten(2).transpose(1, 2) + self.position_embedding
        for layer in self.layers:
            hidden_states = layer(hidden_states)
        return BaseModelOutput(last_hidden_state=self.norm(hidden_states))

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Conv2d):
            init.kaiming_normal_(module.weight, nonlinearity="relu")
            init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            init.xavier_uniform_(module.weight)
            init.zeros_(module.bias)
        elif isinstance(module, nn.LayerNorm):
            init.ones_(module.weight)
            init.zeros_(module.bias)
        elif isinstance(module, StemVisionModel):
            init.normal_(module.position_embedding, std=self.config.initializer_range)
            # No ReLU takes half of what the last convolution gives, so it starts smaller.
            last: Any = module.stem[-1]
            init.normal_(last.weight, std=0.5 * (2 / last.weight[0].numel()) ** 0.5)


def _check(config: StemVisionConfig) -> None:
    """Refuse sizes that would fail later with a message about shapes."""
    if config.patch_size != PATCH:
        raise ValueError(
            f"patch_size = {config.patch_size}: expected {PATCH}, as the stem makes it"
        )
    if config.image_size % PATCH or config.image_size < PATCH:
        raise ValueError(
            f"image_size = {config.image_size}: expected a multiple of {PATCH}, the patch size"
        )
    if config.hidden_size % config.num_attention_heads:
        raise ValueError(
            f"hidden_size = {config.hidden_size}: expected a multiple of num_attention_heads = "
            f"{config.num_attention_heads}"
        )
