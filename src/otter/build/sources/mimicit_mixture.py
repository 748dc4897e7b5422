"""The mixture files of 2023: which MIMIC-IT datasets a model was trained on, and how much of each.

IMAGE_TEXT_IN_CONTEXT:
  LADD:
    mimicit_path: json/LA/LADD_instructions.json
    images_path: json/LA/LA.json
    train_config_path: json/LA/LADD_train.json
    num_samples: 20000
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from otter.data.records import DataError, Problem

GROUPS = ("IMAGE_TEXT", "TEXT_ONLY", "VIDEO_TEXT", "IMAGE_TEXT_IN_CONTEXT")
_PATHS = ("mimicit_path", "images_path", "train_config_path")
_FIELDS = (*_PATHS, "num_samples", "task_description", "status")


@dataclass(frozen=True, slots=True)
class Part:
    """One MIMIC-IT dataset.

    Args:
        instructions: its instructions file.
        images: where its pictures are.
        train: the file with the examples of each training record.
        name: what the mixture calls it; empty outside of a mixture.
        group: one of GROUPS; empty outside of a mixture.
        num_samples: of an epoch; -1 and 0 for each record once.
        task_description: texts that 2023 could put before a document.
    """

    instructions: Path
    images: tuple[Path, ...] = ()
    train: Path | None = None
    name: str = ""
    group: str = ""
    num_samples: int = -1
    task_description: tuple[str, ...] = ()


def read_mixture(path: Path) -> list[Part]:
    """The datasets of a mixture file.

    Raises:
        DataError: it is no such file; every problem at once.
        ImportError: PyYAML is not installed.
    """
    try:
        import yaml  # type: ignore[import-untyped]
    except ImportError as error:
        raise ImportError(f"reading {path} needs PyYAML: run `pip install pyyaml`") from error
    try:
        groups = yaml.safe_load(path.read_bytes())
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError([_wrong(path, "", reason, "a YAML file")]) from error
    if not isinstance(groups, dict) or not groups:
        shown = type(groups).__name__
        raise DataError([_wrong(path, "", shown, f"groups: {', '.join(GROUPS)}")])
    problems: list[Problem] = []
    parts: list[Part] = []
    for group, datasets in groups.items():
        if group not in GROUPS:
            problems.append(_wrong(path, "group", repr(group), f"one of {', '.join(GROUPS)}"))
        elif not isinstance(datasets, dict):
            problems.append(_wrong(path, group, repr(datasets)[:60], "datasets by their names"))
        else:
            for name, fields in datasets.items():
                part = _part(path, group, str(name), fields, problems)
                if part is not None:
                    parts.append(part)
    names = [part.name for part in parts]
    for name in sorted({name for name in names if names.count(name) > 1}):
        problems.append(_wrong(path, name, "twice", "each dataset once: it becomes a task"))
    if problems:
        raise DataError(problems)
    return parts


def _part(path: Path, group: str, name: str, fields: Any, problems: list[Problem]) -> Part | None:
    before = len(problems)
    place = f"{group}.{name}"
    if not isinstance(fields, dict) or not isinstance(fields.get("mimicit_path"), str):
        problems.append(_wrong(path, f"{place}.mimicit_path", "missing", "an instructions file"))
        return None
    problems += [
        _wrong(path, f"{place}.{field}", "unknown", f"one of {', '.join(_FIELDS)}")
        for field in fields
        if field not in _FIELDS
    ]
    found: dict[str, Path] = {}
    for field in _PATHS:
        value = fields.get(field)
        if value is None or value == "":
            continue
        # As in 2023 from where the command runs; and, which is handier, from the mixture file.
        choices = [Path(str(value)), path.parent / str(value)]
        existing = [choice for choice in choices if choice.exists()]
        if existing:
            found[field] = existing[0]
        else:
            problems.append(_wrong(path, f"{place}.{field}", repr(value), "a file that exists"))
    samples = fields.get("num_samples", -1)
    if isinstance(samples, bool) or not isinstance(samples, int) or samples < -1:
        problems.append(
            _wrong(path, f"{place}.num_samples", repr(samples), "-1 or 0 for all, or a number")
        )
    described = fields.get("task_description") or ()
    described = (described,) if isinstance(described, str) else tuple(map(str, described))
    if len(problems) > before:
        return None
    images = (found["images_path"],) if "images_path" in found else ()
    train = found.get("train_config_path")
    return Part(found["mimicit_path"], images, train, name, group, samples, described)


def chosen_in_2023(ids: Sequence[str], num_samples: int) -> list[str]:
    """The records of an epoch, drawn as in 2023, with the seed that was always 0.

    >>> chosen_in_2023(["a", "b"], 5)
    ['a', 'b', 'a', 'b', 'b']
    """
    if num_samples in (-1, 0) or num_samples == len(ids) or not ids:
        return list(ids)
    generator = random.Random(0)
    if num_samples < len(ids):
        return generator.sample(list(ids), num_samples)
    times, rest = divmod(num_samples, len(ids))
    return [*ids] * times + generator.choices(list(ids), k=rest)


def _wrong(path: Path, field: str, value: str, expected: str) -> Problem:
    return Problem(str(path), field, value, expected, "Correct the mixture file.")
