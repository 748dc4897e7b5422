"""A dataclass becomes TOML text, the inverse of reading it."""

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any


def as_table(recipe: Any) -> dict[str, Any]:
    """A dataclass as nested tables, without what is absent (TOML has no null)."""
    return {
        item.name: plain(value)
        for item in dataclasses.fields(recipe)
        if (value := getattr(recipe, item.name)) is not None
    }


def dump(recipe: Any) -> str:
    """A dataclass as TOML text; ``read(type(r), tomllib.loads(dump(r)))`` is ``r`` again."""
    return "\n".join(_lines(as_table(recipe), "")) + "\n"


def plain(value: Any) -> Any:
    """Dataclasses, tuples and mappings as the dicts and lists of TOML."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return as_table(value)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def _lines(table: Mapping[str, Any], path: str) -> Iterator[str]:
    """Plain values first: in TOML they belong to the table whose head stands above them."""
    for key, value in table.items():
        if not isinstance(value, dict) and not _is_tables(value):
            yield f"{_key(key)} = {_inline(value)}"
    for key, value in table.items():
        name = f"{path}.{_key(key)}" if path else _key(key)
        if isinstance(value, dict) and value:
            yield from ("", f"[{name}]", *_lines(value, name))
        elif _is_tables(value):
            for item in value:
                yield from ("", f"[[{name}]]", *_lines(item, name))


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _inline(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(_inline(item) for item in value)}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key, ensure_ascii=False)
