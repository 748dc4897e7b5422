"""Spot-the-Difference (SD): pairs of views of one car park, and sentences on what changed.

What is expected on disk, as its repository ``spot-the-diff`` and its archive of pictures give it:

    spot-the-diff/
        data/annotations/train.json val.json test.json
            [{"img_id": "8525", "sentences": ["the blue truck is gone", ...]}, ...]
        resized_images/
            8525.png  8525_2.png  8525_diff.jpg ...

    otter data import spot-the-difference spot-the-diff --out store
    otter data import spot-the-difference train.json --images resized_images --out store

Each pair becomes a record with the id ``SD_INS_08525`` and the pictures ``SD_IMG_08525_1`` and
``SD_IMG_08525_2``, in this order, as the two frames of one medium, so that a model which looks at
the last medium only still sees both (``--option separate=true`` makes them two media). The answer
is the sentences, in their order; where the annotator left them blank, that nothing differs. The
question is one of six, chosen by a hash of the id. The split is the name of the file. With
``--option instructions=SD_instructions.json`` the texts are those of MIMIC-IT.

Other than in 2023: ``.jpeg`` and capital suffixes are found, the names of the ``_diff`` pictures
are not taken for pairs, a pair with one picture missing is left out instead of stored by half, and
no slice cuts the data off.

The names of the files and fields were checked against public code that reads this dataset; whether
blank sentences occur in it was only seen in such code.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from otter.build.sources import PictureFile, PictureItem
from otter.build.sources.annotations import Entry, as_sentence, choose_wording, each, entries
from otter.build.sources.instructions import Instructions, each_its_own, one_medium
from otter.build.sources.locating import (
    annotation_files,
    distinct_pictures,
    first_file,
    media_folders,
    split_of,
    with_parts,
)
from otter.data.records import Problem, Record

WORDINGS = (
    "What is different between these two pictures?",
    "Compare the two pictures and say what changed.",
    "What changed from the first picture to the second?",
    "Name the differences between the two pictures.",
    "Look at both pictures. Which things are not the same?",
    "How does the second picture differ from the first?",
)
NO_DIFFERENCE = "There is no difference."
_SUFFIXES = (".png", ".jpg", ".jpeg", ".PNG", ".JPG", ".JPEG")


@dataclass(frozen=True)
class Options:
    """What ``--option`` and the named flags can set.

    Args:
        images: folders of pictures; otherwise looked for beside the annotations.
        instructions: MIMIC-IT instructions to use in the place of the sentences.
        split: for all records; otherwise the names of the files say it.
        separate: the two pictures are two media, not two frames of one.
    """

    images: tuple[Path, ...] = ()
    instructions: tuple[Path, ...] = ()
    split: str = ""
    separate: bool = False


class SpotTheDifferenceSource:
    """Spot-the-Difference as its authors distribute it."""

    name = "spot-the-difference"

    def __init__(self, paths: Sequence[Path], **options: Any) -> None:
        self.options, self.where = Options(**options), ""
        self.files: list[Path] = []
        if not self.options.instructions:
            names = ("train.json", "val.json", "test.json")
            self.files = annotation_files(paths, names, "an annotation file such as train.json")
        folders = media_folders(self.options.images, paths)
        self.folders = with_parts(folders, ("resized_images",))

    def pictures(self) -> Iterator[PictureItem | Problem]:
        """The two pictures of each pair."""
        yield from distinct_pictures(self._image_ids(), self._item)

    def records(self, frames: Mapping[str, tuple[str, ...]]) -> Iterator[Record | Problem]:
        """One record for each pair."""
        media = each_its_own if self.options.separate else one_medium
        for told in self._instructions():
            self.where = str(told.path)
            yield from told.records(media)
        counts: dict[str, int] = {}
        for file in self.files:
            self.where = str(file)
            split = self.options.split or split_of(file)
            yield from each(entries(file), partial(self._records, split=split, counts=counts))

    def _records(self, entry: Entry, split: str, counts: dict[str, int]) -> Iterator[Record]:
        pair = _pair(entry)
        sentences = entry.items("sentences")
        for index, sentence in enumerate(sentences):
            if not isinstance(sentence, str):
                entry.wrong(f"sentences[{index}]", "text", sentence)
        answer = " ".join(filter(None, map(as_sentence, sentences)))
        counts[pair] = counts.get(pair, 0) + 1
        record_id = f"SD_INS_{pair}" + (f"_{counts[pair]}" if counts[pair] > 1 else "")
        media = each_its_own if self.options.separate else one_medium
        yield Record(
            id=record_id,
            instruction=choose_wording(WORDINGS, record_id),
            answer=answer or NO_DIFFERENCE,
            media=media((f"SD_IMG_{pair}_1", f"SD_IMG_{pair}_2")),
            task="SD",
            source=self.name,
            split=split,
        )

    def _image_ids(self) -> Iterator[str | Problem]:
        for told in self._instructions():
            yield from told.image_ids()
        for file in self.files:
            yield from each(
                entries(file), lambda entry: [f"SD_IMG_{_pair(entry)}_{n}" for n in (1, 2)]
            )

    def _instructions(self) -> Iterator[Instructions]:
        split = self.options.split or "train"
        for path in self.options.instructions:
            yield Instructions(path, _canonical, "SD_IMG_08525_1", self.name, split)

    def _item(self, image_id: str) -> PictureItem:
        number, place = image_id.removeprefix("SD_IMG_").rsplit("_", 1)
        stems = dict.fromkeys((number.lstrip("0") or "0", number))
        names = [stem + ("_2" if place == "2" else "") for stem in stems]
        return PictureFile(
            image_id, first_file(self.folders, [name + end for name in names for end in _SUFFIXES])
        )


def _pair(entry: Entry) -> str:
    number = entry.text("img_id")
    if not number.isascii() or not number.isdigit():
        entry.wrong("img_id", "the number of a pair, such as 8525")
    return number.zfill(5)


def _canonical(image_id: str) -> str | None:
    match = re.fullmatch(r"SD_IMG_(\d+)_([12])", image_id, re.ASCII)
    return f"SD_IMG_{match[1].zfill(5)}_{match[2]}" if match else None
