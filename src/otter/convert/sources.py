"""Weights on disk, read one tensor at a time.

``Weights`` is the same view of a safetensors file, a pickle, or the shards of either. Of a file
only names, shapes and places are taken in; a tensor is read from its place when it is asked for, so
that a file may be larger than the memory. (Mapped into memory it could not: a private mapping has
to fit.) Pickles are read with ``weights_only=True`` alone: one that holds more than tensors and
plain values is refused, because reading it would run its code.
"""

import json
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from otter.convert.errors import ConversionError

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
"""The types of a safetensors file by their names in its header."""

_LONGEST_HEADER = 100_000_000  # bytes; the limit of the format

# What DDP, FSDP, activation checkpointing, torch.compile and peft put between names of modules.
_WRAPPERS = re.compile(
    r"(?:^|(?<=\.))(?:module|_fsdp_wrapped_module|_checkpoint_wrapped_module|_orig_mod"
    r"|base_model\.model|base_layer)\."
)
_STATE_DICTS = ("model_state_dict", "state_dict", "model")
_INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
_SINGLE = ("model.safetensors", "pytorch_model.bin")


@dataclass(frozen=True)
class TensorInfo:
    """A tensor without its values."""

    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return torch.Size(self.shape).numel()

    @property
    def bytes(self) -> int:
        """How much room they take."""
        return self.elements * self.dtype.itemsize


@dataclass(frozen=True)
class Place:
    """Where in a file the numbers of a tensor stand.

    Args:
        info: shape and type.
        start: first byte.
        size: bytes from there that hold all of its numbers.
        strides: of a tensor that is not stored row by row; None for any other.
    """

    info: TensorInfo
    start: int
    size: int
    strides: tuple[int, ...] | None = None

    def read(self, path: Path) -> Tensor:
        """Read the tensor."""
        data = bytearray(self.size)
        with path.open("rb") as file:
            file.seek(self.start)
            got = file.readinto(data)
        if got != self.size:
            raise ConversionError(
                f"{path}: ends after {path.stat().st_size:,} bytes, in the middle of a tensor; it "
                "is truncated, download or copy it again"
            )
        if not data:
            return torch.empty(self.info.shape, dtype=self.info.dtype)
        numbers = torch.frombuffer(data, dtype=self.info.dtype)
        if self.strides is not None:
            return numbers.as_strided(self.info.shape, self.strides)
        return numbers.view(self.info.shape)


class WeightFile(Protocol):
    """One file of weights."""

    path: Path
    infos: dict[str, TensorInfo]
    extras: dict[str, str]

    def read(self, name: str) -> Tensor:
        """A tensor, in memory of its own."""


class SafetensorsFile:
    """A safetensors file.

    Args:
        path: the file.

    Raises:
        ConversionError: it is truncated or damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.extras: dict[str, str] = {}
        self._places = self._header()
        self.infos = {name: place.info for name, place in self._places.items()}

    def read(self, name: str) -> Tensor:
        """A tensor, in memory of its own."""
        return self._places[name].read(self.path)

    def _header(self) -> dict[str, Place]:
        size = self.path.stat().st_size
        with self.path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            try:
                header = json.loads(file.read(min(length, _LONGEST_HEADER)))
                header.pop("__metadata__", None)
                places = {name: _place(entry, 8 + length) for name, entry in header.items()}
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise ConversionError(
                    f"{self.path}: its header cannot be read ({type(error).__name__}: {error}); it "
                    f"has {size:,} bytes: it is damaged or truncated, download or copy it again"
                ) from error
        expected = max((p.start + p.size for p in places.values()), default=8 + length)
        if expected != size:
            raise ConversionError(
                f"{self.path}: {expected:,} bytes are expected, but it has {size:,} bytes: it is "
                "truncated, download or copy it again"
            )
        return places


def _place(entry: Mapping[str, Any], data: int) -> Place:
    start, end = entry["data_offsets"]
    if entry["dtype"] not in DTYPES:
        raise ValueError(f"type {entry['dtype']}, expected one of {', '.join(DTYPES)}")
    info = TensorInfo(tuple(entry["shape"]), DTYPES[entry["dtype"]])
    if end - start != info.bytes:
        raise ValueError(f"{end - start} bytes for {info}")
    return Place(info, data + start, info.bytes)


class PickleFile:
    """What ``torch.save`` wrote: a state dict, alone or inside a training checkpoint.

    Args:
        path: the file.

    Attributes:
        extras: what stands beside the weights, such as the state of an optimizer, and what it is.

    Raises:
        ConversionError: it is truncated, needs code to be read, or holds no state dict.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # The format before torch 1.6 is no zip file and gives no places: it is read whole.
        self._whole = not zipfile.is_zipfile(path)
        state, self.extras = _state_dict(path, _unpickled(path, whole=self._whole))
        self.infos = {name: TensorInfo(tuple(t.shape), t.dtype) for name, t in state.items()}
        self._tensors = state if self._whole else {}
        self._places = {} if self._whole else {n: _place_in_zip(t) for n, t in state.items()}

    def read(self, name: str) -> Tensor:
        """A tensor, in memory of its own."""
        return self._tensors[name] if self._whole else self._places[name].read(self.path)


def _place_in_zip(fake: Tensor) -> Place:
    """Where the tensor stands in the zip file that a fake one was loaded from."""
    info = TensorInfo(tuple(fake.shape), fake.dtype)
    storage: Any = fake.untyped_storage()
    start = storage._checkpoint_offset + fake.storage_offset() * info.dtype.itemsize
    if fake.is_contiguous():
        return Place(info, start, info.bytes)
    reach = sum((n - 1) * step for n, step in zip(fake.shape, fake.stride(), strict=True)) + 1
    return Place(info, start, reach * info.dtype.itemsize, fake.stride())


def _state_dict(path: Path, payload: Any) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of what was unpickled, and what stands beside them."""
    if not isinstance(payload, Mapping):
        raise ConversionError(
            f"{path}: holds a {type(payload).__name__}, expected a state dict; save "
            "model.state_dict() instead of the model"
        )
    inner = next((key for key in _STATE_DICTS if isinstance(payload.get(key), Mapping)), None)
    state = payload if inner is None else payload[inner]
    beside = [] if inner is None else [key for key in payload if key != inner]
    extras = {str(key): "state of the training, not weights" for key in beside}
    tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    extras |= {str(name): "not a tensor" for name in state if name not in tensors}
    if not tensors:
        keys = ", ".join(map(repr, list(payload)[:5])) or "none"
        raise ConversionError(
            f"{path}: holds no tensors (its keys: {keys}); expected a state dict, or a training "
            f"checkpoint with one under {' or '.join(map(repr, _STATE_DICTS))}"
        )
    return tensors, extras


def _unpickled(path: Path, *, whole: bool) -> Any:
    """Read a pickle of tensors and plain values; fake tensors that know their places if not whole.

    Raises:
        ConversionError: it needs code, or cannot be read.
    """
    try:
        with warnings.catch_warnings(), nullcontext() if whole else FakeTensorMode():
            # What torch cannot read of another protocol than its own, it refuses.
            warnings.filterwarnings("ignore", "Detected pickle protocol", UserWarning)
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        needed = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = f"needs {needed[1]}" if needed else "is damaged or holds more than tensors"
        raise ConversionError(
            f"{path}: this pickle {what}; only tensors and plain values are read, because a pickle "
            "with more can run any code. If you trust its maker, load it where it was made and "
            "save the weights alone: torch.save(model.state_dict(), 'weights.pt')"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, IndexError) as error:
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise ConversionError(
            f"{path}: cannot be read as a checkpoint ({reason}); it has "
            f"{path.stat().st_size:,} bytes: it is truncated or no checkpoint, download or copy it "
            "again"
        ) from error


class Weights:
    """The tensors of one or several files under their clean names.

    What training wrappers put into the names is taken out: ``module.perceiver.latents`` is
    ``perceiver.latents``.

    Args:
        files: the files; a name may be in one of them only.

    Attributes:
        infos: shape and type of each tensor.
        extras: what else stands in the files, and what it is.
        paths: the files.

    Raises:
        ConversionError: a name comes twice.
    """

    def __init__(self, files: list[WeightFile]) -> None:
        self._places: dict[str, tuple[WeightFile, str]] = {}
        twice = []
        for file in files:
            for name in file.infos:
                clean = _WRAPPERS.sub("", name)
                if clean in self._places:
                    twice.append(f"{clean} (as {name} in {file.path.name})")
                self._places[clean] = (file, name)
        if twice:
            raise ConversionError(
                f"{len(twice)} tensor(s) come twice, such as {twice[0]}: expected each name once; "
                "convert one checkpoint at a time"
            )
        self.infos = {name: file.infos[raw] for name, (file, raw) in self._places.items()}
        self.extras = {key: what for file in files for key, what in file.extras.items()}
        self.paths = [file.path for file in files]

    def read(self, name: str) -> Tensor:
        """One tensor, under its clean name."""
        file, raw = self._places[name]
        return file.read(raw)


def open_weights(path: Path) -> Weights:
    """The weights of a file, or of a folder in the forms of Hugging Face.

    Raises:
        ConversionError: there are none, a shard is missing, or a file cannot be read.
    """
    return Weights([open_file(file) for file in weight_files(path)])


def open_file(path: Path) -> WeightFile:
    """A file of weights, told by its content and not by its name."""
    if not path.is_file():
        raise ConversionError(f"{path}: no such file")
    with path.open("rb") as stream:
        head = stream.read(64)
    if head[8:9] == b"{":
        return SafetensorsFile(path)
    if head.startswith((b"PK\x03\x04", b"\x80")):
        return PickleFile(path)
    if head.startswith(b"version https://git-lfs"):
        raise ConversionError(
            f"{path}: only the pointer to a large file, not the file; fetch it with `git lfs pull`"
        )
    raise ConversionError(
        f"{path}: neither a safetensors file nor what torch.save writes (it begins with "
        f"{head[:8]!r}, {path.stat().st_size:,} bytes); download or copy it again"
    )


def weight_files(path: Path) -> list[Path]:
    """The files that hold the weights of ``path``.

    Raises:
        ConversionError: there are none, or one that the index names is missing.
    """
    if not path.is_dir():
        return [path]
    for index in (path / name for name in _INDEXES):
        if index.is_file():
            shards = sorted(set(_weight_map(index).values()))
            if outside := [shard for shard in shards if Path(shard).name != shard]:
                raise ConversionError(
                    f"{index}: names {outside[0]!r}, which is not in the folder; it is no index "
                    "that can be trusted"
                )
            missing = [shard for shard in shards if not (path / shard).is_file()]
            if missing:
                raise ConversionError(
                    f"{path}: {len(missing)} of {len(shards)} shards of {index.name} are missing, "
                    f"such as {missing[0]}; download or copy the folder again"
                )
            return [path / shard for shard in shards]
    for single in (path / name for name in _SINGLE):
        if single.is_file():
            return [single]
    loose = sorted([*path.glob("*.pt"), *path.glob("*.bin")])
    if len(loose) == 1:
        return loose
    several = f": {', '.join(file.name for file in loose)}; give one of them" if loose else ""
    raise ConversionError(
        f"{path}: {'several' if loose else 'no'} weights; expected model.safetensors, "
        f"pytorch_model.bin, their shards with an index, or one .pt file{several}"
    )


def _weight_map(index: Path) -> dict[str, str]:
    try:
        mapping: dict[str, str] = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
    except (ValueError, KeyError, TypeError) as error:
        raise ConversionError(
            f"{index}: not the index of a sharded checkpoint ({error}); download it again"
        ) from error
    return mapping
