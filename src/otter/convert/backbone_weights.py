"""The backbones of a new Otter with their weights, read by transformers' own loaders."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import (
    AutoImageProcessor,
    AutoModel,
    AutoModelForCausalLM,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.models.auto.modeling_auto import MODEL_MAPPING
from transformers.utils import logging

from otter.convert.errors import ConversionError
from otter.convert.images import image_processor
from otter.convert.tokens import load_tokenizer
from otter.convert.wiring import LANGUAGE_MODEL, TOKENIZER, TOWER
from otter.model.answer import no_bars
from otter.prompt import SPECIAL_TOKENS

_TOKENIZER_FILES = (
    *("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model"),
    *("tekken.json", "tiktoken.model", "sentencepiece.bpe.model"),
)
_PICTURE_FILES = ("preprocessor_config.json", "processor_config.json")
_CLIP_SIZE = 224


def load_language_model(
    folder: Path, config: PreTrainedConfig, dtype: torch.dtype | None
) -> PreTrainedModel:
    """A causal language model.

    Args:
        folder: where it lies.
        config: what ``wiring.read_language_config`` gave.
        dtype: of its weights; as they are stored where absent.

    Raises:
        ConversionError: weights are missing or of other shapes, or there are none.
    """
    with quietly():
        model, report = _read(AutoModelForCausalLM, folder, LANGUAGE_MODEL, config, dtype)
    _refuse_missing(f"{LANGUAGE_MODEL} {folder}", model, report["missing_keys"])
    return model


def load_tower(folder: Path, config: PreTrainedConfig) -> PreTrainedModel:
    """A vision tower; from the folder of a larger model, its tower alone.

    Raises:
        ConversionError: as in :func:`load_language_model`.
    """
    with quietly():
        whole, report = _read(AutoModel, folder, TOWER)
    kind = MODEL_MAPPING[type(config)]
    found = [(name, m) for name, m in whole.named_modules() if type(m) is kind]
    if not found:
        raise ConversionError(
            f"{TOWER} {folder}: {type(whole).__name__} holds no {kind.__name__}, expected one; "
            "give the folder of the tower itself"
        )
    name, tower = found[0]
    inside = f"{name}." if name else ""
    missing = [key for key in report["missing_keys"] if key.startswith(inside)]
    _refuse_missing(f"{TOWER} {folder}", tower, missing)
    return tower


@contextmanager
def quietly() -> Iterator[None]:
    """Keep transformers from reporting on a loading whose report is checked here."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with no_bars():
            yield
    finally:
        logging.set_verbosity(verbosity)


def fit_vocabulary(model: PreTrainedModel, tokenizer: Any) -> str:
    """Give every token a row; new rows are the mean of the old ones, so none of them stands out.

    Returns:
        what was done, in a sentence.
    """
    needed = 1 + max(tokenizer.get_vocab().values())
    inputs: Any = model.get_input_embeddings()
    rows = inputs.weight.shape[0]
    ids = tokenizer.convert_tokens_to_ids(list(SPECIAL_TOKENS))
    added = ", ".join(f"{token} {i}" for token, i in zip(SPECIAL_TOKENS, ids, strict=True))
    if needed <= rows:
        return f"The added tokens, {added}, take rows that the vocabulary of {rows:,} has already."
    model.resize_token_embeddings(needed, mean_resizing=False)
    with torch.no_grad():
        for end in (model.get_input_embeddings(), model.get_output_embeddings()):
            for table in () if end is None else end.parameters():
                if table.shape[0] == needed:
                    table[rows:] = _mean(table[:rows]).to(table.dtype)
    return (
        f"The vocabulary grew from {rows:,} to {needed:,} rows for {added}"
        f"{_others(needed - rows)}; each new row is the mean of the old ones."
    )


def read_tokenizer(folder: Path, option: str) -> Any:
    """The tokenizer of a language model.

    Raises:
        ConversionError: there is none, or it has no fast form.
    """
    # Without its files transformers may make an empty tokenizer instead of saying so.
    if not any((folder / file).is_file() for file in _TOKENIZER_FILES):
        raise ConversionError(
            f"{option} {folder}: no tokenizer there, expected tokenizer.json or the like; give "
            f"{TOKENIZER}, the folder or hub id of the language model's own"
        )
    try:
        return load_tokenizer(folder)
    except ConversionError as error:
        raise ConversionError(f"{option} {error}") from error


def read_image_processor(folder: Path, config: PreTrainedConfig) -> tuple[Any, list[str]]:
    """How pictures are prepared for a tower: as its folder says, else as for CLIP.

    Returns:
        the image processor, and a sentence where something was assumed.

    Raises:
        ConversionError: what the folder says cannot be read.
    """
    if any((folder / file).is_file() for file in _PICTURE_FILES):
        try:
            return AutoImageProcessor.from_pretrained(folder, local_files_only=True), []
        except (OSError, ValueError, ImportError, KeyError) as error:
            raise ConversionError(
                f"{TOWER} {folder}: its image processor cannot be read "
                f"({str(error).splitlines()[0]}); expected preprocessor_config.json of a Hugging "
                "Face image processor: download it again, or remove it for that of CLIP"
            ) from error
    size = getattr(config, "image_size", None)
    side = size if isinstance(size, int) else _CLIP_SIZE
    return image_processor("clip", side), [
        f"{folder.name} has no preprocessor_config.json: pictures are prepared as for CLIP, "
        f"{side} x {side}."
    ]


def _read(
    loader: Any,
    folder: Path,
    option: str,
    config: PreTrainedConfig | None = None,
    dtype: torch.dtype | None = None,
) -> tuple[PreTrainedModel, dict[str, Any]]:
    given = {} if config is None else {"config": config}
    try:
        model, report = loader.from_pretrained(
            folder,
            dtype=dtype or "auto",
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
            **given,
        )
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ConversionError(
            f"{option} {folder}: its weights cannot be read ({reason}); expected them whole, as "
            "safetensors or .bin: download or copy the folder again"
        ) from error
    return model, report


def _refuse_missing(given: str, model: PreTrainedModel, missing: Any) -> None:
    if names := sorted(missing):
        raise ConversionError(
            f"{given}: {len(names)} tensor(s) of {type(model).__name__} are not in its weights, "
            f"such as {names[0]}; expected all of them: is it the folder of another model?"
        )


def _mean(rows: Tensor) -> Tensor:
    return rows.mean(dim=0, dtype=torch.float32)


def _others(new: int) -> str:
    more = new - len(SPECIAL_TOKENS)
    return f" and {more:,} more" if more > 0 else ""
