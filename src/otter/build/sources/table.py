"""A table, CSV, TSV or JSONL, and a folder of pictures.

What is expected on disk: one or more files with a row for each question, and the pictures,

    questions.csv          id,prompt,label,file
                           1,How many cats?,two,cats/1.jpg
    photos/cats/1.jpg

    otter data import table questions.csv --images photos --map question=prompt,answer=label,image=file --out store

Columns with usual names (question, answer, image, id, ...) are found without ``--map``, which may
name: id, question, answer, image, video, conversation, related, task, source, split, language,
weight. A CSV file is separated by whichever of ``,`` ``;`` and tab its first line has most. Several
pictures in a cell are separated by ``;`` (``--option separator``), and a JSONL row may have a list;
each is a medium of its own, or, with ``--option one_medium=true``, all are the frames of one.
``--option question=...`` asks the same of every row. A row without an id is named by its file and
line.
"""  # noqa: E501 - a command is easier to copy in one line

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

from otter.build.sources.columns import ColumnSettings, choose_columns, conversation_of
from otter.build.sources.conversation_source import ConversationSource
from otter.build.sources.conversations import Conversation, ConversationSettings
from otter.build.sources.json_stream import rows, short, unreadable
from otter.data.records import Problem

SEPARATORS = (",", ";", "\t")
FIRST_ROWS = 100
_LONGEST_CELL = 2**30


@dataclass(frozen=True)
class Options:
    """What can be set.

    Args:
        images: folders that the paths of pictures and videos start from.
        media_root: one more of them.
        split: of all rows that do not say.
        map: which column is what.
        task: of all records that do not say, instead of the name of the file.
        language: of all rows that do not say.
        question: asked in every row, where no column has the question.
        separator: between several pictures in one cell.
        one_medium: the pictures of a row are the frames of one medium.
        delimiter: between the cells of a CSV file, where it is not recognized.
        frames: decode so many frames of each video, instead of referring to it.
        fps: decode so many frames for each second of a video.
    """

    images: tuple[Path, ...] = ()
    media_root: Path | None = None
    split: str = "train"
    map: dict[str, str] = field(default_factory=dict)
    task: str = ""
    language: str = "en"
    question: str = ""
    separator: str = ";"
    one_medium: bool = False
    delimiter: str = ""
    frames: int | None = None
    fps: float | None = None


class TableSource(ConversationSource):
    """Tables as a source; each row is a conversation of one question."""

    name = "table"
    options_class = Options

    def settings(self) -> ConversationSettings:
        """A row has no conversation before it to repeat, and its task is set where it is read."""
        return ConversationSettings(
            "", self.options.split, self.options.language, number_repeats=False
        )

    def _read(self) -> Iterator[Conversation | Problem]:
        for path in self.paths:
            settings = ColumnSettings(
                self.options.map,
                self.options.question,
                self.options.separator,
                self.options.one_medium,
                self.options.task or path.stem,
            )
            is_json = path.suffix in (".json", ".jsonl", ".ndjson")
            table: Iterator[tuple[str, Any] | Problem] = iter(
                rows(path) if is_json else _cells(path, self.options.delimiter)
            )
            # A column of JSON may be absent from a row, so the first row does not show them all.
            head = list(islice(table, FIRST_ROWS))
            named = [found[1] for found in head if not isinstance(found, Problem)]
            names = dict.fromkeys(key for row in named if isinstance(row, dict) for key in row)
            columns = choose_columns(settings, names, str(path)) if names else []
            if isinstance(columns, list):
                yield from columns
                yield from (found for found in head if isinstance(found, Problem))
                continue
            for found in chain(head, table):
                if isinstance(found, Problem):
                    yield found
                elif isinstance(found[1], dict):
                    yield conversation_of(found[1], columns, settings, found[0])
                else:
                    step = "Correct it or leave it out."
                    expected = "an object with named fields"
                    yield Problem(found[0], "", short(found[1]), expected, step)


def _cells(path: Path, delimiter: str) -> Iterator[tuple[str, dict[str, str]] | Problem]:
    """The rows of a CSV file, by the names of its first line."""
    csv.field_size_limit(_LONGEST_CELL)  # a setting of the whole process; the default is 128 KB
    step = "Correct the line or leave it out."
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            first = file.readline()
            file.seek(0)
            chosen = delimiter or max(SEPARATORS, key=first.count)
            reader = csv.reader(file, delimiter=chosen, strict=True)
            header: list[str] = []
            while True:
                begun = reader.line_num + 1
                try:
                    cells = next(reader, None)
                except csv.Error as error:
                    yield Problem(f"{path}:{begun}", "", str(error), "a line of CSV", step)
                    continue
                if cells is None:
                    return
                if not any(cells):
                    continue
                if not header:
                    header = [name.strip() for name in cells]
                elif len(cells) != len(header):
                    value, expected = f"{len(cells)} cells", f"{len(header)}, as in the first line"
                    yield Problem(f"{path}:{begun}", "", value, expected, step)
                else:
                    yield f"{path}:{begun}", dict(zip(header, cells, strict=True))
    except OSError as error:
        yield unreadable(path, error)
