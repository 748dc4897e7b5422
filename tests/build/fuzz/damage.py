"""Damage to datasets, of every kind that files meet: drawn by a seed; known is what it hits."""

import base64
import copy
import csv
import io
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from tests.build.fuzz.oddities import BYTES, VALUES
from tests.build.fuzz.pictures import broken_pictures
from tests.build.fuzz.pieces import NOBODY, Dataset, Entry, File, Piece, pieces
from tests.build.fuzz.verdict import Case

_LAX = json.JSONDecoder(strict=False)  # control characters in texts are harmless
JSON_KINDS = ("array", "lines", "object", "data")


def cases(dataset: Dataset, seed: int) -> Iterator[Case]:
    """Endless damage to a dataset; the same for the same seed."""
    generator = random.Random(f"{dataset.name} {seed}")
    while True:
        damage = generator.choice(DAMAGES)
        case = damage(dataset, generator)
        if case is not None and case.changed:
            yield case


# ------------------------------------------------------------------------------------------------
# Bytes


def bytes_damage(dataset: Dataset, generator: random.Random) -> Case | None:
    """A file cut short, or bytes of it changed, removed, repeated or put in."""
    path = generator.choice(sorted(dataset.files))
    parts = pieces(dataset.files[path])
    data = b"".join(part.data for part in parts)
    name, (start, end, new) = _edit(data, generator)
    changed = data[:start] + new + data[end:]
    if changed == data:
        return None
    touched, first = _touched(parts, start, end)
    file = dataset.files[path]
    if file.kind == "tar":
        if len(new) != end - start:
            touched |= _behind(parts, first)  # its members stand at multiples of 512 bytes
        # Nobody knows whether the sample before a damaged header is complete.
        touched |= parts[max(first - 1, 0)].records
    if dataset.numbered and changed.count(b"\n") != data.count(b"\n"):
        touched |= file.records
    if file.kind == "csv" and (changed.count(b'"') % 2 or b"\0" in new):
        touched |= _behind(parts, first)  # an open quote takes in what follows
    if file.kind == "csv" and first == 0:
        touched |= file.records
    if file.kind == "lines" and changed.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] != b"{":
        touched |= file.records  # it is no longer a file of lines
    what = f"{path}: {name} at {start}:{end} ({new[:20]!r})"
    return Case(dataset, {path: changed}, what, touched, (), _is_sound(file, changed))


def _edit(data: bytes, generator: random.Random) -> tuple[str, tuple[int, int, bytes]]:
    place = generator.randrange(len(data)) if data else 0
    length = generator.choice((1, 1, 2, 5, 30, 400))
    end = min(place + length, len(data))
    choices: dict[str, tuple[int, int, bytes]] = {
        "cut short": (place, len(data), b""),
        "a bit flipped": (place, place + 1, bytes([data[place] ^ 1 << generator.randrange(8)])),
        "noise": (place, end, generator.randbytes(end - place)),
        "zeros": (place, end, bytes(end - place)),
        "removed": (place, end, b""),
        "repeated": (place, place, data[place:end]),
        "put in": (place, place, generator.choice(BYTES)),
        "put before": (0, 0, generator.choice(BYTES)),
        "emptied": (0, len(data), b""),
    }
    name = generator.choice([*choices, "cut short", "a bit flipped", "noise"])
    return name, choices[name]


def _touched(parts: list[Piece], start: int, end: int) -> tuple[frozenset[str], int]:
    """The records of the pieces that bytes are in, and of what may be lost with them."""
    touched, position, first = NOBODY, 0, len(parts)
    for number, part in enumerate(parts):
        # The neighbours as well: what stands between two pieces belongs to both.
        if position <= end and start <= position + len(part.data):
            touched |= part.records
            first = min(first, number)
            if part.follows:
                return touched | _behind(parts, number), first
        position += len(part.data)
    return touched, first


def _behind(parts: list[Piece], number: int) -> frozenset[str]:
    return NOBODY.union(*(part.records for part in parts[number:]))


def _is_sound(file: File, data: bytes) -> bool:
    """Whether a file is one that nobody could find anything wrong with, whatever is missing."""
    try:
        if file.kind == "lines":
            lines = [_LAX.decode(line) for line in data.decode().split("\n") if line.strip()]
            return all(isinstance(line, dict) for line in lines)
        if file.kind in JSON_KINDS:
            _LAX.decode(data.decode())
            return True
        if file.kind == "csv":
            rows = list(csv.reader(io.StringIO(data.decode(), newline=""), strict=True))
            return len({len(row) for row in rows if row}) <= 1
    except (ValueError, RecursionError, csv.Error):
        return False
    # The pictures of a file are judged one by one; a mixture names as many datasets as it likes.
    return False


# ------------------------------------------------------------------------------------------------
# Values


def value_damage(dataset: Dataset, generator: random.Random) -> Case | None:
    """A value of the wrong type or without sense, missing, or under another name."""
    found = _entry(dataset, generator)
    if found is None:
        return None
    path, number, entry = found
    value = copy.deepcopy(entry.value)
    places = list(_places(value))
    new: Any = ""
    if not places or generator.random() < 0.1:
        new, what = generator.choice(VALUES), "all of it"
        value = new
    else:
        holder, key = generator.choice(places)
        how = generator.choice(("replaced", "replaced", "replaced", "removed", "repeated"))
        what = f"{key!r} {how}"
        if how == "replaced":
            new = holder[key] = generator.choice(VALUES)
            what += f" by {str(new)[:40]!r}"
        elif how == "removed":
            del holder[key]
        elif isinstance(holder, list):
            holder.insert(int(key), copy.deepcopy(holder[int(key)]))
        else:
            holder[f"{key}_"] = holder.pop(key)
    case = _with_entry(dataset, path, number, replace(entry, value=value))
    if case is None:
        return None
    # A picture of another name is missed under that name.
    is_name = isinstance(new, str | int) and bool(str(new))
    names = (*case.lost_names, str(new)[:20]) if is_name else case.lost_names
    return replace(case, what=f"{path} {number}: {what}", lost_names=names)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a JSON value, as the object or list that it is in, and its key there."""
    keys: list[Any] = []
    if isinstance(value, dict):
        keys = list(value)
    elif isinstance(value, list):
        keys = list(range(len(value)))
    for key in keys:
        yield value, key
        yield from _places(value[key])


def _entry(dataset: Dataset, generator: random.Random) -> tuple[str, int, Entry] | None:
    files = sorted(p for p, file in dataset.files.items() if file.kind in (*JSON_KINDS, "csv"))
    if not files:
        return None
    path = generator.choice(files)
    number = generator.randrange(len(dataset.files[path].entries))
    return path, number, dataset.files[path].entries[number]


def _with_entry(dataset: Dataset, path: str, number: int, entry: Entry) -> Case | None:
    """A case in which an entry is another; what is lost must be named by its id or place."""
    file = dataset.files[path]
    if file.kind == "csv":
        if not isinstance(entry.value, list):
            return None
        # In a file all is text, and a surrogate is a byte that is not UTF-8.
        cells = [_cell(cell) for cell in entry.value]
        entry = replace(entry, value=cells)
    entries = list(file.entries)
    entries[number] = entry
    changed = _encoded(replace(file, entries=tuple(entries)))
    before = file.entries[number]
    stem = PurePosixPath(path).name
    places = (
        f"{stem}[{number}]",
        f"{stem}:{number + 1}",
        f"{stem}:{number + 2}",
        f"entry {number}",
    )
    keys = [key for key in (before.key, entry.key) if key]
    ids = (*before.records, *keys, *before.pictures, *places)
    # A record that is not there is only missed where another one names it.
    touched = before.records
    if file.kind == "csv" and changed.count(b'"') % 2:
        touched = file.records
    is_silent = dataset.numbered or (file.kind == "csv" and "\n" in "".join(entry.value))
    return Case(dataset, {path: changed}, path, touched, (), is_silent, ids)


def _cell(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return "".join("\udcff" if "\ud800" <= sign <= "\udfff" else sign for sign in text)


def _encoded(file: File) -> bytes:
    return b"".join(part.data for part in pieces(file))


def text_damage(dataset: Dataset, generator: random.Random) -> Case | None:
    """Bytes that are not UTF-8 within a text of a record."""
    found = _entry(dataset, generator)
    if found is None:
        return None
    path, number, entry = found
    file = dataset.files[path]
    text = generator.choice([value for value in _texts(entry.value) if len(value) > 3] or [""])
    part = pieces(file)[number + (file.kind != "lines")]
    escaped = json.dumps(text)[1:-1].encode() if file.kind != "csv" else text.encode()
    if not text or escaped not in part.data or part.data.count(escaped) > 1:
        return None
    wrong = generator.choice((b"\xff", b"\xc3", b"\xe4\xf6", b"\x80\x80", b"\xed\xa0\x80"))
    at = part.data.index(escaped) + generator.randrange(1, len(escaped))
    parts = [one.data for one in pieces(file)]
    parts[number + (file.kind != "lines")] = part.data[:at] + wrong + part.data[at:]
    case = _with_entry(dataset, path, number, entry)
    what = f"{path} {number}: {wrong!r} in {text[:20]!r}"
    return replace(case, changed={path: b"".join(parts)}, what=what) if case else None


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part)


# ------------------------------------------------------------------------------------------------
# Ids


def repeated_id(dataset: Dataset, generator: random.Random) -> Case | None:
    """A record twice, or two records of one id: the first is kept, and the id is named."""
    found = _entry(dataset, generator)
    if found is None:
        return None
    path, number, entry = found
    if not entry.records or path not in dataset.sources:
        return None
    file = dataset.files[path]
    again = copy.deepcopy(entry)
    where = generator.choice((number + 1, len(file.entries)))
    entries = [*file.entries[:where], again, *file.entries[where:]]
    changed = _encoded(replace(file, entries=tuple(entries)))
    names = () if dataset.repeats or dataset.numbered else tuple(entry.records)
    touched = file.records if dataset.numbered else NOBODY
    what = f"{path} {number}: twice"
    return Case(dataset, {path: changed}, what, touched, names)


def dangling_id(dataset: Dataset, generator: random.Random) -> Case | None:
    """The id of a picture or a record that is not there."""
    found = _entry(dataset, generator)
    if found is None or found[2].key or not found[2].pictures or dataset.numbered:
        return _dangling_instruction(dataset, generator)
    path, number, entry = found
    other = f"nowhere-{generator.randrange(1000)}.png"
    text = json.dumps(entry.value)
    if json.dumps(entry.pictures[0]) not in text:
        return None  # it is named by a number
    value = json.loads(text.replace(json.dumps(entry.pictures[0]), json.dumps(other)))
    case = _with_entry(dataset, path, number, replace(entry, value=value))
    what = f"{path} {number}: {other} is not there"
    return replace(case, what=what, names=(other,)) if case else None


def _dangling_instruction(dataset: Dataset, generator: random.Random) -> Case | None:
    files = [path for path, file in dataset.files.items() if file.kind == "data"]
    if not files:
        return None
    file = dataset.files[files[0]]
    number = generator.randrange(len(file.entries))
    entry = file.entries[number]
    field = generator.choice(("image_ids", "rel_ins_ids"))
    uses_train = "train" in dataset.options
    value = {**entry.value, field: [*entry.value[field], "NOWHERE_7"]}
    case = _with_entry(dataset, files[0], number, replace(entry, value=value))
    if case is None:
        return None
    is_link = field == "rel_ins_ids"
    names = () if is_link and uses_train else ("NOWHERE_7",)
    touched = NOBODY if is_link else entry.records  # a link is dropped, the record stays
    return replace(case, what=f"{number}: {field} names NOWHERE_7", names=names, touched=touched)


# ------------------------------------------------------------------------------------------------
# Pictures


def picture_damage(dataset: Dataset, generator: random.Random) -> Case | None:
    """A picture or video that cannot be decoded, wherever the dataset has its pictures."""
    places = [
        (path, number)
        for path, file in dataset.files.items()
        for number, entry in enumerate(file.entries)
        if _holds_picture(file, entry)
    ]
    if not places:
        return None
    path, number = generator.choice(sorted(places))
    file = dataset.files[path]
    entry = file.entries[number]
    kind = generator.choice(sorted(broken_pictures()))
    data = broken_pictures()[kind]
    value: Any = data
    if isinstance(entry.value, str):
        value = _as_text(data, generator)
        kind += f" as {value[:12]!r}"
    entries = list(file.entries)
    entries[number] = replace(entry, value=value)
    changed = _encoded(replace(file, entries=tuple(entries)))
    shard = PurePosixPath(path).name.partition(".")[0]
    names = (*entry.pictures, entry.key, f"{shard}/{entry.key}")
    # A follower in a conversation names nothing; its picture does.
    return Case(
        dataset,
        {path: changed},
        f"{path} {number}: {kind}",
        entry.records,
        tuple(filter(None, names)),
    )


def _holds_picture(file: File, entry: Entry) -> bool:
    if isinstance(entry.value, bytes):
        return bool(entry.pictures) or entry.key.endswith((".png", ".jpg"))
    return isinstance(entry.value, str) and bool(entry.pictures)


def _as_text(data: bytes, generator: random.Random) -> str:
    text = base64.b64encode(data).decode()
    return generator.choice(
        (text, text[: len(text) // 2] + "*" + text, "", "=", "data:,", "\ud800")
    )


Damage = Callable[[Dataset, random.Random], Case | None]
DAMAGES: tuple[Damage, ...] = (
    bytes_damage,
    bytes_damage,
    value_damage,
    value_damage,
    text_damage,
    repeated_id,
    dangling_id,
    picture_damage,
    picture_damage,
)
