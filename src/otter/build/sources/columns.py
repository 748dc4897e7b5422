"""From the columns of a table to records, for CSV files and for `datasets` alike.

A mapping says which column is what, ``{"question": "prompt", "image": "file"}``; what it leaves out
is guessed by the usual names. A dot leads into a nested value: ``answer=answers.text``.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from otter.build.sources.conversations import (
    ANSWER,
    QUESTION,
    Conversation,
    Turn,
    read_turns,
)
from otter.build.sources.json_stream import short
from otter.build.sources.media_files import Named, name_media
from otter.build.sources.messages import read_parts
from otter.data.records import Problem

USUAL = {
    "id": ("id", "question_id", "record_id", "uid", "key"),
    "conversation": ("messages", "conversations", "conversation", "texts"),
    "question": ("question", "instruction", "prompt", "query", "input"),
    "answer": (
        "answer",
        "response",
        "output",
        "completion",
        "label",
        "caption",
        "answers",
        "target",
        "text",
    ),
    "image": ("image", "images", "image_path", "image_id", "file_name", "filename", "file", "path"),
    "video": ("video", "videos", "video_path"),
    "related": ("related", "rel_ins_ids"),
    "task": ("task",),
    "source": ("source", "dataset"),
    "split": ("split",),
    "language": ("language", "lang"),
    "weight": ("weight",),
}
"""What a record is made of, with the names of columns that usually hold it."""

STEP = "Correct it or leave it out."


@dataclass(frozen=True, slots=True)
class ColumnSettings:
    """How rows become records.

    Args:
        columns: column by what it is, a key of USUAL.
        question: asked in every row, where no column has the question.
        separator: between several pictures, or several related ids, in one cell of text.
        one_medium: the pictures of a row are the frames of one medium.
        task: of all rows that do not say.
    """

    columns: Mapping[str, str]
    question: str = ""
    separator: str = ";"
    one_medium: bool = False
    task: str = ""


def choose_columns(
    settings: ColumnSettings, names: Iterable[str], where: str
) -> dict[str, str] | list[Problem]:
    """Which column is what; problems where the mapping names what is not there."""
    present = list(names)
    problems: list[Problem] = []
    chosen: dict[str, str] = {}
    listed = ", ".join(present)
    for role, column in settings.columns.items():
        step = "Correct --map."
        if role not in USUAL:
            expected = f"one of {', '.join(USUAL)}"
            problems.append(Problem(where, "map", repr(role), expected, step))
        elif column.partition(".")[0] not in present and column not in present:
            problems.append(
                Problem(where, "map", repr(column), f"one of the columns {listed}", step)
            )
        else:
            chosen[role] = column
    taken = set(chosen.values())
    for role, usual in USUAL.items():
        found = next((name for name in usual if name in present and name not in taken), None)
        if role not in settings.columns and found is not None:
            chosen[role] = found
            taken.add(found)
    if not problems and "conversation" not in chosen and "answer" not in chosen:
        step = "Say which it is: --map answer=COLUMN."
        problems.append(Problem(where, "map", listed, "a column with the answer", step))
    return problems or chosen


def conversation_of(
    row: Mapping[str, Any], columns: Mapping[str, str], settings: ColumnSettings, where: str
) -> Conversation | Problem:
    """The conversation, mostly of one question, that a row is."""
    cells = {role: _cell(row, column) for role, column in columns.items()}
    name = "" if cells.get("id") is None else str(cells["id"]).strip()
    record = f"record {name!r}"
    turns = _turns(cells, columns, settings, where, record)
    if isinstance(turns, Problem):
        return turns
    media = _media(cells, columns, settings, where, record)
    if isinstance(media, Problem):
        return media
    weight = _weight(cells.get("weight"))
    if weight is None:
        return Problem(where, columns["weight"], short(cells["weight"]), "a number", STEP, record)
    for turn in turns:
        turn.weight *= weight
    related = _several(cells.get("related"), settings.separator)
    texts = {key: _text(cells.get(key)) or "" for key in ("task", "source", "split", "language")}
    task, source = texts["task"] or settings.task, texts["source"]
    return Conversation(
        name,
        where,
        turns,
        media,
        columns.get("image", columns.get("video", "image")),
        task,
        source,
        tuple(map(str, related)),
        texts["split"],
        texts["language"],
        settings.one_medium,
    )


def _cell(row: Mapping[str, Any], column: str) -> Any:
    """The value of a column; with ``answers.text`` that of a field within, also within a list."""
    if column in row:
        return row[column]
    value: Any = row
    for part in column.split("."):
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list):
            value = [entry.get(part) for entry in value if isinstance(entry, Mapping)]
        else:
            return None
    return value


def _turns(
    cells: Mapping[str, Any],
    columns: Mapping[str, str],
    settings: ColumnSettings,
    where: str,
    record: str,
) -> list[Turn] | Problem:
    spoken = cells.get("conversation")
    if spoken is not None and "answer" not in columns:
        return _spoken(spoken, where, record)
    question = _text(cells.get("question"))
    if question is None:
        if "question" in columns and cells.get("question") is not None:
            found = short(cells["question"])
            return Problem(where, columns["question"], found, "text", STEP, record)
        question = settings.question
    answer = _text(cells.get("answer"))
    if answer is None:
        found = short(cells.get("answer"))
        field = columns.get("answer", "answer")
        return Problem(where, field, found, "text", STEP, record)
    return [Turn(QUESTION, question), Turn(ANSWER, answer)]


def _spoken(value: Any, where: str, record: str) -> list[Turn] | Problem:
    """Turns in any of the usual forms, also ``{"user": ..., "assistant": ...}`` pairs."""
    first = value[0] if isinstance(value, list) and value else None
    if isinstance(first, Mapping) and {"user", "assistant"} <= set(first):
        turns: list[Turn] = []
        for pair in value:
            if not isinstance(pair, Mapping):
                return Problem(where, "turns", short(pair), "an object", STEP, record)
            turns.append(Turn(QUESTION, _text(pair.get("user")) or ""))
            turns.append(Turn(ANSWER, _text(pair.get("assistant")) or ""))
        return turns
    has_roles = isinstance(first, Mapping) and "role" in first
    names = ("role", "content") if has_roles else ("from", "value")
    return read_turns(value, names, where, record, read_parts)


def _media(
    cells: Mapping[str, Any],
    columns: Mapping[str, str],
    settings: ColumnSettings,
    where: str,
    record: str,
) -> list[Named] | Problem:
    media: list[Named] = []
    for role in ("image", "video"):
        for value in _several(cells.get(role), settings.separator):
            named = name_media(value, is_video=role == "video")
            if named is None:
                found = short(value)
                return Problem(where, columns[role], found, "a path or a picture", STEP, record)
            media.append(named)
    return media


def _several(value: Any, separator: str) -> Sequence[Any]:
    if value is None or value == "":
        return ()
    if isinstance(value, list | tuple):
        return [entry for entry in value if entry is not None]
    if isinstance(value, str) and separator and not value.startswith("data:"):
        return [part.strip() for part in value.split(separator) if part.strip()]
    return [value]


def _text(value: Any) -> str | None:
    """A cell as text; of several answers the most frequent one, the first of these."""
    if isinstance(value, list):
        texts = [text for text in map(_text, value) if text]
        return Counter(texts).most_common(1)[0][0] if texts else None
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return str(value)
    return value if isinstance(value, str) else None


def _weight(value: Any) -> float | None:
    if value is None or value == "":
        return 1.0
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
