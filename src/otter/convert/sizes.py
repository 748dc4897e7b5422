"""The sizes of a model, read off the shapes of its tensors."""

from typing import Any

from otter.convert.errors import ConversionError
from otter.convert.names import Naming
from otter.convert.options import Options
from otter.convert.recognise import find_blocks
from otter.convert.sources import Weights

PUBLISHED_HEADS = 8
PUBLISHED_HEAD_DIM = 64
"""Of the resampler and the gated blocks in every published checkpoint; no tensor tells it."""

_EMBEDDINGS = (
    "lang_encoder.transformer.wte.weight",
    "lang_encoder.gpt_neox.embed_in.weight",
    "lang_encoder.model.embed_tokens.weight",
    "lang_encoder.model.decoder.embed_tokens.weight",
    "lang_encoder.transformer.word_embeddings.weight",
)


def sizes_of(weights: Weights, naming: Naming, options: Options) -> dict[str, Any]:
    """The fields of an :class:`~otter.model.config.OtterConfig` that tensors tell.

    Args:
        weights: of another code base.
        naming: its names.
        options: how many heads, where that differs from the published checkpoints.

    Raises:
        ConversionError: a tensor is missing, or the heads cannot be told.
    """
    infos, blocks = weights.infos, find_blocks(weights)
    block = f"lang_encoder.{blocks.decoder_layers}.{blocks.layers[0]}.gated_cross_attn_layer."
    layer = "perceiver.layers.0."
    try:
        latents, width = infos["perceiver.latents"].shape
        inner = infos[f"{layer}{naming.resampler_attention}to_q.weight"].shape[0]
        middle = infos[f"{layer}{naming.resampler_feed_forward}.1.weight"].shape[0]
        block_inner = infos[f"{block}attn.to_q.weight"].shape[0]
        block_middle = infos[f"{block}{naming.block_feed_forward}.1.weight"].shape[0]
    except KeyError as error:
        raise ConversionError(
            f"{weights.paths[0]}: {error.args[0]} is missing; the file is not complete, download "
            "or copy it again"
        ) from error
    frames = infos.get("perceiver.frame_embs")
    heads = _heads("resampler", inner, options.resampler_heads)
    block_heads = _heads("cross-attention", block_inner, options.cross_attention_heads)
    layers = {name.split(".")[2] for name in infos if name.startswith("perceiver.layers.")}
    return {
        "num_latents": latents,
        "resampler_depth": len(layers),
        "resampler_heads": heads,
        "resampler_head_dim": inner // heads,
        "resampler_feed_forward_multiplier": middle // width,
        "max_frames": None if frames is None else frames.shape[0],
        "cross_attention_heads": block_heads,
        "cross_attention_head_dim": block_inner // block_heads,
        "cross_attention_feed_forward_multiplier": block_middle // blocks.width,
    }


def embedding_rows(weights: Weights) -> int:
    """How many tokens the embeddings of another code base's checkpoint have.

    Raises:
        ConversionError: it has no embeddings.
    """
    found = [weights.infos.get(name) for name in _EMBEDDINGS]
    rows = [info.shape[0] for info in found if info is not None]
    if not rows:
        raise ConversionError(
            f"{weights.paths[0]}: has no token embeddings, so the rows of the added tokens are "
            "lost (OpenFlamingo leaves those of MPT out when trained with --freeze_lm_embeddings); "
            "it cannot be converted exactly"
        )
    return rows[0]


def fit_vocabulary(text: Any, rows: int, tokens: int, why: str) -> list[str]:
    """Let a language model's config have as many rows as the weights, or as the tokens need.

    Args:
        text: the config; is changed.
        rows: of the embeddings in the weights.
        tokens: of the tokenizer, with those that are added.
        why: there may be more tokens than rows.

    Returns:
        A note for the audit where rows have to be made up.
    """
    text.vocab_size = max(rows, tokens)
    if text.pad_token_id is not None and not 0 <= text.pad_token_id < text.vocab_size:
        text.pad_token_id = None
    if tokens <= rows:
        return []
    return [f"{tokens - rows} embedding row(s) added, the mean of the others: {why}"]


def _heads(part: str, inner: int, given: int | None) -> int:
    published = PUBLISHED_HEADS * PUBLISHED_HEAD_DIM
    if given is None and inner != published:
        raise ConversionError(
            f"the {part} is {inner} wide inside; published checkpoints have {published}, "
            f"{PUBLISHED_HEADS} heads of {PUBLISHED_HEAD_DIM}. No tensor tells how many heads "
            f"share {inner}: give --{part}-heads"
        )
    heads = PUBLISHED_HEADS if given is None else given
    if heads < 1 or inner % heads:
        raise ConversionError(
            f"--{part}-heads {heads}: does not divide the inner width of {inner}; give the number "
            "with which the model was trained"
        )
    return heads
