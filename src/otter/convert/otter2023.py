"""The 2023 Otter and Flamingo: Hugging Face folders, and trained weights on such a base."""

from pathlib import Path
from typing import Any

from otter.convert.configs import otter_config_2023
from otter.convert.errors import ConversionError
from otter.convert.hub import find_folder
from otter.convert.job import Job, checkpoint_source, make_processor
from otter.convert.names import OTTER_2023
from otter.convert.options import Options
from otter.convert.recognise import KINDS, Found, recognise
from otter.convert.sizes import embedding_rows, fit_vocabulary, sizes_of
from otter.convert.skeleton import Skeleton
from otter.convert.sources import Weights
from otter.convert.tokens import otter_tokenizer, writes_bos

_TOKENIZERS = {
    "mpt": "mosaicml/mpt-7b-instruct",
    "mosaic_gpt": "mosaicml/mosaic-llama-redpajama-final-candidate",
    "llama": "huggyllama/llama-7b",
    "falcon": "tiiuae/falcon-7b",
}


def otter_2023_job(found: Found, options: Options) -> Job:
    """The job of a 2023 Otter or Flamingo folder, or of trained weights on one.

    Raises:
        ConversionError: the base is missing, or parts do not fit.
    """
    base = _base(found, options)
    given: dict[str, Any] = base.config or {}
    # A part that was trained with LoRA has a config of its own that says how.
    lora = (found.config or {}).get("lora_config") or given.get("lora_config") or {}
    config = otter_config_2023(given)
    text: Any = config.text_config
    flamingo = base.kind == "flamingo-2023"
    tokenizer = otter_tokenizer(_tokenizer_folder(found, base, text.model_type, options))
    notes = fit_vocabulary(
        text, embedding_rows(base.weights), len(tokenizer), "for tokens that were added to the text"
    )
    for field, size in sizes_of(base.weights, OTTER_2023, options).items():
        setattr(config, field, size)
    processor = make_processor(
        config,
        tokenizer,
        options,
        notes,
        style="openflamingo" if flamingo else "otter-2023",
        transform="clip" if flamingo else "training-2023",
        bos=writes_bos(tokenizer) if flamingo else True,
    )
    skeleton = Skeleton(config)
    weights: dict[str, Weights] = {"checkpoint": found.weights}
    if base is not found:
        weights["base"] = base.weights
    sources = [
        checkpoint_source(label, held, OTTER_2023, skeleton, _lora_scale(held, lora))
        for label, held in weights.items()
    ]
    return Job(found.kind, config, processor, skeleton, sources, weights, notes)


def _base(found: Found, options: Options) -> Found:
    if found.kind != "otter-2023-part":
        return found
    if options.base is None:
        raise ConversionError(
            f"{found.path}: holds the trained weights alone; give --base, the 2023 Otter folder "
            "that the training began with"
        )
    folder = find_folder(
        options.base, what="the base", option="--base", allow_download=options.allow_download
    )
    base = recognise(folder)
    if base.kind not in ("otter-2023", "flamingo-2023"):
        raise ConversionError(
            f"--base {options.base}: {KINDS[base.kind]}; expected the whole 2023 Otter or Flamingo "
            "folder that the training began with"
        )
    return base


def _tokenizer_folder(found: Found, base: Found, language_model: str, options: Options) -> Path:
    with_tokenizer = [
        str(place.path)
        for place in (found, base)
        if (place.path / "tokenizer_config.json").is_file()
    ]
    published = _TOKENIZERS.get(language_model, "")
    chosen = options.tokenizer or options.language_model or next(iter(with_tokenizer), published)
    return find_folder(
        chosen,
        what=f"the tokenizer of its {language_model} (a 2023 checkpoint does not hold one)",
        option="--tokenizer",
        allow_download=options.allow_download,
        weights=False,
    )


def _lora_scale(weights: Weights, lora: dict[str, Any]) -> float | None:
    if not any(".lora_A." in name for name in weights.infos):
        return None
    missing = [key for key in ("r", "lora_alpha") if not lora.get(key)]
    if missing:
        raise ConversionError(
            f"{weights.paths[0]}: has LoRA matrices, but lora_config in config.json has no "
            f"{' and no '.join(missing)}; add them, or how strongly LoRA counts is a guess"
        )
    return float(lora["lora_alpha"]) / float(lora["r"])
