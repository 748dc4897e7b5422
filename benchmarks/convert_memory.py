"""How much memory ``otter convert`` takes for a checkpoint of real size; Linux only.

    python benchmarks/convert_memory.py --scratch FOLDER

makes an OpenFlamingo 3B with the names and shapes of the published one and random values, with its
language model, tower and a tokenizer of as many entries, converts it to fp32 and to bf16 in
processes of their own, compares some tensors, and writes results/convert-memory.json. The folder
needs 22 GB of room; what is made there is removed again.
"""

import argparse
import gzip
import json
import shutil
import subprocess
import sys
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from otter.cli.measured import machine
from otter.convert.sources import TensorInfo
from otter.convert.writing import write_safetensors

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "convert-memory.json"
MANIFEST = ROOT / "tests" / "fixtures" / "manifests" / "OpenFlamingo-3B-vitl-mpt1b.json.gz"
OTTER = "import sys; from otter.cli import main; sys.exit(main())"
ENTRIES = 50277
END = "<|endoftext|>"
VIT_L_14 = {
    "model_type": "clip_vision_model",
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "image_size": 224,
    "patch_size": 14,
}
SAMPLED_EVERY = 0.005
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}

GATED = "lang_encoder.transformer.blocks.{}.gated_cross_attn_layer."
COMPARED: dict[str, tuple[str, int, int]] = {
    "resampler.latents": ("perceiver.latents", 0, 1),
    "resampler.layers.4.attention.v_proj.weight": ("perceiver.layers.4.0.to_kv.weight", 1, 2),
    "cross_attention.0.attention_gate": (GATED.format(0) + "attn_gate", 0, 1),
    "cross_attention.11.attention.k_proj.weight": (GATED.format(11) + "attn.to_kv.weight", 0, 2),
    "cross_attention.23.feed_forward.down_proj.weight": (GATED.format(23) + "ff.3.weight", 0, 1),
    "language_model.transformer.wte.weight": ("lang_encoder.transformer.wte.weight", 0, 1),
    "language_model.transformer.blocks.17.attn.Wqkv.weight": (
        "transformer.blocks.17.attn.Wqkv.weight", 0, 1,
    ),
    "vision_tower.encoder.layers.9.mlp.fc1.weight": (
        "vision_model.encoder.layers.9.mlp.fc1.weight", 0, 1,
    ),
}  # fmt: skip
"""Tensors of the result: where each came from, and which part of how many."""


@dataclass(frozen=True)
class Measured:
    """One conversion.

    Args:
        seconds: how long it took.
        peak: the most memory that was resident, in bytes, mapped files included.
        anonymous: the most that no file stands behind, in bytes, as sampled.
        written: bytes of the result.
    """

    seconds: float
    peak: int
    anonymous: int
    written: int


def value(name: str, shape: Sequence[int]) -> Tensor:
    """Random numbers that the name alone decides, so that they can be made again to compare."""
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    return torch.empty(list(shape)).uniform_(-1, 1, generator=generator)


def make_source(scratch: Path, manifest: Mapping[str, Any]) -> None:
    """Write checkpoint.pt, language-model and tower, with one tensor in memory at a time."""
    config = manifest["language_model_config"]
    rows = config["vocab_size"]
    shapes = manifest["language_model"]
    shapes = {n: [rows, *s[1:]] if "wte" in n else s for n, s in shapes.items()}
    for part, settings, tensors in (
        ("language-model", {**config, "architectures": ["MosaicGPT"]}, shapes),
        ("tower", VIT_L_14, manifest["vision_tower"]),
    ):
        folder = scratch / part
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps(settings), encoding="utf-8")
        infos = {n: TensorInfo(tuple(shape), torch.float32) for n, shape in tensors.items()}

        def make(name: str, infos: Mapping[str, TensorInfo] = infos) -> Tensor:
            return value(name, infos[name].shape)

        write_safetensors(folder / "model.safetensors", infos, make)
    _make_tokenizer(scratch / "language-model")
    _make_checkpoint(scratch, manifest["checkpoint"])


def _make_tokenizer(folder: Path) -> None:
    words = {END: 0} | {f"w{number}": number for number in range(1, ENTRIES)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token=END))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, unk_token=END)
    fast.save_pretrained(folder)


def _make_checkpoint(scratch: Path, shapes: Mapping[str, Sequence[int]]) -> None:
    """What ``torch.save`` writes, from tensors that lie in files: the machine may be small."""
    raw = scratch / "raw"
    raw.mkdir()
    state = {}
    for number, (name, shape) in enumerate(shapes.items()):
        size = torch.Size(shape).numel()
        mapped = torch.from_file(str(raw / f"{number}.bin"), shared=True, size=size)
        state[name] = mapped.view(list(shape)).copy_(value(name, shape))
    torch.save(state, scratch / "checkpoint.pt")
    shutil.rmtree(raw)


def measure(scratch: Path, dtype: str) -> Measured:
    """Convert in a process of its own, and look at the memory of that process.

    Raises:
        RuntimeError: the conversion failed; with what it said.
    """
    arguments = _arguments(dtype)
    begin = time.perf_counter()
    with (scratch / "said.txt").open("w+") as said:
        child = subprocess.Popen(
            [sys.executable, "-c", OTTER, *arguments], cwd=scratch, stdout=said, stderr=said
        )
        peak = anonymous = 0
        while child.poll() is None:
            now = _memory(child.pid)
            peak = max(peak, now.get("VmHWM", 0))
            anonymous = max(anonymous, now.get("RssAnon", 0))
            time.sleep(SAMPLED_EVERY)
        said.seek(0)
        if child.returncode:
            raise RuntimeError(f"otter {' '.join(arguments)}\n{said.read()}")
    seconds = time.perf_counter() - begin
    return Measured(seconds, peak, anonymous, _bytes(scratch / dtype))


def _arguments(dtype: str) -> list[str]:
    parts = ["--language-model", "language-model", "--vision-tower", "tower", "--dtype", dtype]
    return ["convert", "checkpoint.pt", dtype, *parts]


def _memory(pid: int) -> dict[str, int]:
    """What the kernel says of a process, in bytes; nothing once it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    pairs = (line.split() for line in lines if line.endswith(" kB"))
    return {pair[0].rstrip(":"): 1024 * int(pair[1]) for pair in pairs}


def check(folder: Path, dtype: torch.dtype, shapes: Mapping[str, Sequence[int]]) -> None:
    """Compare some tensors of the result with what was written.

    Raises:
        ValueError: one differs, or is missing.
    """
    found: dict[str, Tensor] = {}
    for file in folder.glob("*.safetensors"):
        with safe_open(file, framework="pt") as opened:
            names = set(opened.keys())
            found |= {n: opened.get_tensor(n) for n in COMPARED if n in names}
    for name, (source, part, parts) in COMPARED.items():
        expected = value(source, shapes[source]).chunk(parts)[part].to(dtype)
        if name not in found or not torch.equal(found[name], expected):
            raise ValueError(f"{folder}: {name} is not what {source} holds")


def _bytes(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def result(measured: Mapping[str, Measured], read: int, seconds: float) -> dict[str, Any]:
    """The table's file."""
    figures = []
    for dtype, one in measured.items():
        row = f"OpenFlamingo 3B to {dtype}"
        columns = {
            "peak memory": (one.peak / 1e9, "GB"),
            "of it not mapped files": (one.anonymous / 1e9, "GB"),
            "read": (read / 1e9, "GB"),
            "written": (one.written / 1e9, "GB"),
            "time": (one.seconds, "s"),
        }
        figures += [
            {"row": row, "column": column, "value": round(number, 3), "unit": unit}
            for column, (number, unit) in columns.items()
        ]
    here = machine()
    return {
        "title": "Converting a checkpoint",
        "command": "python benchmarks/convert_memory.py",
        "hardware": f"{here['cores']} cores of {here['processor']}",
        "seconds": round(seconds, 1),
        "date": time.strftime("%Y-%m-%d"),
        "seeds": [],
        "figures": figures,
    }


def main() -> int:
    """Make, measure, check, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scratch", type=Path, required=True, help="an empty or new folder")
    scratch: Path = parser.parse_args().scratch.resolve()
    if scratch.exists() and any(scratch.iterdir()):
        parser.error(f"{scratch} is not empty: everything in it would be removed")
    manifest = json.loads(gzip.decompress(MANIFEST.read_bytes()))
    begin = time.perf_counter()
    measured = {}
    try:
        make_source(scratch, manifest)
        read = sum(_bytes(scratch / n) for n in ("checkpoint.pt", "language-model", "tower"))
        shapes = {**manifest["language_model"], **manifest["checkpoint"]}
        shapes |= manifest["vision_tower"]
        for dtype, kind in TYPES.items():
            measured[dtype] = measure(scratch, dtype)
            check(scratch / dtype, kind, shapes)
            shutil.rmtree(scratch / dtype)
            print(f"{dtype}: {measured[dtype]}")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    table = result(measured, read, time.perf_counter() - begin)
    RESULT.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
