"""Options given as text, ``key=value``, for a frozen dataclass that says what there is.

    @dataclass(frozen=True)
    class Options:
        fps: float = 1.0

``convert_options(Options, {"fps": "0.5"}, "ego4d")`` gives ``({"fps": 0.5}, [])``.
"""

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from otter.data.records import Problem

_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def convert_options(
    options: type, given: Mapping[str, Any], format_name: str
) -> tuple[dict[str, Any], list[Problem]]:
    """The values in the types of the dataclass, and what was wrong.

    Text becomes bool, int, float, str, Path, a tuple of them (separated by commas) or a dict
    (``a=b,c=d``); other values pass as they are.

    Args:
        options: a dataclass.
        given: values by name.
        format_name: for messages.
    """
    kinds = typing.get_type_hints(options)
    names = [field.name for field in dataclasses.fields(options)]
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for key, value in given.items():
        name = key.replace("-", "_")
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            expected = f"one of {', '.join(names)}" if names else "no options"
            step = f"Did you mean {near[0]!r}?" if near else "Leave it out."
            problems.append(Problem(f"format {format_name}", "option", key, expected, step))
            continue
        try:
            values[name] = _convert(value, kinds[name])
        except ValueError:
            expected = _described(kinds[name])
            step = f"See `otter data formats {format_name}`."
            problems.append(Problem(f"format {format_name}", name, repr(value), expected, step))
    return values, problems


def _convert(value: Any, kind: Any) -> Any:
    arguments = [part for part in typing.get_args(kind) if part is not type(None)]
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        return _convert_optional(value, kind, arguments)
    if origin is tuple:
        parts = value.split(",") if isinstance(value, str) else value
        if isinstance(parts, Path):
            parts = [parts]
        return tuple(_convert(part, arguments[0]) for part in parts if part != "")
    if origin in (dict, Mapping) or getattr(origin, "__name__", "") == "Mapping":
        return _pairs(value) if isinstance(value, str) else dict(value)
    if kind is Path:
        return Path(value)
    if kind is bool and isinstance(value, str):
        if value.lower() not in _TRUTH:
            raise ValueError(value)
        return _TRUTH[value.lower()]
    if kind in (int, float) and isinstance(value, str):
        return kind(value)
    return value


def _convert_optional(value: Any, kind: Any, arguments: list[Any]) -> Any:
    if value is None or value == "" or (isinstance(value, str) and value.lower() == "none"):
        if type(None) in typing.get_args(kind):
            return None
        return value
    return _convert(value, arguments[0])


def _pairs(text: str) -> dict[str, str]:
    """``"question=prompt,image=file"`` as a dict."""
    pairs: dict[str, str] = {}
    for part in filter(None, text.split(",")):
        key, sign, value = part.partition("=")
        if not sign or not key or not value:
            raise ValueError(part)
        pairs[key.strip()] = value.strip()
    return pairs


def _described(kind: Any) -> str:
    if typing.get_origin(kind) is dict:
        return "pairs such as question=prompt,image=file"
    if kind is bool:
        return "true or false"
    parts = [part for part in typing.get_args(kind) if part not in (type(None), ...)]
    names = [getattr(part, "__name__", str(part)) for part in parts]
    return " or ".join(names) if parts else kind.__name__
