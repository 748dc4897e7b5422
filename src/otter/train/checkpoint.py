"""What a run leaves on disk, each piece written whole or not at all.

<output>/
  recipe.toml         the recipe with every default and override
  environment.json    versions, machine, commit
  log.jsonl           a line for every logged step
  checkpoints/checkpoint-200/    to resume from: what learns, optimizer, schedule, random state
  model/              at the end: an ordinary checkpoint, to load anywhere
"""

import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from otter.model.answer import no_bars
from otter.recipe import Recipe, RecipeError, as_table, dump, read

RECIPE = "recipe.toml"
ENVIRONMENT = "environment.json"
LOG = "log.jsonl"
CHECKPOINTS = "checkpoints"
MODEL = "model"
WEIGHTS = "trained.safetensors"
KEPT = 2
"""Checkpoints to resume from that are kept; each replaces the one before the last."""

MAY_CHANGE = {"output", "save_every", "log_every", "workers", "threads", "minutes", "max_steps"}
"""Keys that a resumed run may set anew, as they do not change what is learned; max_steps does, and
is compared on its own."""


def begin_run(recipe: Recipe) -> None:
    """Write what the run is before it starts.

    Raises:
        FileExistsError: the folder holds a run already.
    """
    folder = Path(recipe.output)
    if (folder / RECIPE).exists():
        raise FileExistsError(f"{folder}: holds a run already; resume it, or choose another output")
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / ENVIRONMENT, json.dumps(environment(), indent=1) + "\n")
    write_whole(folder / RECIPE, dump(recipe))


def recipe_of_run(recipe: Recipe) -> Recipe | None:
    """The recipe with which the run of this folder began; None where none has.

    Raises:
        RecipeError: the given recipe would learn something else.
    """
    path = Path(recipe.output) / RECIPE
    if not path.exists():
        return None
    begun = read(Recipe, tomllib.loads(path.read_text(encoding="utf-8")), origin=str(path))
    now, then = as_table(recipe), as_table(begun)
    different = [
        f"{key} = {now.get(key)!r}: the run began with {then.get(key)!r}; take it back, or choose "
        "another output"
        for key in sorted(now.keys() | then.keys())
        if key not in MAY_CHANGE and now.get(key) != then.get(key)
    ]
    given = recipe.max_steps
    if given is not None and recipe.minutes is None and given != begun.max_steps:
        different.append(
            f"max_steps = {given}: the run began with {begun.max_steps}, which its learning rates "
            "follow; take it back, or choose another output"
        )
    if different:
        raise RecipeError(f"cannot resume {recipe.output}", different)
    return begun


def newest_checkpoint(output: str | Path) -> Path | None:
    """The folder of the last finished checkpoint; None where there is none."""
    found = Path(output, CHECKPOINTS).glob("checkpoint-*")
    return max(found, key=lambda folder: int(folder.name.rpartition("-")[2]), default=None)


def publish_checkpoint(staged: Path) -> None:
    """Move a finished checkpoint out of its staging folder, then drop the oldest ones."""
    folder = staged.parent.parent
    target = folder / staged.name
    # Present only where a run was resumed from an older checkpoint than this one.
    shutil.rmtree(target, ignore_errors=True)
    _flush_to_disk(staged)
    staged.rename(target)
    checkpoints = sorted(folder.glob("checkpoint-*"), key=lambda f: int(f.name.rpartition("-")[2]))
    for old in checkpoints[:-KEPT]:
        shutil.rmtree(old)


def publish_model(model: Any, processor: Any, folder: Path) -> None:
    """Write model and processor as one checkpoint folder, replacing what stands there."""
    staged = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(staged, ignore_errors=True)
    with no_bars():
        model.save_pretrained(staged)
    processor.save_pretrained(staged)
    shutil.rmtree(folder, ignore_errors=True)
    staged.rename(folder)


def save_weights(state: dict[str, Tensor], folder: Path) -> None:
    """Write the trained tensors of a checkpoint."""
    save_file({name: t.contiguous().cpu() for name, t in state.items()}, folder / WEIGHTS)


def load_weights(folder: Path) -> dict[str, Tensor]:
    """Read what :func:`save_weights` wrote."""
    return load_file(folder / WEIGHTS)


def write_whole(path: Path, text: str) -> None:
    """Write a file so that it is either the old or the new one, never half of it."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def environment() -> dict[str, Any]:
    """What a run depends on beside its recipe: versions, machine and commit."""
    packages = ("otter-icl", "torch", "transformers", "accelerate", "safetensors", "datasets")
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "processors": os.cpu_count(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "packages": {name: _version(name) for name in packages},
        "commit": _commit(),
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The checkout's commit, marked when files have changed since; None outside of one."""
    folder = Path(__file__).parent
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def _flush_to_disk(folder: Path) -> None:
    # Renaming alone survives a killed process, but not a power cut.
    for file in folder.iterdir():
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
