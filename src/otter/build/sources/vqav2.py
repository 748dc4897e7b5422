"""VQAv2: questions about COCO 2014 pictures, each answered by ten people.

What is expected on disk, as visualqa.org and cocodataset.org give it:

    vqa/
        v2_OpenEnded_mscoco_train2014_questions.json      # and val2014
            {"questions": [{"image_id": 458752, "question": "Is it windy?",
                            "question_id": 458752000}, ...]}
        v2_mscoco_train2014_annotations.json
            {"annotations": [{"question_id": 458752000, "image_id": 458752,
                              "multiple_choice_answer": "yes",
                              "answers": [{"answer": "yes", ...}, ... ten of them]}, ...]}
    coco/
        train2014/COCO_train2014_000000458752.jpg ...     # or train2017/000000458752.jpg

    otter data import vqav2 vqa --images coco --out store

The question 458752000 becomes the record ``VQAV2_INS_458752000`` about the picture
``VQAV2_IMG_000000458752``; its answer is ``multiple_choice_answer``, the one that most people gave.
A record has one answer. ``--option answers=all`` keeps all ten: a record for each different answer,
the most frequent first (``VQAV2_INS_458752000``, ``..._1``, ``..._2``), whose weight is the share
of the ten who gave it. The split is that of the file (train or val). Questions without published
answers, which are those of test2015, cannot be imported.

MIMIC-IT has no part of this name in its converter; the ids follow its scheme. The layout and the
fields are those of the dataset's own documentation.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from otter.build.sources import PictureFile, PictureItem
from otter.build.sources.annotations import Entry, each, entries
from otter.build.sources.coco import coco_folders, coco_picture
from otter.build.sources.locating import (
    annotation_files,
    distinct_pictures,
    split_of,
)
from otter.data.records import DataError, Problem, Record

_NAME = re.compile(r"mscoco_([a-z0-9-]+)_(questions|annotations)\.json$")


_Answers: TypeAlias = tuple[tuple[str, float], ...]
"""The different answers to a question, each with the share of people who gave it."""


@dataclass(frozen=True)
class Options:
    """What ``--option`` and the named flags can set.

    Args:
        images: folders with pictures, or with COCO's folders train2014 and so on in them.
        split: for all records; otherwise the names of the files say it.
        answers: "majority" for one record with the most frequent answer, "all" for a record with
            each different answer, weighted.
    """

    images: tuple[Path, ...] = ()
    split: str = ""
    answers: str = "majority"


@dataclass(frozen=True, slots=True)
class _Part:
    """The questions and the annotations of one subset, such as "train2014"."""

    subset: str
    questions: Path
    annotations: Path


class Vqav2Source:
    """VQAv2 as its authors distribute it."""

    name = "vqav2"

    def __init__(self, paths: Sequence[Path], **options: Any) -> None:
        self.options, self.where = Options(**options), ""
        if self.options.answers not in ("majority", "all"):
            value = repr(self.options.answers)
            step = "Leave it out for one answer to a question."
            raise DataError(
                [Problem("format vqav2", "answers", value, "'majority' or 'all'", step)]
            )
        names = ("v2_OpenEnded_mscoco_*_questions.json", "v2_mscoco_*_annotations.json")
        self.parts = _parts(annotation_files(paths, names, "questions and annotations"), paths)
        self.folders = coco_folders(self.options.images, paths)

    def pictures(self) -> Iterator[PictureItem | Problem]:
        """The COCO pictures that are asked about."""
        for part in self.parts:
            ids = each(entries(part.questions, "questions"), lambda entry: [_image_id(entry)])
            yield from distinct_pictures(ids, partial(self._item, part.subset))

    def records(self, frames: Mapping[str, tuple[str, ...]]) -> Iterator[Record | Problem]:
        """A record for each question, or for each different answer to it."""
        for part in self.parts:
            self.where = str(part.annotations)
            answers: dict[int, _Answers] = {}
            remember = partial(self._remember, answers=answers)
            yield from each(entries(part.annotations, "annotations"), remember)
            self.where = str(part.questions)
            build = partial(self._records, part=part, answers=answers)
            yield from each(entries(part.questions, "questions"), build)
            yield from _unasked(part, answers)

    def _remember(self, entry: Entry, answers: dict[int, _Answers]) -> list[Problem]:
        """Notes the answers to a question; nothing is yielded for what is well."""
        question = entry.whole("question_id")
        if question in answers:
            entry.wrong("question_id", "a question that has no annotation yet")
        majority = entry.text("multiple_choice_answer")
        if self.options.answers == "majority":
            answers[question] = ((majority, 1.0),)
            return []
        given = [answer.text("answer") for answer in entry.children("answers")]
        # Counter keeps the order of first use among answers that are equally frequent.
        counts = Counter(given).most_common()
        answers[question] = tuple((answer, count / len(given)) for answer, count in counts)
        return []

    def _records(self, entry: Entry, part: _Part, answers: dict[int, _Answers]) -> Iterator[Record]:
        question = entry.whole("question_id")
        told = answers.pop(question, None)
        image_id = _image_id(entry)
        text = entry.text("question")
        if told is None:
            step = f"Is {part.annotations.name} complete?"
            expected = f"a question with an annotation in {part.annotations.name}"
            entry.wrong("question_id", expected, next_step=step)
        for place, (answer, share) in enumerate(told):
            yield Record(
                id=f"VQAV2_INS_{question}" + (f"_{place}" if place else ""),
                instruction=text,
                answer=answer,
                media=((image_id,),),
                task="VQAV2",
                source=self.name,
                split=self.options.split or split_of(part.questions),
                weight=share,
            )

    def _item(self, subset: str, image_id: str) -> PictureItem:
        number = image_id.removeprefix("VQAV2_IMG_")
        return PictureFile(image_id, coco_picture(self.folders, number, subset))


def _image_id(entry: Entry) -> str:
    return f"VQAV2_IMG_{entry.whole('image_id'):012d}"


def _unasked(part: _Part, answers: Mapping[int, _Answers]) -> Iterator[Problem]:
    """A problem for each annotation that no question was found for."""
    for question in answers:
        yield Problem(
            str(part.annotations),
            "question_id",
            str(question),
            f"the id of a question in {part.questions.name}",
            "Are the two files of the same subset and complete?",
            f"question {question}",
        )


def _parts(files: Sequence[Path], paths: Sequence[Path]) -> list[_Part]:
    """Questions and annotations of the same subset, in pairs.

    Raises:
        DataError: a file that was named has no partner, or there is not one pair.
    """
    found: dict[tuple[str, str], Path] = {}
    problems: list[Problem] = []
    for file in files:
        match = _NAME.search(file.name)
        if match:
            found[match[1], match[2]] = file
        else:
            expected = "a name such as v2_mscoco_train2014_annotations.json"
            step = "Keep the names under which the files are distributed."
            problems.append(Problem(str(file), "", file.name, expected, step))
    parts: list[_Part] = []
    for (subset, kind), file in found.items():
        partner = found.get((subset, "annotations" if kind == "questions" else "questions"))
        if kind == "questions" and partner:
            parts.append(_Part(subset, file, partner))
        elif not partner and (file in paths or len(found) == 1):
            missing = "annotations" if kind == "questions" else "questions"
            expected = f"the {missing} of {subset} as well"
            step = "Name both files, or the folder with both in it."
            problems.append(Problem(str(file), "", file.name, expected, step))
    if problems or not parts:
        step = "Name both files, or the folder with both in it."
        nothing = Problem(str(paths[0]), "", "no pair", "questions and their annotations", step)
        raise DataError(problems or [nothing])
    return parts
