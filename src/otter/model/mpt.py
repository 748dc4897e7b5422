"""What transformers' MPT leaves out of its config, put right or refused.

It builds every feed-forward four times as wide as the model, every ALiBi with a maximum of 8 and
no norm of queries and keys, whatever the config says: weights that were trained otherwise would not
fit, or would fit and mean something else.
"""

from typing import Any

from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel


def check_mpt_config(config: PreTrainedConfig) -> None:
    """Refuse settings that transformers' MPT ignores.

    Raises:
        ValueError: naming the setting.
    """
    settings: Any = config
    attention = settings.attn_config
    ignored = [
        ("attn_config.qk_ln", attention.qk_ln, False),
        ("attn_config.alibi", attention.alibi, True),
        ("attn_config.alibi_bias_max", attention.alibi_bias_max, 8),
        ("attn_config.prefix_lm", attention.prefix_lm, False),
        ("attn_config.attn_type", attention.attn_type, "multihead_attention"),
        ("no_bias", settings.no_bias, True),
        ("logit_scale", settings.logit_scale, None),
    ]
    for name, value, expected in ignored:
        if value != expected:
            raise ValueError(
                f"text_config.{name} = {value!r}: transformers' MPT ignores it and behaves as with "
                f"{expected!r}, so the model would not be the one that was trained; MosaicGPT "
                "(model_type 'mosaic_gpt') has a norm of queries and keys, the rest cannot be used"
            )


def heed_expansion_ratio(model: PreTrainedModel) -> None:
    """Make the feed-forwards of a fresh MPT as wide as its config says."""
    config: Any = model.config
    width, middle = config.d_model, config.expansion_ratio * config.d_model
    for block in model.base_model.blocks:
        old = block.ffn.up_proj
        if old.out_features != middle:
            like = {"bias": False, "device": old.weight.device, "dtype": old.weight.dtype}
            block.ffn.up_proj = nn.Linear(width, middle, **like)
            block.ffn.down_proj = nn.Linear(middle, width, **like)
            model._init_weights(block.ffn.up_proj)
            model._init_weights(block.ffn.down_proj)
