"""The exam: what no stage of training ever sees, as an ordinary store.

Glyph classes of other numbers, real handwritten digits, names and wordings from their held-out
parts, kinds of things from theirs. Groups as in :mod:`otter.nano.world`: the last record of nine is
the question, those before it are its examples.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from otter.data import StoreWriter
from otter.nano.names import FAMOUS
from otter.nano.pictures import PictureCounts, Pictures, draw_pictures
from otter.nano.scenes import HELD_OUT, TRAINED
from otter.nano.tasks import Naming, Turn, answer_format, count_rule, naming, standard
from otter.nano.world import TURNS, add_group

TEST_CLASSES = range(9000, 9500)
"""Glyph classes that no stage sees."""
EXAM_PICTURES = PictureCounts(
    TEST_CLASSES,
    glyph_instances=12,
    per_kind=16,
    scenes=1200,
    pairs=300,
    clips=300,
    stories=200,
    digits=True,
    held_out_kinds=True,
)
SEED = 99
"""Of the exam that figures are reported on."""

Rng = np.random.Generator


@dataclass(frozen=True)
class ExamTask:
    """What a reader of a score must know.

    Args:
        title: what a table calls it.
        description: one sentence: what is asked, and what is new in it.
        copy_level: what repeating an example's answer scores, where the answer is always one of two
            or of four.
    """

    title: str
    description: str
    copy_level: float | None = None


EXAM: dict[str, ExamTask] = {
    "name_glyph": ExamTask(
        "names for unseen glyphs",
        "Two made-up names for two glyph classes; classes, names and pictures are new.",
        0.5,
    ),
    "name_digit": ExamTask(
        "names for real digits",
        "Two made-up names for two handwritten digits; no stage of training saw a digit.",
        0.5,
    ),
    "name_kind": ExamTask(
        "names for coloured shapes",
        "Two made-up names for two kinds of coloured shape; names and pictures are new.",
        0.5,
    ),
    "name_kind_held_out": ExamTask(
        "names for unseen kinds",
        "The same for pairs of shape and colour that no training picture shows.",
        0.5,
    ),
    "name_shape": ExamTask(
        "names for shapes", "Two made-up names for two shapes of any colour.", 0.5
    ),
    "name_colour": ExamTask(
        "names for colours", "Two made-up names for two colours of any shape.", 0.5
    ),
    "name_glyph_4_way": ExamTask(
        "four names, glyphs", "Four made-up names for four unseen glyph classes.", 0.25
    ),
    "name_digit_4_way": ExamTask(
        "four names, digits", "Four made-up names for four handwritten digits.", 0.25
    ),
    "name_glyph_new_wording": ExamTask(
        "glyphs, new wording",
        "As names for unseen glyphs, asked in words that training never uses.",
        0.5,
    ),
    "name_digit_new_wording": ExamTask(
        "digits, new wording",
        "As names for real digits, asked in words that training never uses.",
        0.5,
    ),
    "name_glyph_famous": ExamTask(
        "glyphs, dax and wug",
        "Unseen glyphs under the best-known made-up words of the literature, all held out.",
        0.5,
    ),
    "name_digit_famous": ExamTask("digits, dax and wug", "Real digits under the same words.", 0.5),
    "rule": ExamTask(
        "counting rules",
        "A number that follows from the count by a rule that only the examples show; new pictures.",
    ),
    "format": ExamTask(
        "answer formats",
        "A colour or shape said in a form that only the examples show; new pictures.",
    ),
    "colour_held_out": ExamTask(
        "colour, unseen kinds", "The colour of a thing of a kind that no training picture shows."
    ),
    "shape_held_out": ExamTask(
        "shape, unseen kinds", "The shape of a thing of a kind that no training picture shows."
    ),
    "count": ExamTask("how many", "How many things there are."),
    "count_colour": ExamTask("how many of a colour", "How many things of a colour there are."),
    "colour": ExamTask("which colour", "The colour of a thing."),
    "shape": ExamTask("which shape", "The shape of a thing."),
    "where": ExamTask("where", "In which of four places a thing is."),
    "at": ExamTask("what is there", "What is in a place."),
    "yes_no": ExamTask("is there", "Whether a kind of thing is there, yes or no."),
    "describe": ExamTask(
        "describe", "Every thing with size, colour, shape and place, word for word."
    ),
    "difference": ExamTask(
        "spot the difference", "What changed between two frames, word for word."
    ),
    "motion": ExamTask(
        "clip: which way", "In which of four directions a thing moves in a clip of four frames."
    ),
    "story": ExamTask("picture story", "Which number comes next after three pictures."),
    "same": ExamTask(
        "same or not", "Whether two unseen glyphs side by side are of one class, yes or no."
    ),
    "name_glyph_short": ExamTask(
        "glyphs, short known words",
        "Unseen glyphs under words of one piece that training uses: binding without spelling.",
        0.5,
    ),
    "name_digit_short": ExamTask(
        "digits, short known words", "Real digits under the same words.", 0.5
    ),
}

SET_BY_EXAMPLES = tuple(
    task for task in EXAM if task.startswith("name_") or task in ("rule", "format")
)
"""Tasks whose answer nobody can know from the picture and the question."""


def write_exam(
    folder: Path | str,
    groups: int = 300,
    *,
    tasks: Collection[str] | None = None,
    seed: int = SEED,
    workers: int = 2,
) -> None:
    """Write the exam.

    Args:
        folder: where; must not exist yet.
        groups: questions of each task.
        tasks: which of :data:`EXAM`; None for all.
        seed: of everything drawn; a task's questions do not depend on which other tasks are asked.
        workers: processes that draw.

    Raises:
        ValueError: an unknown task.
        ModuleNotFoundError: scikit-learn, which brings the digits, is missing.
        FileExistsError: the folder exists.
    """
    if unknown := sorted(set(tasks or ()) - set(EXAM)):
        raise ValueError(f"unknown exam tasks {unknown}: expected some of {', '.join(EXAM)}")
    with StoreWriter(folder) as writer:
        pictures = draw_pictures(EXAM_PICTURES, writer.add_image, seed, workers)
        for index, (task, make) in enumerate(_makers(pictures).items()):
            rng = np.random.default_rng((seed, 4, index))
            for number in range(groups if tasks is None or task in tasks else 0):
                add_group(writer, f"{task}/{number}", task, make(rng), split="test")


def _makers(pictures: Pictures) -> dict[str, Callable[[Rng], list[Turn]]]:
    """How a group of each task is made, in the order of EXAM."""
    kinds = [pictures.kinds[kind] for kind in TRAINED]
    held_out = [pictures.kinds[kind] for kind in HELD_OUT]
    names = Naming(turns=TURNS, held_out_names=True, reword=0.0)
    four, asked_anew = replace(names, ways=4), replace(names, held_out_wording=True)
    famous = replace(names, names=FAMOUS)
    short = replace(names, short=True, held_out_names=False)
    drawn: dict[str, tuple[Sequence[Sequence[str]], Naming]] = {
        "name_glyph": (pictures.glyphs, names),
        "name_digit": (pictures.digits, names),
        "name_kind": (kinds, names),
        "name_kind_held_out": (held_out, names),
        "name_shape": (pictures.by_shape(), names),
        "name_colour": (pictures.by_colour(), names),
        "name_glyph_4_way": (pictures.glyphs, four),
        "name_digit_4_way": (pictures.digits, four),
        "name_glyph_new_wording": (pictures.glyphs, asked_anew),
        "name_digit_new_wording": (pictures.digits, asked_anew),
        "name_glyph_famous": (pictures.glyphs, famous),
        "name_digit_famous": (pictures.digits, famous),
        "name_glyph_short": (pictures.glyphs, short),
        "name_digit_short": (pictures.digits, short),
    }
    makers: dict[str, Callable[[Rng], list[Turn]]] = {
        "rule": partial(count_rule, pictures, TURNS),
        "format": partial(answer_format, pictures, TURNS),
        **{task: partial(naming, classes, how) for task, (classes, how) in drawn.items()},
    }
    return {
        task: partial(
            _with_a_new_picture, makers.get(task, partial(standard, task, pictures, TURNS))
        )
        for task in EXAM
    }


def _with_a_new_picture(make: Callable[[Rng], list[Turn]], rng: Rng) -> list[Turn]:
    """A group whose question shows nothing that an example shows: drawn again where it does."""
    while True:
        *examples, question = make(rng)
        shown = {picture for turn in examples for medium in turn.media for picture in medium}
        if shown.isdisjoint(picture for medium in question.media for picture in medium):
            return [*examples, question]
