"""COCO general difference (CGD): MIMIC-IT's questions about what two COCO pictures do not share.

What is expected on disk: the instructions, which only MIMIC-IT has, and the pictures of COCO 2017:

    CGD_instructions.json
        {"data": {"CGD_INS_000000": {"instruction": "...", "answer": "...",
                                     "image_ids": ["CGD_IMG_000000033471",
                                                   "CGD_IMG_000000052846"],
                                     "rel_ins_ids": [...]}, ...}}
    train2017/
        000000033471.jpg  000000052846.jpg ...

    otter data import coco-general-difference CGD_instructions.json --images train2017 --out store

The ids of the records are those of the instructions, the id of a picture is ``CGD_IMG_`` and the
name of its file without the suffix. The pictures of a question are the frames of one medium, in the
order of the instructions, as MIMIC-IT was trained; ``--option separate=true`` makes each a medium
of its own.

Other than in 2023: only the pictures that are asked about are read, not all 118,287 of the folder
at once; files that are no pictures are passed over; pictures that the instructions name and nobody
has are listed as broken.

The form of the ids is what MIMIC-IT's converter writes; the published file was not at hand.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from otter.build.sources import PictureFile, PictureItem
from otter.build.sources.instructions import (
    Instructions,
    each_its_own,
    one_medium,
    required_instructions,
)
from otter.build.sources.locating import (
    PICTURE_SUFFIXES,
    distinct_pictures,
    first_file,
    is_file_name,
    media_folders,
    with_parts,
)
from otter.data.records import Problem, Record


@dataclass(frozen=True)
class Options:
    """What ``--option`` and the named flags can set.

    Args:
        images: folders of pictures, or folders with COCO's train2017 and val2017 in them.
        instructions: instructions files, where they are not among the paths.
        split: for all records.
        separate: each picture is a medium of its own, not a frame.
    """

    images: tuple[Path, ...] = ()
    instructions: tuple[Path, ...] = ()
    split: str = "train"
    separate: bool = False


class CocoGeneralDifferenceSource:
    """The published instructions about pairs of COCO pictures."""

    name = "coco-general-difference"

    def __init__(self, paths: Sequence[Path], **options: Any) -> None:
        self.options, self.where = Options(**options), ""
        self.files = [*(path for path in paths if path.is_file()), *self.options.instructions]
        required_instructions(self.files, "CGD_instructions.json")
        folders = media_folders(self.options.images, paths)
        self.folders = with_parts(folders, ("train2017", "val2017"))

    def pictures(self) -> Iterator[PictureItem | Problem]:
        """The pictures that the instructions name."""
        named = chain.from_iterable(told.image_ids() for told in self._instructions())
        yield from distinct_pictures(named, self._item)

    def records(self, frames: Mapping[str, tuple[str, ...]]) -> Iterator[Record | Problem]:
        """A record for each instruction."""
        media = each_its_own if self.options.separate else one_medium
        for told in self._instructions():
            self.where = str(told.path)
            yield from told.records(media)

    def _instructions(self) -> Iterator[Instructions]:
        for path in self.files:
            example = "CGD_IMG_000000033471"
            yield Instructions(path, _canonical, example, self.name, self.options.split)

    def _item(self, image_id: str) -> PictureItem:
        stem = image_id.removeprefix("CGD_IMG_")
        return PictureFile(image_id, first_file(self.folders, [stem + s for s in PICTURE_SUFFIXES]))


def _canonical(image_id: str) -> str | None:
    stem = image_id.removeprefix("CGD_IMG_")
    return image_id if image_id.startswith("CGD_IMG_") and is_file_name(stem) else None
