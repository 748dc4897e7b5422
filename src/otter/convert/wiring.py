"""What can be wired together: the parts of a new Otter, refused by name where they do not fit.

Most is seen from the configs, before any weight is read. The rest only a trial run shows.
"""

import inspect
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from transformers import AutoConfig, PreTrainedConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_MAPPING

from otter.convert.configs import language_model_config
from otter.convert.errors import ConversionError
from otter.convert.recognise import read_config
from otter.model.backbones import accepted_keywords, vision_width
from otter.model.modeling import OtterForConditionalGeneration
from otter.model.processor import OtterProcessor
from otter.prompt import Episode

TOWER = "--vision-tower"
LANGUAGE_MODEL = "--language-model"
TOKENIZER = "--tokenizer"

_CHANGED_LOGITS = 0.05
"""Relative change of logits that rounding cannot explain."""


def read_tower_config(folder: Path) -> PreTrainedConfig:
    """The config of a vision tower; of a whole CLIP, SigLIP or vision-language model its part.

    Raises:
        ConversionError: it is no vision tower, or one that wants more than pictures.
    """
    whole = _config(folder, TOWER)
    config = getattr(whole, "vision_config", None) or whole
    given = f"{TOWER} {folder}: {config.model_type!r}"
    if type(config) not in MODEL_MAPPING:
        raise ConversionError(
            f"{given} has no model class in transformers, expected a vision tower such as CLIP or "
            "SigLIP; choose another"
        )
    tower = MODEL_MAPPING[type(config)]
    if getattr(tower, "main_input_name", "input_ids") != "pixel_values":
        raise ConversionError(
            f"{given} reads {getattr(tower, 'main_input_name', 'input_ids')}, expected a vision "
            "tower, which reads pixel_values, such as CLIP or SigLIP; were the two folders mixed "
            "up?"
        )
    parameters = list(inspect.signature(tower.forward).parameters.values())[1:]
    needed = [p.name for p in parameters if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
    if more := [name for name in needed if name != "pixel_values"]:
        raise ConversionError(
            f"{given} also needs {', '.join(more)}, expected a tower that reads pictures of one "
            "size and nothing else; choose one with a fixed size"
        )
    try:
        vision_width(config)
    except ValueError as error:
        raise ConversionError(f"{given}: {error}; choose another tower") from error
    return config


def read_language_config(folder: Path) -> PreTrainedConfig:
    """The config of a causal language model.

    Raises:
        ConversionError: an encoder-decoder, a vision-language model, quantized weights, or a model
            of which transformers has no causal language model.
    """
    given = f"{LANGUAGE_MODEL} {folder}: "
    content = read_config(folder)
    config = _config(folder, LANGUAGE_MODEL)
    kind = config.model_type
    if getattr(config, "is_encoder_decoder", False):
        raise ConversionError(
            f"{given}{kind!r} is an encoder-decoder, expected a decoder that continues text, such "
            "as 'llama': gated blocks let a text look at pictures while it is continued"
        )
    senses = [part for part in ("vision_config", "audio_config") if hasattr(config, part)]
    if senses:
        raise ConversionError(
            f"{given}{kind!r} has a {senses[0]}, so it is a multimodal model already; expected a "
            "language model alone: give the one that it was built from"
        )
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise ConversionError(
            f"{given}transformers has no causal language model for {kind!r}; expected a decoder "
            "such as 'llama'"
            + ("; is it the vision tower?" if hasattr(config, "patch_size") else "; choose another")
        )
    if content.get("quantization_config"):
        raise ConversionError(
            f"{given}its weights are quantized, expected bf16, fp16 or fp32: give the original "
            "model; an Otter can be quantized when it is loaded"
        )
    for size in ("hidden_size", "num_hidden_layers", "vocab_size"):
        if not isinstance(getattr(config, size, None), int):
            raise ConversionError(
                f"{given}the config of {kind!r} has no {size}, expected the sizes of a decoder; "
                "choose another language model"
            )
    return language_model_config(content) if kind in ("mpt", "mosaic_gpt") else config


def _config(folder: Path, option: str) -> PreTrainedConfig:
    """The config of a model that transformers knows itself: no code of others is run."""
    try:
        kind = read_config(folder).get("model_type")
    except ConversionError as error:
        raise ConversionError(f"{option} {error}") from error
    if kind not in CONFIG_MAPPING:
        raise ConversionError(
            f"{option} {folder}: model_type = {kind!r} in its config.json, expected a model that "
            "transformers has a class for; code that comes with a model is not run. Choose "
            "another, or register its class first"
        )
    try:
        return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ConversionError(
            f"{option} {folder}: config.json is not that of a {kind!r} ({reason}); download it "
            "again"
        ) from error


def check_language_model(language_model: Any, folder: Path) -> None:
    """See whether a language model can be continued from a cache in the usual way.

    Raises:
        ConversionError: it keeps its memory in another form.
    """
    names, _ = accepted_keywords(language_model.forward)
    if "past_key_values" not in names:
        raise ConversionError(
            f"{LANGUAGE_MODEL} {folder}: {type(language_model).__name__} takes no past_key_values, "
            "expected a decoder with an ordinary cache, in which pictures are remembered too; "
            "choose another language model"
        )


def try_out(model: OtterForConditionalGeneration, processor: OtterProcessor) -> None:
    """Let a new model read two questions about two pictures, and look at what comes out.

    Raises:
        ConversionError: the parts do not work together, the language model drops its layers or
            reads ahead, or numbers overflow.
    """
    pictures = [Image.new("RGB", (64, 48), colour) for colour in ("grey", "white")]
    questions = [Episode(text, pictures) for text in ("What is it?", "And where are these?")]
    try:
        batch = processor.from_episodes(questions, with_answers=False)
        with torch.no_grad():
            logits = model(**batch).logits.float()
    # Whatever the code of a backbone that nobody tried here before may raise.
    except (
        *(RuntimeError, ValueError, TypeError, AttributeError),
        *(LookupError, NotImplementedError, ImportError),
    ) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else ""
        raise ConversionError(
            f"{_pair(model)}: a trial run with two pictures failed ({type(error).__name__}: "
            f"{reason}); expected them to work together: choose another of the two"
        ) from error
    if not bool(logits.isfinite().all()):
        raise ConversionError(
            f"{_pair(model)}: a trial run gave numbers that are not finite in {model.dtype}; "
            "expected finite logits: try --dtype bf16 or fp32"
        )
    _check_order(model, batch["input_ids"], logits)


def _check_order(model: OtterForConditionalGeneration, ids: Tensor, logits: Tensor) -> None:
    """What both questions begin with must read the same, whatever comes after it."""
    first = int((ids[0] == ids[1]).long().cumprod(0).sum())
    one, other = logits[0, :first], logits[1, :first]
    change = float((one - other).norm() / one.norm().clamp(min=1e-9))
    if change > _CHANGED_LOGITS:
        raise ConversionError(
            f"{LANGUAGE_MODEL}: {type(model.language_model).__name__} looks at later tokens (its "
            f"logits changed by {change:.0%} with what came after), expected a causal language "
            "model: set is_decoder in its config.json if it is one, or choose another"
        )


def _pair(model: OtterForConditionalGeneration) -> str:
    return f"{type(model.vision_tower).__name__} and {type(model.language_model).__name__}"
