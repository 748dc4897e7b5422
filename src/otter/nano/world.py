"""The nano world as ordinary stores: what the foundation learns, and what tuning learns.

    write_world(folder, FOUNDATION)   # naming with short words, rules, questions: a curriculum
    write_world(folder, TUNING)       # names of several pieces, rules, answer formats, questions

A group of nine turns becomes nine records; the last names the eight before it as its worked
examples. Read as episodes (questions that are nobody's example) a store teaches with examples; read
record by record it holds the very same pairs without them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from otter.data import Record, StoreWriter
from otter.nano.pictures import PictureCounts, Pictures, draw_pictures
from otter.nano.tasks import ANSWERABLE, Naming, Turn, answer_format, count_rule, naming, standard

TURNS = 9
"""Of a group: eight worked examples and the question."""
TOWER_CLASSES = range(6000)
"""Glyph classes that the shipped tower learns with."""
TRAIN_CLASSES = range(3600, 7600)
"""Glyph classes that the language model learns with; the tower never sees the last 1,600."""
BATCH = 16
"""Sequences of a batch in the recipes that read these stores as written."""
BLOCK = 8 * BATCH
"""Groups that are written together, those of about the same length side by side."""

Rng = np.random.Generator
Group: TypeAlias = tuple[str, list[Turn]]


@dataclass(frozen=True)
class Stage:
    """What one stage of training is made of.

    Args:
        groups: how many, of TURNS turns each.
        pictures: what is drawn.
        share_naming: share of naming groups.
        share_rule: share of counting rules.
        share_format: share of answer formats; what is left are answerable questions.
        glyphs: share of glyphs among naming groups; the rest is things, by kind, shape or colour.
        short_names: only names of one piece.
        curriculum: first two names and repeated pictures, later up to four names.
        seed: of everything drawn.
    """

    groups: int
    pictures: PictureCounts
    share_naming: float = 0.6
    share_rule: float = 0.08
    share_format: float = 0.08
    glyphs: float = 0.75
    short_names: bool = False
    curriculum: bool = False
    seed: int = 0


FOUNDATION = Stage(
    groups=14400,
    pictures=PictureCounts(TRAIN_CLASSES),
    share_naming=0.75,
    share_rule=0.07,
    share_format=0.0,
    short_names=True,
    curriculum=True,
    seed=10,
)
TUNING = Stage(groups=35200, pictures=PictureCounts(TRAIN_CLASSES), seed=20)
QUICK = Stage(
    groups=9600,
    pictures=PictureCounts(
        TRAIN_CLASSES[-900:],
        glyph_instances=10,
        per_kind=20,
        scenes=1500,
        pairs=400,
        clips=300,
        stories=200,
    ),
    seed=30,
)
"""What ``otter quickstart`` tunes on."""


def write_world(
    folder: Path | str,
    stage: Stage,
    *,
    workers: int = 2,
    on_progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write the store of a training stage.

    Args:
        folder: where; must not exist yet.
        stage: what it is made of.
        workers: processes that draw.
        on_progress: told (groups written, groups) now and then.
    """
    rng = np.random.default_rng(stage.seed)
    with StoreWriter(folder) as writer:
        pictures = draw_pictures(stage.pictures, writer.add_image, stage.seed, workers)
        for first in range(0, stage.groups, BLOCK):
            block = [
                _training_group(stage, pictures, number / stage.groups, rng)
                for number in range(first, min(first + BLOCK, stage.groups))
            ]
            for number, (task, turns) in enumerate(_alike_together(block, rng), start=first):
                add_group(writer, f"{task}/{number}", task, turns, split="train")
            if on_progress is not None:
                on_progress(first + len(block), stage.groups)


def _training_group(stage: Stage, pictures: Pictures, share: float, rng: Rng) -> Group:
    """One group; ``share`` of the stage was written before it."""
    draw = rng.random()
    if draw < stage.share_naming:
        return _naming_group(stage, pictures, share, rng)
    draw -= stage.share_naming
    if draw < stage.share_rule:
        return "rule", count_rule(pictures, TURNS, rng)
    if draw < stage.share_rule + stage.share_format:
        return "format", answer_format(pictures, TURNS, rng)
    task = ANSWERABLE[rng.integers(len(ANSWERABLE))]
    return task, standard(task, pictures, TURNS, rng)


def _alike_together(block: list[Group], rng: Rng) -> list[Group]:
    """A block with groups of about the same length side by side: a batch of them pads little."""

    def length(group: Group) -> int:
        return sum(len(turn.question) + len(turn.answer) for turn in group[1])

    by_length = sorted(block, key=length)
    batches = [by_length[i : i + BATCH] for i in range(0, len(by_length), BATCH)]
    return [group for n in rng.permutation(len(batches)) for group in batches[n]]


def _naming_group(stage: Stage, pictures: Pictures, share: float, rng: Rng) -> Group:
    early = stage.curriculum and share < 0.5
    how = Naming(
        turns=TURNS,
        ways=2 if early else int(rng.choice([2, 2, 2, 3, 4])),
        short=stage.short_names or rng.random() < 0.1,
        repeat=0.3 if early else 0.0,
    )
    if rng.random() < stage.glyphs:
        return "name_glyph", naming(pictures.glyphs, how, rng)
    task, classes = (
        ("name_kind", list(pictures.kinds.values())),
        ("name_shape", pictures.by_shape()),
        ("name_colour", pictures.by_colour()),
    )[rng.integers(3)]
    return task, naming(classes, how, rng)


def add_group(writer: StoreWriter, name: str, task: str, turns: Sequence[Turn], split: str) -> None:
    """Write a group as records; the last names the others as its worked examples."""
    ids = [f"{name}/{n}" for n in range(len(turns))]
    for n, (record, turn) in enumerate(zip(ids, turns, strict=True)):
        last = n == len(turns) - 1
        writer.add_record(
            Record(
                id=record,
                instruction=turn.question,
                answer=turn.answer,
                media=turn.media,
                related=tuple(ids[:-1]) if last else (),
                task=task,
                source="nano",
                split=split,
                weight=turn.weight,
            )
        )
