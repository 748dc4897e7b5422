"""What a dataset says: a record per question, and everything that is wrong with it at once.

A record names its pictures and its related records by id; the store turns ids into row numbers. In

    Record("CAT_1", "How many cats?", "Two.", media=(("IMG_7",),), related=("CAT_0",))

the question is about one picture, and one worked example goes before it. A medium is a tuple of
image ids: one id is a picture, several are the frames of a clip.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

SHOWN_PROBLEMS = 20
KEPT_PROBLEMS = 10_000


@dataclass(frozen=True, slots=True)
class Record:
    """One question with its answer, in the terms of MIMIC-IT.

    Args:
        id: unique within a store.
        instruction: what is asked; may be empty only where there are media.
        answer: what the model should say.
        media: tuples of image ids, one tuple for each ``<image>`` marker.
        related: ids of the records that serve as worked examples, in order.
        task: groups records for mixtures and reports, such as "LA".
        source: where the record comes from, such as "coco".
        split: "train" or the name of a held-out part; a train record may only be related to train
            records.
        language: a language code, such as "en".
        weight: how much the answer counts in training; 0 where nobody could know it.
    """

    id: str
    instruction: str
    answer: str
    media: tuple[tuple[str, ...], ...] = ()
    related: tuple[str, ...] = ()
    task: str = ""
    source: str = ""
    split: str = "train"
    language: str = "en"
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, and what to do about it.

    Args:
        where: the file, folder or dataset.
        field: the field that is wrong, such as ``media[0][1]``; may be empty.
        value: what stands there, as text.
        expected: what should stand there.
        next_step: what a person can do now.
        record: the id of the record, or the image; empty where the whole file is meant.
    """

    where: str
    field: str
    value: str
    expected: str
    next_step: str
    record: str = ""

    def __str__(self) -> str:
        """One line: where, what, the expectation, the next step."""
        place = f"{self.where}: {self.record}: " if self.record else f"{self.where}: "
        found = f"{self.field} = {self.value}" if self.field else self.value
        return f"{place}{found}: expected {self.expected}. {self.next_step}"


class DataError(ValueError):
    """Everything that is wrong with a dataset; the message shows the first problems and the count.

    Args:
        problems: what was found; a plain text where an error is passed on between processes.
        count: how many there were in all, when only the first were kept.
    """

    def __init__(self, problems: Sequence[Problem] | str, count: int | None = None) -> None:
        self.problems = [] if isinstance(problems, str) else list(problems)
        self.count = len(self.problems) if count is None else count
        super().__init__(problems if isinstance(problems, str) else self._message())

    def _message(self) -> str:
        if self.count == 1:
            return str(self.problems[0])
        lines = [f"{self.count:,} problems:"]
        lines += [f"  {problem}" for problem in self.problems[:SHOWN_PROBLEMS]]
        hidden = self.count - min(len(self.problems), SHOWN_PROBLEMS)
        if hidden > 0:
            lines.append(f"  ... and {hidden:,} more")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[Any, ...]:
        """Travels between processes whole: the message alone cannot rebuild it."""
        if not self.problems:
            return type(self), (str(self),)
        return type(self), (self.problems, self.count)


class Problems:
    """Collects problems and raises them once; keeps the first 10,000 and counts the rest."""

    def __init__(self) -> None:
        self.kept: list[Problem] = []
        self.count = 0

    def add(self, problem: Problem) -> None:
        """Notes a problem."""
        self.count += 1
        if len(self.kept) < KEPT_PROBLEMS:
            self.kept.append(problem)

    def raise_if_any(self) -> None:
        """Raises what was collected.

        Raises:
            DataError: there was at least one problem.
        """
        if self.count:
            raise DataError(self.kept, self.count)


def check_record(record: Record, where: str = "record") -> list[Problem]:
    """What is wrong with a record by itself; whether its ids exist is known only to the store.

    Args:
        record: any record; its fields may be of the wrong type.
        where: what to call the dataset in the problems.
    """
    if _is_sound(record):
        return []
    name = f"record {_short(record.id)}"
    problems: list[Problem] = []

    def note(field: str, value: Any, expected: str, next_step: str) -> None:
        problems.append(Problem(where, field, _short(value), expected, next_step, name))

    for field in ("id", "instruction", "answer", "task", "source", "split", "language"):
        value = getattr(record, field)
        if not isinstance(value, str):
            note(field, value, "text", "Convert it with str() before writing.")
        elif not _encodes(value):
            note(field, value, "text that UTF-8 can hold", "Remove the lone surrogates.")
        elif field in ("id", "split", "answer") and not value.strip():
            note(field, value, "text that is not blank", _BLANK[field])
    if record.instruction == "" and not record.media:
        note("instruction", "", "a question, or media to speak about", "Give either of them.")
    if not _is_tuple(record.media):
        note("media", record.media, "a tuple of media", "Write media=((image_id,),) for a picture.")
    else:
        for index, medium in enumerate(record.media):
            if not _is_tuple(medium) or not medium or not all(is_name(image) for image in medium):
                expected = "a tuple of one or more image ids"
                note(f"media[{index}]", medium, expected, "Write (image_id,) for a picture.")
    if not _is_tuple(record.related):
        note("related", record.related, "a tuple of record ids", "Write related=(record_id,).")
    else:
        for index, other in enumerate(record.related):
            if not is_name(other):
                note(f"related[{index}]", other, "the id of a record", "Remove or correct it.")
            elif other == record.id:
                expected = "another record: a question is never its own example"
                note(f"related[{index}]", other, expected, "Remove it.")
    if not _is_weight(record.weight):
        note(
            "weight",
            record.weight,
            "a finite number of at least 0",
            "Write 1.0 for the usual weight.",
        )
    return problems


_BLANK = {
    "id": "Give every record an id of its own.",
    "split": "Write split='train'.",
    "answer": "Leave the record out, or give the answer that the model should learn.",
}


def _is_sound(record: Record) -> bool:
    """The same checks as one fast expression, since millions of records pass here."""
    try:
        text = "\n".join(
            (
                record.id,
                record.instruction,
                record.answer,
                record.task,
                record.source,
                record.language,
            )
        )
        return bool(
            _encodes(text)
            and is_name(record.id)
            and is_name(record.split)
            and record.answer.strip()
            and (record.instruction or record.media)
            and _is_weight(record.weight)
            and _is_tuple(record.media)
            and all(_is_tuple(m) and m and all(map(is_name, m)) for m in record.media)
            and _is_tuple(record.related)
            and record.id not in record.related
            and all(map(is_name, record.related))
        )
    except TypeError:
        return False


def _is_tuple(value: object) -> bool:
    return isinstance(value, tuple | list)


def is_name(value: object) -> bool:
    """Whether a value can be an id: text that is not blank and that UTF-8 can hold."""
    return isinstance(value, str) and bool(value.strip()) and _encodes(value)


def _is_weight(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    # Compared as it stands: converting an enormous integer to float would fail.
    return 0 <= value <= sys.float_info.max


def _encodes(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _short(value: object) -> str:
    """A value as a message shows it: pictures handed over as text must not fill the screen."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
