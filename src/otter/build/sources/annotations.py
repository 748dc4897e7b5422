"""Reading annotation files entry by entry, so that one bad entry costs one message, not the import.

    {"questions": [{"question_id": 7, "question": "What is it?"}, 3]}

``entries(path, "questions")`` gives an :class:`Entry` for the first and a Problem for the second,
which is a number. The file is read in pieces: of a gigabyte of annotations only the entry at hand
is in memory.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from otter.build.sources.json_stream import (
    DamagedError,
    JsonScanner,
    damaged,
    rows,
    short,
    unreadable,
)
from otter.data.records import DataError, Problem

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Entry:
    """One annotation; its fields are read by type, and an error says which file, entry and field.

    Args:
        where: the file.
        name: the key of the entry in its object, or ``entry 3`` where entries have no names.
        value: the fields.
        place: what stands before the name of a field in messages, such as ``descs[1].``.
    """

    where: str
    name: str
    value: Mapping[str, Any]
    place: str = ""

    def text(self, field: str) -> str:
        """Text that is not blank, stripped; a whole number passes as its digits.

        Raises:
            DataError: the field is missing, blank or of another type.
        """
        found = self.value.get(field)
        if isinstance(found, int) and not isinstance(found, bool):
            return str(found)
        if not isinstance(found, str) or not found.strip():
            self.wrong(field, "text that is not blank")
        return found.strip()

    def number(self, field: str) -> float:
        """A finite number.

        Raises:
            DataError: the field is missing or no number.
        """
        found = self.value.get(field)
        if found is None or not is_number(found):
            self.wrong(field, "a number")
        return float(found)

    def whole(self, field: str) -> int:
        """A whole number of at least 0, or text of digits.

        Raises:
            DataError: the field is missing or something else.
        """
        found = self.value.get(field)
        if isinstance(found, str) and found.isascii() and found.isdigit() and len(found) < 20:
            return int(found)
        if not isinstance(found, int) or isinstance(found, bool) or found < 0:
            self.wrong(field, "a whole number of at least 0")
        return found

    def items(self, field: str) -> list[Any]:
        """A list with something in it.

        Raises:
            DataError: the field is missing, empty or no list.
        """
        found = self.value.get(field)
        if not isinstance(found, list) or not found:
            self.wrong(field, "a list with at least one item")
        return found

    def children(self, field: str) -> Iterator["Entry"]:
        """The objects of a list.

        Raises:
            DataError: the field is no list, or one of its items no object.
        """
        for index, item in enumerate(self.items(field)):
            if not isinstance(item, dict):
                self.wrong(f"{field}[{index}]", "an object", item)
            yield Entry(self.where, self.name, item, f"{self.place}{field}[{index}].")

    def span(self, field: str) -> tuple[float, float]:
        """Two times in seconds, the earlier first.

        Raises:
            DataError: the field is anything else.
        """
        found = self.value.get(field)
        times = found if isinstance(found, list) else []
        if len(times) != 2 or not all(is_number(time) and time >= 0 for time in times):
            self.wrong(field, "two times in seconds, such as [3.5, 8.0]")
        return float(min(times)), float(max(times))

    def wrong(
        self,
        field: str,
        expected: str,
        value: Any = None,
        next_step: str = "Correct it or take the entry out.",
    ) -> NoReturn:
        """Raises a DataError about a field."""
        if value is None:
            value = self.value.get(field, "missing")
        shown = "missing" if value == "missing" else short(value)
        problem = Problem(self.where, self.place + field, shown, expected, next_step, self.name)
        raise DataError([problem])


def is_number(value: object) -> bool:
    """Whether a value is a finite number; True and False are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15


def each(
    entries: Iterable["Entry | Problem"], build: Callable[[Entry], Iterable[T]]
) -> Iterator[T | Problem]:
    """What ``build`` makes of each entry; problems in the place of entries that are wrong."""
    for entry in entries:
        if isinstance(entry, Problem):
            yield entry
            continue
        try:
            yield from build(entry)
        except DataError as error:
            yield from error.problems


def entries(path: Path, key: str = "", *, inline: bool = False) -> Iterator[Entry | Problem]:
    """The entries of a JSON array or object, one at a time.

    Args:
        path: a JSON file.
        key: the member of the outermost object that holds the entries; empty where the outermost
            array or object holds them itself.
        inline: with ``key``, also yields the other members of the outermost object that are
            objects, for files in which the key is left out.

    Yields:
        Entries; a Problem for a member that is no object, and as the last item where the file
        cannot be read to its end.
    """
    where = str(path)
    try:
        with path.open("rb") as file:
            for name, value in _members(JsonScanner(file), where, key, inline):
                if isinstance(value, list) and len(value) == 1:
                    value = value[0]  # Visual Storytelling wraps each entry in a list of its own
                if isinstance(value, dict):
                    yield Entry(where, name, value)
                elif not inline:
                    yield _no_object(where, name, value)
    except DataError as error:
        yield from error.problems
    except DamagedError as damage:
        yield damaged(path, damage)
    except OSError as error:
        yield unreadable(path, error)


def lines(path: Path) -> Iterator[Entry | Problem]:
    """The entries of a JSON Lines file, whose ``where`` has the number of the line."""
    for row in rows(path):
        if isinstance(row, Problem):
            yield row
        elif isinstance(row[1], dict):
            yield Entry(row[0], "", row[1])
        else:
            yield _no_object(row[0], "", row[1])


def choose_wording(wordings: Sequence[str], record_id: str) -> str:
    """One of several wordings, always the same one for the same record.

    Chosen by a hash of the id rather than by chance or position, so that a record keeps its
    question when others are added or left out.
    """
    digest = hashlib.sha256(record_id.encode("utf-8", "surrogatepass")).digest()
    return wordings[int.from_bytes(digest[:8], "big") % len(wordings)]


def as_sentence(text: str) -> str:
    """Text as a sentence: stripped, with a capital and a full stop."""
    text = " ".join(text.split())
    if not text:
        return ""
    return text[0].upper() + text[1:] + ("" if text[-1] in ".!?" else ".")


def _no_object(where: str, name: str, value: Any) -> Problem:
    step = "Correct it or take it out."
    return Problem(where, "", short(value), "an object with named fields", step, name)


def _members(scanner: JsonScanner, where: str, key: str, inline: bool) -> Iterator[tuple[str, Any]]:
    """Name and value of each entry."""
    if not key:
        yield from _all_members(scanner)
        return
    seen: list[str] = []
    for name in scanner.names():
        if name == key and scanner.peek() in ("[", "{"):
            yield from _all_members(scanner)
            if not inline:
                return
            continue
        seen.append(name)
        value = scanner.value()
        if inline:
            yield name, value
    if not inline:
        found = ", ".join(map(repr, seen[:5])) or "an empty object"
        step = "Is it the right file?"
        raise DataError([Problem(where, "", found, f"entries in {key!r}", step)])


def _all_members(scanner: JsonScanner) -> Iterator[tuple[str, Any]]:
    if scanner.peek() == "[":
        for count, value in enumerate(scanner.elements()):
            yield f"entry {count}", value
        return
    for name in scanner.names():
        yield name, scanner.value()
