"""How a shipped checkpoint was made, beside its weights: command, recipes, seeds, figures.

A file ``made.json``: ``{"command": "otter nano base", "stages": [{"recipe": "nano-base", ...}]}``.
"""

import time
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from otter.cli.measured import versions
from otter.train import read_log

FILE = "made.json"
PATHS = ("output", "model")
"""Keys of a recipe that say where something lay, not how it was made."""


def how_made(command: str, runs: Mapping[str, Path]) -> dict[str, Any]:
    """What to write into the file.

    Args:
        command: what was typed.
        runs: the folders of the runs by the names of their recipes, in their order.
    """
    stages = [{"recipe": name, **_stage(folder)} for name, folder in runs.items()]
    return {
        "command": command,
        "date": time.strftime("%Y-%m-%d"),
        "stages": stages,
        "versions": versions(),
    }


def _stage(folder: Path) -> dict[str, Any]:
    """A run's recipe with every default, and the last line of its log."""
    recipe = tomllib.loads((folder / "recipe.toml").read_text(encoding="utf-8"))
    keys = {key: value for key, value in recipe.items() if key not in PATHS}
    for part in keys.get("data", []):
        part.pop("store")
    log = read_log(folder / "log.jsonl")
    if not log:
        return keys
    return {**keys, "end": {key: log[-1][key] for key in ("step", "loss", "pairs", "seconds")}}
