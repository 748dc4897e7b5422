"""A native checkpoint written so that the original code loads it.

``openflamingo``
    ``checkpoint.pt`` with what OpenFlamingo saves: resampler, gated blocks and token embeddings,
    and the output projection where it is a matrix of its own.
``otter-2023``
    a Hugging Face folder with the names and the config of the 2023 Otter.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from otter.convert import names
from otter.convert.audit import Audit, add_provenance
from otter.convert.configs import legacy_text_config
from otter.convert.errors import ConversionError
from otter.convert.names import OPENFLAMINGO, OTTER_2023, Naming
from otter.convert.options import DTYPES, Options
from otter.convert.recognise import Found
from otter.convert.skeleton import Skeleton
from otter.convert.sources import TensorInfo
from otter.convert.tokens import PAD_2023
from otter.convert.writing import staged, write_sharded
from otter.model.config import OtterConfig
from otter.model.processor import OtterProcessor
from otter.prompt import END_OF_CHUNK, IMAGE

CHECKPOINT = "checkpoint.pt"
_HARD_CODED = {
    "num_latents": 64,
    "resampler_depth": 6,
    "resampler_heads": 8,
    "resampler_head_dim": 64,
    "resampler_feed_forward_multiplier": 4,
    "cross_attention_heads": 8,
    "cross_attention_head_dim": 64,
    "cross_attention_feed_forward_multiplier": 4,
}


def export(
    found: Found,
    destination: Path,
    to: str,
    options: Options,
    command: str,
    on_progress: Callable[[int, int], None] | None,
) -> Audit:
    """Write a native checkpoint in an original form.

    Args:
        found: native.
        destination: a folder that does not exist yet.
        to: "otter-2023" or "openflamingo".
        options: ``dtype`` and ``max_shard_bytes`` count here.
        command: for the audit.
        on_progress: is told how far it is.

    Raises:
        ConversionError: the original code has no such model.
    """
    config = OtterConfig.from_pretrained(found.path, local_files_only=True)
    skeleton = Skeleton(config)
    openflamingo = to == "openflamingo"
    _check(config, skeleton, openflamingo)
    pieces = _pieces(skeleton, OPENFLAMINGO if openflamingo else OTTER_2023)
    if openflamingo:
        pieces = {n: p for n, p in pieces.items() if _is_trained(p, skeleton)}
    rows, notes = _rows(found, skeleton) if openflamingo else (None, [])
    notes += _unusual_sizes(config)
    infos = _infos(found, pieces, skeleton, options, rows)
    total = sum(info.bytes for info in infos.values())
    done = 0

    def make(name: str) -> Tensor:
        nonlocal done
        if on_progress is not None:
            on_progress(done, total)
        parts = [found.weights.read(target) for target in pieces[name]]
        tensor = parts[0] if len(parts) == 1 else torch.cat(parts)
        done += infos[name].bytes
        return tensor[: infos[name].shape[0]].to(infos[name].dtype)

    audit = Audit("native", to, _accounts(pieces, infos), _left_out(found, pieces, config), notes)
    with staged(destination, total) as folder:
        if openflamingo:
            torch.save({name: make(name).clone() for name in infos}, folder / CHECKPOINT)
        else:
            write_sharded(folder, infos, make, options.max_shard_bytes)
            text = json.dumps(_config_2023(config), indent=2) + "\n"
            (folder / "config.json").write_text(text, encoding="utf-8")
        add_provenance(audit, {"checkpoint": found.weights}, command)
        audit.save(folder)
    return audit


def _check(config: OtterConfig, skeleton: Skeleton, openflamingo: bool) -> None:
    text: Any = config.text_config
    vision: Any = config.vision_config
    problems = []
    if config.attend != "last":
        problems.append(
            f"attend = {config.attend!r}: the originals let a token see the last picture"
        )
    if vision.model_type != "clip_vision_model":
        problems.append(f"vision tower {vision.model_type!r}: the originals take a CLIP")
    if openflamingo and config.max_frames is not None:
        problems.append(f"max_frames = {config.max_frames}: OpenFlamingo knows no clips")
    if not openflamingo:
        legacy_text_config(text)
    elif text.model_type not in ("llama", "mpt", "mosaic_gpt", "gpt_neox", "opt"):
        problems.append(f"language model {text.model_type!r}: OpenFlamingo has no such one")
    if problems:
        raise ConversionError(
            "the original code has no such model:\n  "
            + "\n  ".join(problems)
            + "\nKeep the native "
            "form"
        )


def _pieces(skeleton: Skeleton, naming: Naming) -> dict[str, list[str]]:
    """For each tensor of the original the tensors of ours that it is made of, in their order."""
    pieces: dict[str, dict[int, str]] = {}
    for target in skeleton.shapes:
        origin = names.original(target, naming, skeleton.layout)[0]
        if "lm_head" in origin.name and skeleton.layout.decoder_layers.startswith("gpt_neox"):
            origin = names.original(target, naming, skeleton.layout)[1]
        pieces.setdefault(origin.name, {})[origin.part] = target
    return {name: [parts[i] for i in sorted(parts)] for name, parts in pieces.items()}


def _is_trained(targets: list[str], skeleton: Skeleton) -> bool:
    part = targets[0].partition(".")[0]
    named = "embed" in targets[0] and part == "language_model"
    return part in ("resampler", "cross_attention") or targets[0] in skeleton.tables or named


def _rows(found: Found, skeleton: Skeleton) -> tuple[int, list[str]]:
    """How many embedding rows OpenFlamingo's own tokenizer makes."""
    processor = OtterProcessor.from_pretrained(found.path, local_files_only=True)
    added = processor.tokenizer.get_added_vocab()
    wanted = 1 + max(added[token] for token in (END_OF_CHUNK, IMAGE))
    config: Any = skeleton.model.config
    answer, rows = config.answer_token_id, config.text_config.vocab_size
    # The row that OpenFlamingo keeps for its pad token; it adds none where the tokenizer has one.
    own_pad = processor.tokenizer.pad_token not in (None, processor.tokenizer.eos_token, PAD_2023)
    if answer == wanted and not own_pad:
        wanted += 1
    kept = min(rows, wanted)
    if kept == rows:
        return rows, []
    return kept, [f"{rows - kept} embedding row(s) cut off that OpenFlamingo has no tokens for"]


def _infos(
    found: Found,
    pieces: Mapping[str, list[str]],
    skeleton: Skeleton,
    options: Options,
    rows: int | None,
) -> dict[str, TensorInfo]:
    infos = {}
    for name, targets in pieces.items():
        shape = skeleton.shapes[targets[0]]
        own = found.weights.infos[targets[0]].dtype
        first = sum(skeleton.shapes[target][0] for target in targets) if shape else 0
        if rows is not None and targets[0] in skeleton.tables:
            first = rows
        dtype = DTYPES[options.dtype] if options.dtype and own.is_floating_point else own
        infos[name] = TensorInfo((first, *shape[1:]) if shape else (), dtype)
    return infos


def _accounts(
    pieces: Mapping[str, list[str]], infos: Mapping[str, TensorInfo]
) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "shape": list(infos[name].shape),
            "source": "checkpoint",
            "from": targets,
            "note": "joined" if len(targets) > 1 else "",
        }
        for name, targets in pieces.items()
    ]


def _left_out(
    found: Found, pieces: Mapping[str, list[str]], config: OtterConfig
) -> list[dict[str, str]]:
    used = {target for targets in pieces.values() for target in targets}
    reason = "not part of an OpenFlamingo checkpoint, which is loaded beside it"
    return [
        {"source": "checkpoint", "name": name, "reason": reason}
        for name in found.weights.infos
        if name not in used
    ]


def _unusual_sizes(config: OtterConfig) -> list[str]:
    return [
        f"{name} = {getattr(config, name)}: the original code has {size} written into it"
        for name, size in _HARD_CODED.items()
        if getattr(config, name) != size
    ]


def _config_2023(config: OtterConfig) -> dict[str, Any]:
    vision: Any = config.vision_config
    frames = {} if config.max_frames is None else {"max_num_frames": config.max_frames}
    return {
        "model_type": "otter",
        "architectures": ["OtterForConditionalGeneration"],
        "cross_attn_every_n_layers": config.cross_attention_every_n_layers,
        "use_media_placement_augmentation": False,
        "only_attend_previous": True,
        "tie_word_embeddings": config.tie_word_embeddings,
        "torch_dtype": str(config.dtype).removeprefix("torch.") if config.dtype else "float32",
        "text_config": legacy_text_config(config.text_config),
        "vision_config": {**vision.to_dict(), "model_type": "clip_vision_model"},
        **frames,
    }
