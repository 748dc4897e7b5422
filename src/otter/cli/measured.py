"""What a result must say about where it came from: machine, versions, weights, time and memory."""

import hashlib
import json
import os
import platform
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn


def machine() -> dict[str, Any]:
    """Processor, cores that may be used, system."""
    affinity = getattr(os, "sched_getaffinity", None)
    return {
        "processor": _processor(),
        "cores": len(affinity(0)) if affinity else os.cpu_count(),
        "system": platform.system(),
    }


def versions() -> dict[str, str]:
    """Of Python and of the libraries that figures depend on."""
    found = {"python": platform.python_version()}
    for name in ("otter-icl", "torch", "transformers", "tokenizers", "numpy", "datasets"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def checksum(model: "nn.Module") -> str:
    """A checksum of a model's weights: answers that other weights gave are not its own."""
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        # By way of bytes: numpy knows no bfloat16.
        digest.update(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()[:16]


def peak_memory() -> int:
    """An upper bound of the memory held at one moment, in bytes.

    It is the peak of this process plus the peak of its largest worker that has ended. Of workers
    that ran side by side only one is counted; but what a worker shares with this process, which is
    most of it, is counted twice, and the two peaks need not fall on one moment.
    """
    unit = 1 if sys.platform == "darwin" else 1024
    own, worker = (
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return (own + worker) * unit


def write_json(path: Path, values: Any) -> None:
    """Write a file that is whole or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)


class Spent:
    """What a run took, over all the times that it was started: a run that was stopped goes on.

    Args:
        file: where it is kept.
    """

    def __init__(self, file: Path) -> None:
        found = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        self._file = file
        self.seconds: dict[str, float] = found.get("seconds", {})
        self._peak: int = found.get("peak_memory_bytes", 0)

    @property
    def peak_memory(self) -> int:
        """The largest :func:`peak_memory`, in bytes."""
        return max(self._peak, peak_memory())

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Count the seconds of a part, also when it does not come to its end."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            before = self.seconds.pop(part, 0.0)  # the part that ends last stands last
            self.seconds[part] = round(before + time.perf_counter() - begin, 1)
            values = {"seconds": self.seconds, "peak_memory_bytes": self.peak_memory}
            write_json(self._file, values)


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
