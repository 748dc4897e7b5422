"""ScanNet (SN): views along a walk through rooms, with MIMIC-IT's questions on what to do there.

What is expected on disk: the instructions, which only MIMIC-IT has, and the frames of ScanNet,
either as its archive ``scannet_frames_25k`` has them or as its ``SensReader`` writes them out:

    SN_instructions.json
        {"data": {"SN_INS_...": {"instruction": "...", "answer": "...", "rel_ins_ids": [...],
                                 "image_ids": ["SN_IMG_scene0000_00_color_000000", ...]}, ...}}
    scannet_frames_25k/
        scene0000_00/
            color/000000.jpg  000100.jpg ...       # every hundredth frame
            depth/  label/  instance/  pose/ ...   # not used
    scans/
        scene0000_00/
            color/0.jpg  1.jpg ...                 # every frame, numbered without zeros

    otter data import scannet SN_instructions.json --images scannet_frames_25k --out store

The ids of the records are those of the instructions; the frame ``scene0000_00/color/000100.jpg`` is
``SN_IMG_scene0000_00_color_000100``, also where its file is called ``100.jpg``. The frames of a
question are one medium, in the order of the instructions, or with ``--option frames=16`` so many of
them, spread evenly.

Other than in 2023: only frames that are asked about are read; files and folders that are no scenes
do not end the import; suffixes of other lengths than three are no trouble.

Both layouts were checked against public descriptions; the published instructions were not at hand,
the form of their ids is what MIMIC-IT's converter writes.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from otter.build.sources import PictureFile, PictureItem
from otter.build.sources.instructions import Instructions, required_instructions
from otter.build.sources.locating import (
    distinct_pictures,
    first_file,
    media_folders,
    spread,
    with_parts,
)
from otter.data.records import Problem, Record

_ID = re.compile(r"SN_IMG_(scene\d{4}_\d{2})_color_(\d+)", re.ASCII)


@dataclass(frozen=True)
class Options:
    """What ``--option`` and the named flags can set.

    Args:
        images: folders with the scenes in them, or with ``scannet_frames_25k`` or ``scans``.
        instructions: instructions files, where they are not among the paths.
        split: for all records.
        frames: at most so many frames for a question, spread evenly; 0 for all.
    """

    images: tuple[Path, ...] = ()
    instructions: tuple[Path, ...] = ()
    split: str = "train"
    frames: int = 0


class ScanNetSource:
    """The published instructions about scenes of ScanNet."""

    name = "scannet"

    def __init__(self, paths: Sequence[Path], **options: Any) -> None:
        self.options, self.where = Options(**options), ""
        self.files = [*(path for path in paths if path.is_file()), *self.options.instructions]
        required_instructions(self.files, "SN_instructions.json")
        folders = media_folders(self.options.images, paths)
        self.folders = with_parts(folders, ("scannet_frames_25k", "scans"))

    def pictures(self) -> Iterator[PictureItem | Problem]:
        """The frames that the records show."""
        shown = (
            image_id
            for record in self.records({})
            if isinstance(record, Record)
            for medium in record.media
            for image_id in medium
        )
        yield from distinct_pictures(shown, self._item)

    def records(self, frames: Mapping[str, tuple[str, ...]]) -> Iterator[Record | Problem]:
        """A record for each instruction."""
        for path in self.files:
            self.where = str(path)
            example = "SN_IMG_scene0000_00_color_000000"
            told = Instructions(path, _canonical, example, self.name, self.options.split)
            yield from told.records(lambda ids: (spread(ids, self.options.frames),))

    def _item(self, image_id: str) -> PictureItem | None:
        match = _ID.fullmatch(image_id)
        if match is None:
            return None
        scene, frame = match.groups()
        names = [f"{scene}/color/{number}.jpg" for number in (frame, str(int(frame)))]
        return PictureFile(image_id, first_file(self.folders, names))


def _canonical(image_id: str) -> str | None:
    return image_id if _ID.fullmatch(image_id) else None
