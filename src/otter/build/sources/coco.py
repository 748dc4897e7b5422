r"""COCO pictures with the texts of LLaVA-Instruct-150K (LA), from which MIMIC-IT made its LA part.

What is expected on disk: files of LLaVA-Instruct, any of them, and COCO 2017 or 2014:

    llava/
        conversation_58k.json  detail_23k.json  complex_reasoning_77k.json
        llava_instruct_150k.json                  # the three together; not beside them
            [{"id": "000000033471", "image": "000000033471.jpg", "conversations": [
                {"from": "human", "value": "<image>\nWhat colour is the bus?"},
                {"from": "gpt", "value": "It is white and red."}, ...]}, ...]
    coco/
        train2017/000000033471.jpg ...
        train2014/COCO_train2014_000000033471.jpg ...

    otter data import coco llava/detail_23k.json --images coco --out store

A conversation becomes a record for each question, with the earlier ones of the same conversation
as its worked examples (``related``), since later questions refer to them. The task tells the kinds
apart, with the prefixes of MIMIC-IT: ``LACONV`` conversation, ``LADD`` detailed description,
``LACR`` complex reasoning, ``LA`` where the name of the file does not say. The picture
000000033471 is ``LA_IMG_000000033471`` and its third question ``LACONV_INS_000000033471_2``. Only
pictures that a record shows are imported. With ``--option instructions=LADD_instructions.json``
(several, separated by commas) the texts, ids and examples are those of MIMIC-IT.

Other than in 2023: an id that carries the number of a turn, such as 000000033471_2, finds its
picture; COCO 2014 works, whose file names have a prefix.

The layout and the fields are those of LLaVA's and COCO's own documentation.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from otter.build.sources import PictureFile, PictureItem
from otter.build.sources.annotations import Entry, each, entries
from otter.build.sources.instructions import Instructions, each_its_own
from otter.build.sources.locating import (
    annotation_files,
    distinct_pictures,
    media_folders,
    with_parts,
)
from otter.data.records import Problem, Record
from otter.prompt import IMAGE

KINDS = {"conversation": "LACONV", "detail": "LADD", "complex_reasoning": "LACR"}
_SUBSETS = ("train2017", "val2017", "train2014", "val2014", "test2015", "test2017")


@dataclass(frozen=True)
class Options:
    """What ``--option`` and the named flags can set.

    Args:
        images: folders with pictures, or with COCO's folders train2017 and so on in them.
        instructions: MIMIC-IT instructions to use in the place of LLaVA's texts.
        split: for all records; LLaVA-Instruct has only one.
    """

    images: tuple[Path, ...] = ()
    instructions: tuple[Path, ...] = ()
    split: str = "train"


class CocoSource:
    """LLaVA-Instruct conversations about COCO pictures."""

    name = "coco"

    def __init__(self, paths: Sequence[Path], **options: Any) -> None:
        self.options, self.where = Options(**options), ""
        self.files: list[Path] = []
        if not self.options.instructions:
            names = [f"{kind}*.json" for kind in KINDS] + ["llava_instruct*.json"]
            self.files = annotation_files(paths, names, "a JSON file of LLaVA-Instruct")
        self.folders = coco_folders(self.options.images, paths)

    def pictures(self) -> Iterator[PictureItem | Problem]:
        """The COCO pictures that the texts speak about."""
        yield from distinct_pictures(self._image_ids(), self._item)

    def records(self, frames: Mapping[str, tuple[str, ...]]) -> Iterator[Record | Problem]:
        """A record for each question of each conversation."""
        for told in self._instructions():
            self.where = str(told.path)
            yield from told.records(each_its_own)
        counts: dict[tuple[str, str], int] = {}
        for file in self.files:
            self.where = str(file)
            build = partial(self._conversation, kind=kind_of(file), counts=counts)
            yield from each(entries(file), build)

    def _conversation(
        self, entry: Entry, kind: str, counts: dict[tuple[str, str], int]
    ) -> list[Record]:
        number = _number(entry)
        records: list[Record] = []
        pairs = question_answers(entry)
        first = counts.get((kind, number), 0)
        for turn, (question, answer) in enumerate(pairs, first):
            records.append(
                Record(
                    id=f"{kind}_INS_{number}_{turn}",
                    instruction=question,
                    answer=answer,
                    media=((f"LA_IMG_{number}",),),
                    related=tuple(record.id for record in records),
                    task=kind,
                    source=self.name,
                    split=self.options.split,
                )
            )
        counts[kind, number] = first + len(pairs)
        return records

    def _image_ids(self) -> Iterator[str | Problem]:
        for told in self._instructions():
            yield from told.image_ids()
        for file in self.files:
            yield from each(entries(file), lambda entry: [f"LA_IMG_{_number(entry)}"])

    def _instructions(self) -> Iterator[Instructions]:
        for path in self.options.instructions:
            example = "LA_IMG_000000033471"
            yield Instructions(path, _canonical, example, self.name, self.options.split)

    def _item(self, image_id: str) -> PictureItem:
        return PictureFile(image_id, coco_picture(self.folders, image_id.removeprefix("LA_IMG_")))


def coco_folders(images: Sequence[Path], paths: Sequence[Path]) -> list[Path]:
    """Where to look for COCO pictures: the folders given, and COCO's own in them."""
    return with_parts(media_folders(images, paths), _SUBSETS)


def coco_picture(folders: Sequence[Path], number: str, subset: str = "") -> Path:
    """The file of a COCO picture, in the layout of 2017 or of 2014.

    Args:
        folders: what :func:`coco_folders` gives.
        number: twelve digits.
        subset: such as "train2014", which is looked in first; any where it is empty.
    """
    ordered = sorted(folders, key=lambda folder: folder.name != subset) if subset else folders
    expected: list[Path] = []
    for folder in ordered:
        parts = (folder.name,) if folder.name in _SUBSETS else _SUBSETS
        # Until 2015 the file names repeated the subset; in 2017 they no longer did.
        names = [f"COCO_{part}_{number}.jpg" for part in parts if not part.endswith("2017")]
        names = [f"{number}.jpg", *names] if len(names) != 1 else [*names, f"{number}.jpg"]
        for name in names:
            if (folder / name).is_file():
                return folder / name
        expected.append(folder / names[0])
    return expected[0]


def kind_of(file: Path) -> str:
    """The kind of texts in a file of LLaVA-Instruct, by its name: "LADD" for detail_23k.json."""
    for beginning, kind in KINDS.items():
        if file.name.startswith(beginning):
            return kind
    return "LA"


def question_answers(entry: Entry) -> list[tuple[str, str]]:
    """The questions and answers of ``conversations``, which take turns, without picture markers.

    Raises:
        DataError: the turns are not human, gpt, human, gpt, ..., or one of them is blank.
    """
    turns = list(entry.children("conversations"))
    texts: list[str] = []
    for index, turn in enumerate(turns):
        speaker = ("human", "gpt")[index % 2]
        if turn.value.get("from") != speaker:
            turn.wrong("from", f"{speaker!r}: the turns are human, gpt, human, gpt and so on")
        text = turn.text("value").replace(IMAGE, "").strip()
        if not text:
            turn.wrong("value", "words, not only the marker of a picture")
        texts.append(text)
    if len(texts) % 2:
        entry.wrong("conversations", "an answer after the last question", f"{len(texts)} turns")
    return list(zip(texts[::2], texts[1::2], strict=True))


def _number(entry: Entry) -> str:
    field = "image" if "image" in entry.value else "id"
    match = re.search(r"(?<!\d)\d{12}(?!\d)", entry.text(field))
    if match is None:
        step = "Import other LLaVA data with the format llava."
        entry.wrong(field, "a COCO picture such as 000000033471.jpg", next_step=step)
    return match[0]


def _canonical(image_id: str) -> str | None:
    match = re.fullmatch(r"LA_IMG_(?:.*\D)?(\d{12})(?:_\d+)?", image_id, re.ASCII)
    return f"LA_IMG_{match[1]}" if match else None
