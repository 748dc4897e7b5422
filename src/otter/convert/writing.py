"""Writing a checkpoint folder whole or not at all, with one tensor in memory at a time.

The format is that of safetensors: the length of a header, the header in JSON, the bytes of the
tensors. The library itself writes a file only from tensors that are all in memory, which for the
shards of a large model is what a small machine does not have; so the few lines stand here, and the
library reads what they write.
"""

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from otter.convert.errors import ConversionError
from otter.convert.sources import DTYPES, TensorInfo

_NAMES = {dtype: name for name, dtype in DTYPES.items()}
_ROOM = 64 * 2**20  # for tokenizer, configs and the audit


@contextmanager
def staged(destination: Path, needed: int) -> Iterator[Path]:
    """A folder to write into, which becomes ``destination`` when everything has been written.

    Args:
        destination: must not exist, or be an empty folder.
        needed: bytes that will be written.

    Raises:
        ConversionError: the destination is taken, or the disk is or gets too full; nothing is left.
    """
    if destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
        raise ConversionError(
            f"{destination}: exists already; choose another destination, or remove it"
        )
    destination.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(destination.parent).free
    if free < needed + _ROOM:
        raise ConversionError(_too_full(destination, needed, free))
    partial = destination.with_name(f".{destination.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        yield partial
        for file in partial.iterdir():
            with file.open("rb") as stream:
                os.fsync(stream.fileno())
        if destination.exists():
            destination.rmdir()
        partial.rename(destination)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        left = shutil.disk_usage(destination.parent).free
        raise ConversionError(_too_full(destination, needed, left)) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _too_full(destination: Path, needed: int, free: int) -> str:
    return (
        f"{destination}: the disk is too full, {needed / 1e9:.1f} GB are needed and "
        f"{free / 1e9:.1f} GB free; make room, choose another disk, or convert to bf16. Nothing "
        "was left behind"
    )


def write_sharded(
    folder: Path,
    infos: Mapping[str, TensorInfo],
    make: Callable[[str], Tensor],
    max_shard_bytes: int,
) -> list[Path]:
    """Write tensors as ``model.safetensors``, or as shards with an index if they are too large.

    Args:
        folder: where.
        infos: names, shapes and types, in order.
        make: gives a tensor of just that shape and type; called once for each.
        max_shard_bytes: of a file, unless a single tensor is larger.

    Returns:
        The files.
    """
    shards = _shards(infos, max_shard_bytes)
    if len(shards) == 1:
        write_safetensors(folder / "model.safetensors", infos, make)
        return [folder / "model.safetensors"]
    files: list[Path] = []
    weight_map: dict[str, str] = {}
    for number, names in enumerate(shards, 1):
        file = folder / f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        write_safetensors(file, {name: infos[name] for name in names}, make)
        files.append(file)
        weight_map |= dict.fromkeys(names, file.name)
    total = sum(info.bytes for info in infos.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    text = json.dumps(index, indent=2) + "\n"
    (folder / "model.safetensors.index.json").write_text(text, encoding="utf-8")
    return files


def write_safetensors(
    path: Path, infos: Mapping[str, TensorInfo], make: Callable[[str], Tensor]
) -> None:
    """Write one safetensors file, tensor by tensor."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, info in infos.items():
        header[name] = {
            "dtype": _NAMES[info.dtype],
            "shape": list(info.shape),
            "data_offsets": [offset, offset + info.bytes],
        }
        offset += info.bytes
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    with path.open("wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        for name, info in infos.items():
            tensor = make(name)
            if tensor.dtype != info.dtype or tuple(tensor.shape) != info.shape:
                raise AssertionError(f"{name}: {tensor.shape}, {tensor.dtype}; planned {info}")
            file.write(_bytes(tensor))


def _bytes(tensor: Tensor) -> Any:
    """The numbers of a tensor as a buffer, not copied where they stand in a row."""
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy()


def _shards(infos: Mapping[str, TensorInfo], most: int) -> Sequence[Sequence[str]]:
    shards: list[list[str]] = [[]]
    size = 0
    for name, info in infos.items():
        if shards[-1] and size + info.bytes > most:
            shards.append([])
            size = 0
        shards[-1].append(name)
        size += info.bytes
    return shards
