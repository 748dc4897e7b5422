"""OpenFlamingo: the trained weights in a .pt file, its language model and tower elsewhere."""

from pathlib import Path
from typing import Any

from transformers import PreTrainedConfig

from otter.convert.configs import language_model_config, vision_config
from otter.convert.errors import ConversionError
from otter.convert.hub import find_folder
from otter.convert.job import (
    Job,
    checkpoint_source,
    has_decoder,
    has_tower,
    language_model_source,
    make_processor,
    vision_tower_source,
)
from otter.convert.names import OPENFLAMINGO
from otter.convert.options import Options
from otter.convert.recognise import VISION_TOWER, Blocks, Found, find_blocks, read_config
from otter.convert.sizes import embedding_rows, fit_vocabulary, sizes_of
from otter.convert.skeleton import Skeleton, language_model_layers
from otter.convert.sources import open_weights
from otter.convert.tokens import openflamingo_tokenizer, writes_bos
from otter.model.config import OtterConfig
from otter.prompt import ANSWER, chat_template

STYLE = "openflamingo"
"""How OpenFlamingo wrote turns."""


def openflamingo_job(found: Found, options: Options) -> Job:
    """The job of an OpenFlamingo checkpoint, on the language model and tower that belong to it.

    Raises:
        ConversionError: they do not fit, or something is missing.
    """
    blocks = find_blocks(found.weights)
    folder = _language_model_folder(blocks, options)
    text = language_model_config(read_config(folder))
    _check_language_model(found.path, blocks, folder, text)
    tower = _folder(options, options.vision_tower or VISION_TOWER, "vision tower")
    tokens = (
        folder if options.tokenizer is None else _folder(options, options.tokenizer, "tokenizer")
    )
    tokenizer = openflamingo_tokenizer(tokens)
    notes = _fit_vocabulary(text, tokenizer, embedding_rows(found.weights), options)
    config = OtterConfig(
        vision_config=vision_config(read_config(tower)),
        text_config=text,
        cross_attention_every_n_layers=blocks.every,
        **sizes_of(found.weights, OPENFLAMINGO, options),
    )
    processor = make_processor(
        config,
        tokenizer,
        options,
        notes,
        style=STYLE,
        transform="clip",
        bos=writes_bos(tokenizer),
    )
    skeleton = Skeleton(config)
    weights = {"checkpoint": found.weights}
    sources = [checkpoint_source("checkpoint", found.weights, OPENFLAMINGO, skeleton)]
    # A dump of the whole model needs no more than the configs of its parts.
    if not has_decoder(found.weights.infos):
        weights["language model"] = open_weights(folder)
        sources.append(language_model_source(weights["language model"], skeleton))
    if not has_tower(found.weights.infos):
        weights["vision tower"] = open_weights(tower)
        sources.append(vision_tower_source(weights["vision tower"]))
    return Job(found.kind, config, processor, skeleton, sources, weights, notes)


def _fit_vocabulary(text: Any, tokenizer: Any, rows: int, options: Options) -> list[str]:
    """Add a row for ``<answer>`` only where the template writes it and none is free."""
    answer: int = tokenizer.convert_tokens_to_ids(ANSWER)
    if answer < rows or ANSWER in chat_template(options.template or STYLE):
        return fit_vocabulary(text, rows, len(tokenizer), "OpenFlamingo had no answer token")
    fit_vocabulary(text, rows, answer, "")
    return [
        f"{ANSWER} has no embedding row: {STYLE} does not write it; to tune on another template, "
        "give it now"
    ]


def _language_model_folder(blocks: Blocks, options: Options) -> Path:
    given = options.language_model or (blocks.published and blocks.published.language_model)
    if not given:
        raise ConversionError(
            f"OpenFlamingo checkpoints do not hold their language model, and this one has {blocks},"
            " like none of the published ones; give --language-model, the folder or hub id of the "
            "model that it was trained on"
        )
    return _folder(options, given, "language model", f" of a checkpoint with {blocks}")


def _check_language_model(path: Path, blocks: Blocks, folder: Path, text: PreTrainedConfig) -> None:
    where = language_model_layers(text)
    width, layers = text.hidden_size, text.num_hidden_layers
    expected = tuple(range(blocks.every - 1, layers, blocks.every))
    if (where, width, expected) == (blocks.decoder_layers, blocks.width, blocks.layers):
        return
    wanted = f"; give {blocks.published.language_model}" if blocks.published else ""
    raise ConversionError(
        f"{path} has {blocks}. But {folder} is a {text.model_type} of width {width} with {layers} "
        f"layers in {where}: not the language model of this checkpoint{wanted}"
    )


def _folder(options: Options, given: str, what: str, of: str = "") -> Path:
    option = f"--{what.replace(' ', '-')}"
    return find_folder(
        given,
        what=f"the {what}{of}",
        option=option,
        allow_download=options.allow_download,
        weights=what != "tokenizer",
    )
