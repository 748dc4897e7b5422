"""A page on which a person leafs through episodes: one HTML file that needs nothing else.

    shown = write_show(Store("store"), Path("page.html"), choose(store, 50))

Every episode stands on it as the model will see it: the worked examples in order, each with its
pictures, then the question and the answer, and the exact text that the template makes.
"""

import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from otter.build.show_pictures import MAX_SIDE, PictureShelf, ShownMedium
from otter.build.show_text import rendered
from otter.data import DataError, Problem, Store, StoredRecord
from otter.prompt import Episode, Example


@dataclass(frozen=True)
class Chosen:
    """Rows of a store, and in a sentence how they were chosen."""

    rows: tuple[int, ...]
    rule: str


@dataclass(frozen=True)
class ShownTurn:
    """An example or the question, with its pictures."""

    record: StoredRecord
    media: list[ShownMedium]
    image_ids: list[str]

    @property
    def wide(self) -> bool:
        """Whether the media need the whole width of the page."""
        return sum(len(medium.frames) for medium in self.media) > 2


@dataclass(frozen=True)
class ShownEpisode:
    """One leaf of the page."""

    examples: list[ShownTurn]
    question: ShownTurn
    text: list[tuple[str, bool]]


def choose(
    store: Store, count: int, task: str | None = None, split: str | None = None, seed: int = 0
) -> Chosen:
    """Some questions to look at, of every task about as many.

    Args:
        store: where they are.
        count: how many, at most.
        task: only of this task.
        split: only of this split.
        seed: another one chooses others.

    Raises:
        ValueError: ``count`` is below 1, or the store has no such task or split.
    """
    if count < 1:
        raise ValueError(f"n = {count}: expected at least 1 episode")
    rows = store.rows(split=split, tasks=task)
    has_examples = pc.greater(pc.list_value_length(store.column("related")), 0)
    marks = np.asarray(has_examples.fill_null(False))
    generator = np.random.default_rng(seed)
    tasks = _codes(store.column("task"))[rows]
    shuffled: list[npt.NDArray[np.int64]] = []
    for code in np.unique(tasks):
        members = generator.permutation(rows[tasks == code])
        shuffled.append(members[np.argsort(~marks[members], kind="stable")])
    chosen: list[int] = []
    place = 0
    while len(chosen) < count and any(place < len(group) for group in shuffled):
        turn = [int(group[place]) for group in shuffled if place < len(group)]
        chosen += generator.permutation(turn).tolist()
        place += 1
    rule = f"Chosen by chance (seed {seed})"
    if len(shuffled) > 1:
        rule += ", of every task about as many"
    if marks[rows].any():
        rule += "; of each task first the questions that have worked examples"
    return Chosen(tuple(sorted(chosen[:count])), f"{rule}.")


def find_rows(store: Store, names: Sequence[str]) -> Chosen:
    """The rows that a person names, each by its number or by the id of its record.

    Raises:
        DataError: listing every name that is neither.
    """
    texts = pa.array(list(names), pa.string())
    found = pc.index_in(texts, value_set=store.column("id").combine_chunks()).to_pylist()
    rows, problems = [], []
    for name, row in zip(names, found, strict=True):
        if row is None and name.isdecimal() and int(name) < len(store):
            row = int(name)
        if row is None:
            expected = f"the id of a record, or a row from 0 to {len(store) - 1:,}"
            next_step = "Find it with --task, --split or the search of the page."
            problems.append(Problem(store.folder.name, "", repr(name), expected, next_step))
        else:
            rows.append(row)
    if problems:
        raise DataError(problems)
    return Chosen(tuple(dict.fromkeys(rows)), "Chosen by name.")


def write_show(store: Store, path: Path, chosen: Chosen, *, max_side: int = MAX_SIDE) -> None:
    """Writes the page.

    Args:
        store: where the episodes are.
        path: of the page; its folder is made, and an older page is replaced when the new one is
            whole.
        chosen: what is shown.
        max_side: pixels of the longer side of a picture.
    """
    shelf = PictureShelf(store, max_side)
    episodes = [_episode(store, shelf, row) for row in chosen.rows]
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.from_string(page_file("show.html")).render(
        store=store,
        name=store.folder.name,
        episodes=episodes,
        rule=chosen.rule,
        tasks=_tally(episode.question.record.task for episode in episodes),
        splits=_tally(episode.question.record.split for episode in episodes),
        # Our own files: no text of a dataset goes into them.
        css=Markup(page_file("page.css") + page_file("show.css")),
        script=Markup(page_file("show.js")),
    )
    write_page(path, page)


def page_file(name: str) -> str:
    """A file that stands beside this module."""
    return resources.files("otter.build").joinpath(name).read_text(encoding="utf-8")


def write_page(path: Path, text: str) -> None:
    """Writes a file so that after any interruption there is the old one or the new one, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        fresh.write_text(text, encoding="utf-8")
        os.replace(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)


def _episode(store: Store, shelf: PictureShelf, row: int) -> ShownEpisode:
    question = store.record(row)
    examples = [store.record(other) for other in question.related if 0 <= other < len(store)]
    turns = [_turn(store, shelf, record) for record in (*examples, question)]
    # What stands behind a marker does not matter for the text.
    text = rendered(
        Episode(
            question.instruction,
            [""] * len(question.media),
            [Example(e.instruction, e.answer, [""] * len(e.media)) for e in examples],
            answer=question.answer,
        )
    )
    return ShownEpisode(turns[:-1], turns[-1], text)


def _turn(store: Store, shelf: PictureShelf, record: StoredRecord) -> ShownTurn:
    names = [
        store.image_id(row) if row >= 0 else store.video(~row).id
        for medium in record.media
        for row in medium
        if -store.video_count <= row < store.image_count
    ]
    return ShownTurn(record, shelf.media(record.media), names)


def _codes(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """int64[rows]: equal texts get equal numbers, in the order in which they are met."""
    codes: npt.NDArray[np.int64] = pc.index_in(column, value_set=pc.unique(column)).to_numpy()
    return codes


def _tally(names: Any) -> list[tuple[str, int]]:
    counted: dict[str, int] = {}
    for name in names:
        counted[name] = counted.get(name, 0) + 1
    return sorted(counted.items())
