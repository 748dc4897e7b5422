"""A new, untrained Otter out of any vision tower and any causal language model.

Between the two stand a resampler and gated blocks with fresh weights. The gates are shut, so what
the new model says to a text is what its language model says, to the last bit.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import PreTrainedConfig, PreTrainedModel

from otter.convert.audit import Audit, add_provenance
from otter.convert.backbone_weights import (
    fit_vocabulary,
    load_language_model,
    load_tower,
    quietly,
    read_image_processor,
    read_tokenizer,
)
from otter.convert.errors import ConversionError
from otter.convert.hub import find_folder
from otter.convert.options import DTYPES
from otter.convert.part_sizes import PartSize, sizes_of
from otter.convert.skeleton import Skeleton
from otter.convert.sources import open_weights
from otter.convert.wiring import (
    LANGUAGE_MODEL,
    TOKENIZER,
    TOWER,
    check_language_model,
    read_language_config,
    read_tower_config,
    try_out,
)
from otter.convert.writing import staged
from otter.model.config import OtterConfig
from otter.model.modeling import OtterForConditionalGeneration
from otter.model.processor import OtterProcessor

FRAMES = 8
"""Taken from a video file, unless the model has embeddings for fewer."""

_FARTHEST, _FEWEST = 4, 4
_FRESH = ("resampler", "cross_attention")


@dataclass(frozen=True)
class Composed:
    """A model that was made.

    Args:
        folder: where it lies.
        config: of the model.
        sizes: its parameters by part.
        dtype: of its weights.
        notes: what was decided on the way, a sentence each.
    """

    folder: Path
    config: OtterConfig
    sizes: list[PartSize]
    dtype: torch.dtype
    notes: list[str]


@dataclass(frozen=True)
class Parts:
    """What is put together.

    Args:
        tower: folder of the vision tower.
        language_model: folder of the language model.
        tower_config: what the first holds.
        language_config: what the second holds.
        processor: what stands before the model.
        notes: what was assumed.
    """

    tower: Path
    language_model: Path
    tower_config: PreTrainedConfig
    language_config: PreTrainedConfig
    processor: OtterProcessor
    notes: list[str]


def default_every(layers: int) -> int:
    """How far apart the gated blocks of a language model stand, where nobody says.

    Before every fourth layer, as in the 2023 Otter; closer where that would make fewer than four
    blocks: 32 layers give 4, 12 layers 3, 6 layers 1.
    """
    return max(1, min(_FARTHEST, layers // _FEWEST))


def compose(
    destination: Path | str,
    *,
    vision_tower: Path | str,
    language_model: Path | str,
    tokenizer: Path | str | None = None,
    every: int | None = None,
    latents: int = 64,
    attend: str = "last",
    max_frames: int | None = None,
    dtype: str | None = None,
    allow_download: bool = False,
    seed: int = 0,
    command: str = "",
    on_progress: Callable[[str], None] = lambda _: None,
) -> Composed:
    """Make the model and write it, with its processor, as a checkpoint folder.

    Args:
        destination: a folder that does not exist yet, or is empty.
        vision_tower: folder or hub id of a tower, of a whole CLIP or SigLIP, or of another model
            with a tower in it.
        language_model: folder or hub id of a causal language model.
        tokenizer: folder or hub id; the language model's own where absent.
        every: a gated block stands before every n-th decoder layer; :func:`default_every`.
        latents: vectors into which a picture is packed.
        attend: what a token sees: "last", "group" or "all".
        max_frames: frames that a clip may have, each place with an embedding; none where absent.
        dtype: "bf16", "fp16" or "fp32"; that of the language model where absent.
        allow_download: whether hub ids may be fetched.
        seed: of the fresh weights.
        command: what to write into ``audit.json``; by default what this call says.
        on_progress: is told what is being done.

    Raises:
        ConversionError: parts that cannot be wired together, or a destination that is taken.
        ValueError: sizes that do not fit, such as blocks further apart than there are layers.
        OSError: a part is not where it was said to be. Whatever is raised, nothing is left behind.
    """
    place = Path(destination).expanduser()
    _refuse_taken(place)
    if dtype is not None and dtype not in DTYPES:
        raise ConversionError(f"dtype = {dtype!r}: expected one of {', '.join(DTYPES)}")
    parts = _find(vision_tower, language_model, tokenizer, max_frames, allow_download)
    sizes: dict[str, Any] = {
        "cross_attention_every_n_layers": every,
        "num_latents": latents,
        "attend": attend,
        "max_frames": max_frames,
    }
    if every is None:
        layers: int = parts.language_config.num_hidden_layers
        sizes["cross_attention_every_n_layers"] = default_every(layers)
    # Built without weights first: what cannot be wired is refused before gigabytes are read.
    planned = _config(parts.tower_config, parts.language_config, parts.processor, sizes)
    check_language_model(Skeleton(planned).model.language_model, parts.language_model)
    on_progress("reading the language model")
    decoder = load_language_model(
        parts.language_model, parts.language_config, None if dtype is None else DTYPES[dtype]
    )
    vocabulary = fit_vocabulary(decoder, parts.processor.tokenizer)
    on_progress("reading the vision tower")
    tower = load_tower(parts.tower, parts.tower_config)
    config = _config(tower.config, decoder.config, parts.processor, sizes)
    model = _joined(config, tower, decoder, seed)
    on_progress("trying it out")
    try_out(model, parts.processor)
    on_progress("taking checksums of the parts")
    notes = [_about_blocks(config), vocabulary, *parts.notes]
    audit = Audit("new", "native", [], [], notes)
    weights = {"vision tower": parts.tower, "language model": parts.language_model}
    add_provenance(
        audit,
        {label: open_weights(folder) for label, folder in weights.items()},
        command or f"compose({str(destination)!r}, {vision_tower!s}, {language_model!s})",
    )
    on_progress("writing")
    _write(model, parts.processor, audit, place)
    table = sizes_of(Skeleton(copy.deepcopy(config)))
    return Composed(place, config, table, model.dtype, notes)


def _refuse_taken(place: Path) -> None:
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise ConversionError(
            f"{place}: exists already and is not empty; choose another folder, or remove it"
        )


def _find(
    vision_tower: Path | str,
    language_model: Path | str,
    tokenizer: Path | str | None,
    max_frames: int | None,
    allow_download: bool,
) -> Parts:
    """Find all parts and look at them, without their weights."""

    def folder(given: Path | str, what: str, option: str) -> Path:
        return find_folder(
            given,
            what=what,
            option=option,
            allow_download=allow_download,
            weights=option != TOKENIZER,
        )

    tower = folder(vision_tower, "the vision tower", TOWER)
    decoder = folder(language_model, "the language model", LANGUAGE_MODEL)
    tower_config = read_tower_config(tower)
    language_config = read_language_config(decoder)
    words = (
        read_tokenizer(decoder, LANGUAGE_MODEL)
        if tokenizer is None
        else read_tokenizer(folder(tokenizer, "the tokenizer", TOKENIZER), TOKENIZER)
    )
    pictures, notes = read_image_processor(tower, tower_config)
    processor = OtterProcessor(pictures, words, num_frames=min(FRAMES, max_frames or FRAMES))
    return Parts(tower, decoder, tower_config, language_config, processor, notes)


def _config(
    tower: PreTrainedConfig,
    language_model: PreTrainedConfig,
    processor: OtterProcessor,
    sizes: dict[str, Any],
) -> OtterConfig:
    def stored(config: PreTrainedConfig) -> dict[str, Any]:
        content: dict[str, Any] = copy.deepcopy(config).to_dict()
        content.pop("_name_or_path", None)  # a folder of this machine
        return content

    return OtterConfig(
        vision_config=stored(tower),
        text_config=stored(language_model),
        image_token_id=processor.image_token_id,
        answer_token_id=processor.answer_token_id,
        end_of_chunk_token_id=processor.end_of_chunk_token_id,
        **sizes,
    )


def _joined(
    config: OtterConfig, tower: PreTrainedModel, decoder: PreTrainedModel, seed: int
) -> OtterForConditionalGeneration:
    """The model of a config with the weights of its backbones, the rest fresh."""
    weights = {f"vision_tower.{name}": t for name, t in tower.state_dict().items()}
    weights |= {f"language_model.{name}": t for name, t in decoder.state_dict().items()}
    with torch.random.fork_rng(devices=[]), quietly():
        torch.manual_seed(seed)
        model, report = OtterForConditionalGeneration.from_pretrained(
            None,
            config=config,
            state_dict=weights,
            dtype=decoder.dtype,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # reported below, with the others
        )
    # Whether every backbone tensor found its place is not left to the loader.
    lost = {n for n in report["missing_keys"] if n.partition(".")[0] not in _FRESH}
    resized = {str(key[0]) for key in report["mismatched_keys"]}
    if wrong := sorted({*lost, *report["unexpected_keys"], *resized}):
        raise ConversionError(
            f"{len(wrong)} tensor(s) of the backbones have no place of their shape in the new "
            f"model, such as {wrong[0]}; expected each to have one: does config.json belong to "
            "the weights?"
        )
    _end_as(model, decoder)
    joined: OtterForConditionalGeneration = model.eval()
    return joined


def _end_as(model: OtterForConditionalGeneration, decoder: PreTrainedModel) -> None:
    """End an answer also where the language model's own generation config ends a text."""
    ends: list[int] = []
    for defaults in (model.generation_config, decoder.generation_config):
        given = None if defaults is None else defaults.eos_token_id
        ends += [] if given is None else [given] if isinstance(given, int) else given
    model.generation_config.eos_token_id = list(dict.fromkeys(ends)) or None


def _write(
    model: OtterForConditionalGeneration, processor: OtterProcessor, audit: Audit, place: Path
) -> None:
    needed = sum(p.numel() * p.element_size() for p in model.parameters())
    try:
        with staged(place, needed) as partial, quietly():
            model.save_pretrained(partial, max_shard_size="5GB")
            processor.save_pretrained(partial)
            audit.save(partial)
    except SafetensorError as error:
        raise OSError(f"{place}: cannot be written ({error}); nothing was left behind") from error


def _about_blocks(config: OtterConfig) -> str:
    text: Any = config.text_config
    layers, every = text.num_hidden_layers, config.cross_attention_every_n_layers
    where = [str(layer) for layer in range(every - 1, layers, every)]
    if len(where) > _FEWEST:
        where = [*where[:2], "...", where[-1]]
    blocks = layers // every
    return (
        f"{blocks} gated block{'s' * (blocks != 1)}, before layer{'s' * (blocks != 1)} "
        f"{', '.join(where)} (counted from 0) of {layers}; the gates are shut."
    )
