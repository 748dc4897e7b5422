"""MosaicGPT: the language model of mpt-1b-redpajama, an older MPT that transformers does not have.

What sets it apart from MPT is a layer norm of queries and of keys over the whole width, before they
are split into heads. transformers' MPT has a switch of that name and ignores it, so its weights
would load there and mean something else. Names of fields and of weights are the original ones, and
``import otter.model`` makes ``AutoConfig`` and ``AutoModelForCausalLM`` know them.
"""

import math
from typing import Any, ClassVar

import torch
from huggingface_hub.dataclasses import strict
from torch import Tensor, nn
from transformers import GenerationMixin, PreTrainedConfig, PreTrainedModel
from transformers.cache_utils import Cache, DynamicCache
from transformers.masking_utils import create_causal_mask
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

# What the original's other values would do is not written here; no published checkpoint has them.
_IMPLEMENTED: dict[str, Any] = {
    "alibi": True,
    "no_bias": True,
    "prefix_lm": False,
    "attn_uses_sequence_id": False,
    "logit_scale": None,
    "embedding_fraction": 1.0,
    "attn_pdrop": 0.0,
    "resid_pdrop": 0.0,
    "emb_pdrop": 0.0,
}


@strict
class MosaicGPTConfig(PreTrainedConfig):
    """The sizes of a MosaicGPT, under the names of its own config.json.

    Args:
        d_model: width; also ``hidden_size``.
        n_heads: heads of the attention; also ``num_attention_heads``.
        n_layers: blocks; also ``num_hidden_layers``.
        mlp_ratio: how much wider the middle of a feed-forward is.
        max_seq_len: tokens of the training texts; also ``max_position_embeddings``.
        attn_qk_ln: norm queries and keys over ``d_model``.
        attn_clip_qkv: cut queries, keys and values off at plus and minus this; None for no cut.
        softmax_scale: of the attention; None for one over the root of a head's width.
        alibi_bias_max: the steepest slope of ALiBi is ``2 ** (-alibi_bias_max / n_heads)`` for a
            head count that is a power of two.
        tie_word_embeddings: always true, whatever config.json says: the output is the embedding.

    Raises:
        ValueError: a value that this class does not implement, by its name.
    """

    model_type = "mosaic_gpt"
    attribute_map: ClassVar[dict[str, str]] = {
        "hidden_size": "d_model",
        "num_hidden_layers": "n_layers",
        "num_attention_heads": "n_heads",
        "max_position_embeddings": "max_seq_len",
    }
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["past_key_values"]

    d_model: int = 2048
    n_heads: int = 16
    n_layers: int = 24
    mlp_ratio: int = 4
    max_seq_len: int = 2048
    vocab_size: int = 50368
    attn_qk_ln: bool = True
    attn_clip_qkv: float | int | None = None
    softmax_scale: float | int | None = None
    alibi: bool = True
    alibi_bias_max: int = 8
    no_bias: bool = True
    prefix_lm: bool | None = False
    attn_uses_sequence_id: bool | None = False
    logit_scale: float | int | str | None = None
    embedding_fraction: float | int = 1.0
    attn_pdrop: float | int = 0.0
    resid_pdrop: float | int = 0.0
    emb_pdrop: float | int = 0.0
    use_cache: bool = True
    initializer_range: float = 0.02
    tie_word_embeddings: bool = True
    pad_token_id: int | None = None
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        """Refuse what would silently be another model."""
        for name, expected in _IMPLEMENTED.items():
            value = getattr(self, name)
            if value != expected and not (value is None and expected is False):
                raise ValueError(
                    f"{name} = {value!r}: MosaicGPT is implemented with {name} = {expected!r}, as "
                    "the published checkpoints have it. Correct config.json if the weights were "
                    "trained so; otherwise this language model cannot be used"
                )
        if self.d_model % self.n_heads:
            raise ValueError(
                f"d_model = {self.d_model} with n_heads = {self.n_heads}: expected a width that "
                "the heads divide; correct config.json"
            )
        super().__post_init__(**kwargs)
        self.tie_word_embeddings = True


def alibi_slopes(n_heads: int, bias_max: int, device: torch.device | None = None) -> Tensor:
    """How fast each head forgets: float[heads], what a step back in the text costs it.

    For 4 heads and a maximum of 8 they are 1/4, 1/16, 1/64, 1/256. A head count that is no power of
    two takes those of the next one, first every second: 3 heads get 1/16, 1/256, 1/4.
    """
    steps = 2 ** math.ceil(math.log2(n_heads))
    exponents = torch.arange(1, steps + 1, dtype=torch.float32, device=device) * (bias_max / steps)
    slopes = torch.exp2(-exponents)
    if steps == n_heads:
        return slopes
    return torch.cat([slopes[1::2], slopes[::2]])[:n_heads]


class MosaicGPTAttention(nn.Module):
    """Causal self-attention: one projection for queries, keys and values, and norms on two of them.

    Args:
        config: the model's config.
        layer_idx: number of the block, its place in a cache.
    """

    def __init__(self, config: MosaicGPTConfig, layer_idx: int) -> None:
        super().__init__()
        dim = config.d_model
        self.config = config
        self.layer_idx = layer_idx
        self.head_dim = dim // config.n_heads
        self.scaling = config.softmax_scale or self.head_dim**-0.5
        self.Wqkv = nn.Linear(dim, 3 * dim, bias=False)
        if config.attn_qk_ln:
            self.q_ln = nn.LayerNorm(dim, bias=False)
            self.k_ln = nn.LayerNorm(dim, bias=False)
        self.out_proj = nn.Linear(dim, dim, bias=False)

    def forward(
        self, x: Tensor, attention_mask: Tensor, past_key_values: Cache | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Attend.

        Args:
            x: float[batch, text, dim].
            attention_mask: float[batch or 1, heads, text, keys], added to the scores.
            past_key_values: a cache, which gets the keys and values.

        Returns:
            float[batch, text, dim], and the weights float[batch, heads, text, keys] where the
            implementation of attention gives them.
        """
        queries_keys_values = self.Wqkv(x)
        if (limit := self.config.attn_clip_qkv) is not None:
            queries_keys_values = queries_keys_values.clamp(-limit, limit)
        queries, keys, values = queries_keys_values.chunk(3, dim=-1)
        if self.config.attn_qk_ln:
            queries, keys = self.q_ln(queries), self.k_ln(keys)
        queries, keys, values = map(self._split, (queries, keys, values))
        if past_key_values is not None:
            keys, values = past_key_values.update(keys, values, self.layer_idx)
        attend = ALL_ATTENTION_FUNCTIONS.get_interface(
            self.config._attn_implementation, _eager_attention
        )
        attended, weights = attend(
            self, queries, keys, values, attention_mask, scaling=self.scaling, dropout=0.0
        )
        return self.out_proj(attended.flatten(2)), weights

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)


class MosaicGPTMLP(nn.Module):
    """Out to ``mlp_ratio`` times the width and back, with the exact GELU between."""

    def __init__(self, config: MosaicGPTConfig) -> None:
        super().__init__()
        self.mlp_up = nn.Linear(config.d_model, config.mlp_ratio * config.d_model, bias=False)
        self.mlp_down = nn.Linear(config.mlp_ratio * config.d_model, config.d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """float[..., dim] to the same shape."""
        return self.mlp_down(nn.functional.gelu(self.mlp_up(x)))


class MosaicGPTBlock(GradientCheckpointingLayer):
    """Attention, then a feed-forward, each after a norm and added to what came in."""

    def __init__(self, config: MosaicGPTConfig, layer_idx: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.d_model, bias=False)
        self.attn = MosaicGPTAttention(config, layer_idx)
        self.ln_2 = nn.LayerNorm(config.d_model, bias=False)
        self.mlp = MosaicGPTMLP(config)

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor,
        past_key_values: Cache | None = None,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor | None]:
        """As :class:`MosaicGPTAttention`; ``kwargs`` are for whoever hooks on to the block."""
        attended, weights = self.attn(self.ln_1(hidden_states), attention_mask, past_key_values)
        hidden_states = hidden_states + attended
        return hidden_states + self.mlp(self.ln_2(hidden_states)), weights


class MosaicGPTPreTrainedModel(PreTrainedModel):
    """What the rest of transformers may do with the model."""

    config: MosaicGPTConfig
    base_model_prefix = "transformer"
    supports_gradient_checkpointing = True
    _no_split_modules: ClassVar[list[str]] = ["MosaicGPTBlock"]
    _skip_keys_device_placement: ClassVar[list[str]] = ["past_key_values"]
    _supports_sdpa = True
    _can_compile_fullgraph = True
    _input_embed_layer = "wte"


class MosaicGPTModel(MosaicGPTPreTrainedModel):
    """The decoder: embeddings, blocks and a last norm."""

    def __init__(self, config: MosaicGPTConfig) -> None:
        super().__init__(config)
        self.wte = nn.Embedding(config.vocab_size, config.d_model)
        self.blocks = nn.ModuleList(MosaicGPTBlock(config, i) for i in range(config.n_layers))
        self.ln_f = nn.LayerNorm(config.d_model, bias=False)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPast:
        """Read text; arguments as in :meth:`MosaicGPTForCausalLM.forward`."""
        if inputs_embeds is None:
            if input_ids is None:
                raise ValueError(
                    "forward got neither input_ids nor inputs_embeds: give one of them"
                )
            inputs_embeds = self.wte(input_ids)
        if (self.config.use_cache if use_cache is None else use_cache) and past_key_values is None:
            past_key_values = DynamicCache(config=self.config)
        mask = self._biased_mask(inputs_embeds, attention_mask, past_key_values)
        hidden_states = inputs_embeds
        states: tuple[Tensor, ...] = ()
        weights: tuple[Tensor | None, ...] = ()
        for block in self.blocks:
            states += (hidden_states,) if output_hidden_states else ()
            hidden_states, attended = block(
                hidden_states, attention_mask=mask, past_key_values=past_key_values, **kwargs
            )
            weights += (attended,) if output_attentions else ()
        hidden_states = self.ln_f(hidden_states)
        return BaseModelOutputWithPast(
            last_hidden_state=hidden_states,
            past_key_values=past_key_values,
            hidden_states=(*states, hidden_states) if output_hidden_states else None,
            attentions=weights if output_attentions else None,
        )

    def _biased_mask(
        self, embeds: Tensor, attention_mask: Tensor | None, cache: Cache | None
    ) -> Tensor:
        """What is added to the scores: ALiBi, and the lowest number where a token may not look.

        Returns:
            float[batch or 1, heads, text, keys].
        """
        start = 0 if cache is None else cache.get_seq_length()
        mask: Tensor = create_causal_mask(
            config=self.config,
            inputs_embeds=embeds,
            attention_mask=attention_mask,
            past_key_values=cache,
            allow_is_causal_skip=False,
        )
        queries = torch.arange(embeds.shape[1], device=embeds.device) + start
        keys = torch.arange(mask.shape[-1], device=embeds.device)
        slopes = alibi_slopes(self.config.n_heads, self.config.alibi_bias_max, embeds.device)
        # Counted from the token that asks, not from the last one: softmax sees no difference, but
        # the biases that matter stay small, and so exact in half precision.
        bias = slopes[:, None, None] * (keys - queries[:, None])
        lowest = torch.finfo(embeds.dtype).min
        if attention_mask is None:
            mask = mask[:1]  # all rows alike, and a bias for each would be large
        if mask.dtype == torch.bool:
            return bias.to(embeds.dtype).masked_fill(~mask, lowest)
        return (mask + bias).clamp(min=lowest).to(embeds.dtype)


class MosaicGPTForCausalLM(MosaicGPTPreTrainedModel, GenerationMixin):
    """MosaicGPT with its output, which is the table of embeddings once more."""

    _tied_weights_keys: ClassVar[dict[str, str]] = {"lm_head.weight": "transformer.wte.weight"}

    def __init__(self, config: MosaicGPTConfig) -> None:
        super().__init__(config)
        self.transformer = MosaicGPTModel(config)
        self.lm_head = nn.Linear(config.d_model, config.vocab_size, bias=False)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Say what each next token may be.

        Args:
            input_ids: long[batch, text].
            attention_mask: long[batch, text so far], 0 at padding on either side.
            past_key_values: a cache to continue.
            inputs_embeds: float[batch, text, dim], instead of ``input_ids``.
            labels: long[batch, text], -100 where nothing is to be learned; gives a ``loss``.
            use_cache: whether to make a cache; as in the config if None.
            output_attentions: give the weights; the attention must be "eager".
            output_hidden_states: give what went into each block, and what came out of all.
            logits_to_keep: only the last so many logits, or those at these places; 0 for all.
            **kwargs: passed on to the blocks.

        Returns:
            logits float[batch, text, vocabulary], and loss, cache and states if any.
        """
        given = kwargs.pop("num_items_in_batch", None)
        output = self.transformer(
            input_ids,
            attention_mask=attention_mask,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            use_cache=use_cache,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            **kwargs,
        )
        keep = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.lm_head(output.last_hidden_state[:, keep])
        loss = None
        if labels is not None:
            loss = self.loss_function(
                logits, labels, vocab_size=logits.shape[-1], num_items_in_batch=given
            )
        return CausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            past_key_values=output.past_key_values,
            hidden_states=output.hidden_states,
            attentions=output.attentions,
        )


def _eager_attention(
    module: nn.Module,
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    mask: Tensor,
    scaling: float,
    **_: Any,
) -> tuple[Tensor, Tensor]:
    """Attention whose weights can be looked at."""
    scores = queries @ keys.transpose(-1, -2) * scaling + mask
    weights = scores.softmax(dim=-1, dtype=torch.float32).to(queries.dtype)
    return (weights @ values).transpose(1, 2), weights
