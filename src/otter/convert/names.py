"""What a tensor of ours is called elsewhere: one function, used to read and to write.

For ``cross_attention.0.attention.v_proj.weight`` of a model with LLaMA layers and a block before
every second one, the 2023 Otter says

    lang_encoder.model.layers.1.gated_cross_attn_layer.attn.to_kv.weight, the second of two halves

because it kept keys and values in one matrix and its blocks beside the decoder layers.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Origin:
    """Where a tensor comes from: a tensor, or one of the equal parts of its first axis.

    Args:
        name: the other tensor.
        part: which of the parts, counted from 0.
        parts: into how many the first axis is cut.
    """

    name: str
    part: int = 0
    parts: int = 1

    def __str__(self) -> str:
        return self.name if self.parts == 1 else f"{self.name} [{self.part + 1} of {self.parts}]"


@dataclass(frozen=True)
class Naming:
    """How a code base calls the parts that differ between the two.

    Args:
        resampler_attention: what stands before the attention of a resampler layer.
        resampler_feed_forward: its feed-forward.
        block_feed_forward: the feed-forward of a gated block.
        open_clip: whether the tower has the names of open_clip, not those of Hugging Face.
    """

    resampler_attention: str
    resampler_feed_forward: str
    block_feed_forward: str
    open_clip: bool


OTTER_2023 = Naming("", "feed_forward", "feed_forward", open_clip=False)
OPENFLAMINGO = Naming("0.", "1", "ff", open_clip=True)


@dataclass(frozen=True)
class Layout:
    """Where the gated blocks of a model stand.

    Args:
        decoder_layers: name of the list of decoder layers in the language model, such as
            ``model.layers``.
        with_block: numbers of the layers with a block before them.
    """

    decoder_layers: str
    with_block: Sequence[int]


_FEED_FORWARD = {"norm": "0", "up_proj": "1", "down_proj": "3"}
_BLOCK = {
    "norm": Origin("attn.norm"),
    "attention.q_proj": Origin("attn.to_q"),
    "attention.k_proj": Origin("attn.to_kv", 0, 2),
    "attention.v_proj": Origin("attn.to_kv", 1, 2),
    "attention.o_proj": Origin("attn.to_out"),
}
_GATES = {"attention_gate": "attn_gate", "feed_forward_gate": "ff_gate"}
_RESAMPLER = {
    "norm_media": Origin("norm_media"),
    "norm_latents": Origin("norm_latents"),
    "attention.q_proj": Origin("to_q"),
    "attention.k_proj": Origin("to_kv", 0, 2),
    "attention.v_proj": Origin("to_kv", 1, 2),
    "attention.o_proj": Origin("to_out"),
}
_OPEN_CLIP = {
    "embeddings.class_embedding": "class_embedding",
    "embeddings.patch_embedding.weight": "conv1.weight",
    "embeddings.position_embedding.weight": "positional_embedding",
    "pre_layrnorm": "ln_pre",
    "post_layernorm": "ln_post",
}
_OPEN_CLIP_LAYER = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "self_attn.out_proj": "attn.out_proj",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}
_CLIP_QKV = {"q_proj": 0, "k_proj": 1, "v_proj": 2}


def original(target: str, naming: Naming, layout: Layout) -> list[Origin]:
    """What a tensor of ours may be called in a checkpoint of the given naming, likeliest first.

    Args:
        target: a name in our state dict.
        naming: of the other code base.
        layout: of the model.
    """
    part, _, rest = target.partition(".")
    if part == "resampler":
        return [_resampler(rest, naming)]
    if part == "cross_attention":
        block, _, rest = rest.partition(".")
        layer = layout.with_block[int(block)]
        stem = f"lang_encoder.{layout.decoder_layers}.{layer}.gated_cross_attn_layer."
        return [_below(stem, _block(rest, naming))]
    if part == "vision_tower":
        if naming.open_clip:
            return [_below("vision_encoder.", open_clip(rest))]
        return [Origin(f"vision_encoder.vision_model.{rest}"), Origin(f"vision_encoder.{rest}")]
    return [Origin(f"lang_encoder.{name}") for name in _wrapped(rest, layout)]


def language_model(target: str) -> list[Origin]:
    """What a tensor of ours may be called in the language model's own checkpoint."""
    part, _, rest = target.partition(".")
    return [Origin(name) for name in _aliases(rest)] if part == "language_model" else []


def vision_tower(target: str) -> list[Origin]:
    """What a tensor of ours may be called in the checkpoint of a CLIP, whole or its tower alone."""
    part, _, rest = target.partition(".")
    if part != "vision_tower":
        return []
    theirs = open_clip(rest)
    return [
        Origin(rest),
        Origin(f"vision_model.{rest}"),
        *(_below(stem, theirs) for stem in ("visual.", "")),
    ]


def native(target: str) -> list[Origin]:
    """Our own name."""
    return [Origin(target)]


def open_clip(name: str) -> Origin:
    """The name in open_clip of a tensor of Hugging Face's CLIP tower."""
    if layer := re.fullmatch(r"encoder\.layers\.(\d+)\.(.+)\.(weight|bias)", name):
        number, inner, kind = layer.groups()
        stem = f"transformer.resblocks.{number}."
        projection = inner.rpartition(".")[2]
        if projection in _CLIP_QKV:
            return Origin(f"{stem}attn.in_proj_{kind}", _CLIP_QKV[projection], 3)
        return Origin(f"{stem}{_OPEN_CLIP_LAYER.get(inner, inner)}.{kind}")
    inner, _, kind = name.rpartition(".")
    if name in _OPEN_CLIP:
        return Origin(_OPEN_CLIP[name])
    return Origin(f"{_OPEN_CLIP.get(inner, inner)}.{kind}")


def _resampler(rest: str, naming: Naming) -> Origin:
    if rest == "frame_embeddings":
        return Origin("perceiver.frame_embs")
    layer = re.fullmatch(r"layers\.(\d+)\.(.+)\.(weight|bias)", rest)
    if layer is None:
        return Origin(f"perceiver.{rest}")
    number, inner, kind = layer.groups()
    stem = f"perceiver.layers.{number}."
    if inner.startswith("feed_forward."):
        place = _FEED_FORWARD[inner.partition(".")[2]]
        return Origin(f"{stem}{naming.resampler_feed_forward}.{place}.{kind}")
    theirs = _RESAMPLER[inner]
    name = f"{stem}{naming.resampler_attention}{theirs.name}.{kind}"
    return Origin(name, theirs.part, theirs.parts)


def _block(rest: str, naming: Naming) -> Origin:
    if rest in _GATES:
        return Origin(_GATES[rest])
    inner, _, kind = rest.rpartition(".")
    if inner.startswith("feed_forward."):
        place = _FEED_FORWARD[inner.partition(".")[2]]
        return Origin(f"{naming.block_feed_forward}.{place}.{kind}")
    theirs = _BLOCK[inner]
    return Origin(f"{theirs.name}.{kind}", theirs.part, theirs.parts)


def _wrapped(rest: str, layout: Layout) -> list[str]:
    """A tensor of the language model where each decoder layer was wrapped with its block."""
    names = []
    for name in _aliases(rest):
        if name.startswith(f"{layout.decoder_layers}."):
            number, _, inner = name[len(layout.decoder_layers) + 1 :].partition(".")
            name = f"{layout.decoder_layers}.{number}.decoder_layer.{inner}"
        names.append(name)
    return names


def _aliases(rest: str) -> list[str]:
    """GPT-NeoX called its output layer ``embed_out`` until transformers renamed it."""
    return [rest, rest.replace("lm_head", "embed_out")] if rest.startswith("lm_head") else [rest]


def _below(stem: str, origin: Origin) -> Origin:
    return Origin(stem + origin.name, origin.part, origin.parts)
