"""Other people's configs as ours: of language models, and of whole 2023 checkpoints."""

from collections.abc import Mapping
from typing import Any

from transformers import (
    AutoConfig,
    CLIPVisionConfig,
    FalconConfig,
    GenerationConfig,
    MptConfig,
    PreTrainedConfig,
)
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from otter.convert.errors import ConversionError
from otter.model.config import OtterConfig
from otter.model.mosaic_gpt import MosaicGPTConfig

_ARCHITECTURES = {
    "MPTForCausalLM": "mpt",
    "MptForCausalLM": "mpt",
    "MosaicGPT": "mosaic_gpt",
    "RWForCausalLM": "falcon",
    "LlamaForCausalLM": "llama",
}
_FALCON_NAMES = ("falcon", "RefinedWebModel", "RefinedWeb")

_NOT_OF_THE_MODEL = {
    *GenerationConfig().to_dict(),
    *("transformers_version", "_commit_hash", "_name_or_path", "auto_map", "architectures"),
    *("dtype", "torch_dtype", "torchscript", "use_bfloat16", "tf_legacy_loss", "pruned_heads"),
    *("id2label", "label2id", "problem_type", "finetuning_task", "task_specific_params"),
    *("tokenizer_class", "tokenizer_name", "prefix", "is_decoder", "is_encoder_decoder"),
    *("add_cross_attention", "cross_attention_hidden_size", "tie_encoder_decoder"),
    *("chunk_size_feed_forward", "return_dict"),
} - {"pad_token_id", "bos_token_id", "eos_token_id", "use_cache"}
"""Fields of a config of 2023 that say how to generate or classify or where it came from."""


def language_model_config(given: Mapping[str, Any]) -> PreTrainedConfig:
    """A language model's ``config.json`` as the config of a class that we have.

    Args:
        given: its content, of today or of 2023: LLaMA, MPT, MosaicGPT, GPT-NeoX, OPT, Falcon, and
            whatever transformers has under the same ``model_type``.

    Raises:
        ConversionError: an unknown model.
    """
    kind = given.get("model_type") or _kind_of_architecture(given)
    if kind in ("mpt", "mosaic_gpt"):
        return _mosaic(given, MptConfig if kind == "mpt" else MosaicGPTConfig)
    if kind in _FALCON_NAMES and kind != "falcon":
        return _falcon(given)
    if kind not in CONFIG_MAPPING:
        raise ConversionError(
            f"model_type = {kind!r}: transformers has no such language model; expected llama, mpt, "
            "mosaic_gpt, gpt_neox, opt, falcon or another of its decoders"
        )
    return AutoConfig.for_model(kind, **_of_the_model(given))


def otter_config_2023(given: Mapping[str, Any]) -> OtterConfig:
    """The ``config.json`` of a 2023 Otter or Flamingo as ours.

    Token ids are filled in when the tokenizer is known.

    Raises:
        ConversionError: a part is missing, or the language model is unknown.
    """
    missing = [part for part in ("text_config", "vision_config") if not given.get(part)]
    if missing:
        raise ConversionError(
            f"config.json has no {' and no '.join(missing)}; expected those of a 2023 checkpoint: "
            "take its config.json from where the weights come from"
        )
    text = language_model_config(given["text_config"])
    if "tie_word_embeddings" in given and text.model_type == "llama":
        text.tie_word_embeddings = bool(given["tie_word_embeddings"])
    return OtterConfig(
        vision_config=vision_config(given["vision_config"]),
        text_config=text,
        cross_attention_every_n_layers=int(given.get("cross_attn_every_n_layers", 4)),
        max_frames=given.get("max_num_frames"),
    )


def vision_config(given: Mapping[str, Any]) -> CLIPVisionConfig:
    """The vision part of a 2023 config, or of a whole CLIP's."""
    inner = given.get("vision_config") or given
    return CLIPVisionConfig(**_of_the_model(inner))


def legacy_text_config(config: PreTrainedConfig) -> dict[str, Any]:
    """The ``text_config`` with which the 2023 code builds the same language model.

    Raises:
        ConversionError: it had no such language model.
    """
    own = {**_of_the_model(config.to_dict()), "model_type": config.model_type}
    if config.model_type == "llama":
        theta = (own.pop("rope_parameters", None) or {}).get("rope_theta", 10000.0)
        names = {"architectures": ["LlamaForCausalLM"], "_name_or_path": "llama-7b"}
        return {**own, **names, "rope_theta": theta, "rope_scaling": None}
    if config.model_type == "mpt":
        attention: Any = own["attn_config"]
        own["attn_config"] = {k: v for k, v in dict(attention).items() if k in _ATTENTION}
        names = {"architectures": ["MPTForCausalLM"], "hidden_size": own["d_model"]}
        return {**own, **names, "use_cache": False}
    if config.model_type == "mosaic_gpt":
        names = {"architectures": ["MosaicGPT"], "hidden_size": own["d_model"]}
        return {**own, **names, "use_cache": False}
    raise ConversionError(
        f"text_config.model_type = {config.model_type!r}: the 2023 Otter runs llama, mpt and "
        "mosaic_gpt; keep the native form"
    )


_ATTENTION = (
    "attn_type",
    "attn_pdrop",
    "attn_impl",
    "qk_ln",
    "clip_qkv",
    "softmax_scale",
    "prefix_lm",
    "attn_uses_sequence_id",
    "alibi",
    "alibi_bias_max",
)


def _kind_of_architecture(given: Mapping[str, Any]) -> str | None:
    names = given.get("architectures") or []
    return next((_ARCHITECTURES[name] for name in names if name in _ARCHITECTURES), None)


def _mosaic(given: Mapping[str, Any], config_class: type[PreTrainedConfig]) -> PreTrainedConfig:
    """MPT and its forerunner; the model refuses the settings that its class would ignore."""
    attention = dict(given.get("attn_config") or {})
    kept = _of_the_model(given)
    # They gave the width twice, for code that reads configs of any model.
    kept.pop("hidden_size", None)
    kept.pop("init_config", None)
    if config_class is MptConfig:
        known = {k: attention[k] for k in _ATTENTION if k in attention}
        kept |= {"attn_config": {**known, "attn_impl": "torch"}, "tie_word_embeddings": True}
    return config_class(**{k: v for k, v in kept.items() if v is not None})


def _falcon(given: Mapping[str, Any]) -> FalconConfig:
    """Falcon under the names that it had before transformers took it in."""
    renamed = {"n_layer": "num_hidden_layers", "n_head": "num_attention_heads"}
    kept = {renamed.get(name, name): value for name, value in _of_the_model(given).items()}
    # Its class tied the output to the embeddings whatever the config said.
    return FalconConfig(**{**kept, "tie_word_embeddings": True})


def _of_the_model(given: Mapping[str, Any]) -> dict[str, Any]:
    """What of a config describes the model."""
    left_out = {*_NOT_OF_THE_MODEL, "model_type"}
    if given.get("rope_scaling") is None:
        left_out.add("rope_scaling")
    return {name: value for name, value in given.items() if name not in left_out}
