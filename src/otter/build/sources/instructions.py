"""The instructions that MIMIC-IT published for a dataset, attached to the pictures of that dataset.

MIMIC-IT gives away ``XX_instructions.json`` without the pictures, which everybody has to get from
where they come from:

    {"meta": {...}, "data": {
        "DC_INS_00001": {"instruction": "Who rides?", "answer": "A police officer.",
                         "image_ids": ["DC_IMG_v_N1c3C_Npr-E_0000", "DC_IMG_v_N1c3C_Npr-E_0001"],
                         "rel_ins_ids": ["DC_INS_00002"]}}}

The importers of those datasets take it as ``--option instructions=FILE``: their own annotations are
then left aside, and the pictures are the ones that the instructions name.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from otter.build.sources.annotations import Entry, each, entries
from otter.build.sources.locating import is_file_name
from otter.data.records import DataError, Problem, Record

Media: TypeAlias = tuple[tuple[str, ...], ...]
FramesOf: TypeAlias = Callable[[str], tuple[str, ...] | None]
"""The frames that decoding a clip gave, by its id; None where it is broken."""


@dataclass(frozen=True, slots=True)
class Instructions:
    """One instructions file.

    Args:
        path: the file.
        canonical: the id of a picture as the importer gives it, for an id as the file has it; None
            where it is not of this dataset.
        example: an id as it should be, for messages.
        source: for the records.
        split: for the records.
    """

    path: Path
    canonical: Callable[[str], str | None]
    example: str
    source: str
    split: str

    def image_ids(self) -> Iterator[str | Problem]:
        """The pictures that the instructions name, with repetitions."""
        return each(entries(self.path, "data"), self._image_ids)

    def records(self, media: Callable[[tuple[str, ...]], Media]) -> Iterator[Record | Problem]:
        """A record for each instruction.

        Args:
            media: the media of a record whose pictures are these.
        """
        return each(entries(self.path, "data"), lambda entry: [self._record(entry, media)])

    def _image_ids(self, entry: Entry) -> list[str]:
        found: list[str] = []
        image_ids = entry.value.get("image_ids") or []
        if not isinstance(image_ids, list):
            entry.wrong("image_ids", "a list of ids")
        for index, image_id in enumerate(image_ids):
            known = self.canonical(image_id) if isinstance(image_id, str) else None
            if known is None:
                step = "Is this the instructions file of this dataset?"
                expected = f"an id such as {self.example}"
                entry.wrong(f"image_ids[{index}]", expected, image_id, step)
            found.append(known)
        return found

    def _record(self, entry: Entry, media: Callable[[tuple[str, ...]], Media]) -> Record:
        related = entry.value.get("rel_ins_ids") or []
        if not isinstance(related, list):
            entry.wrong("rel_ins_ids", "a list of ids")
        for index, other in enumerate(related):
            if not isinstance(other, str):
                entry.wrong(f"rel_ins_ids[{index}]", "the id of an instruction", other)
        image_ids = tuple(self._image_ids(entry))
        return Record(
            id=entry.name,
            instruction=entry.text("instruction"),
            answer=entry.text("answer"),
            media=media(image_ids) if image_ids else (),
            related=tuple(other for other in related if other != entry.name),
            task=entry.name.split("_INS_")[0] if "_INS_" in entry.name else "",
            source=self.source,
            split=self.split,
        )


def one_medium(image_ids: tuple[str, ...]) -> Media:
    """All pictures of an instruction as one medium, which is how MIMIC-IT was trained."""
    return (image_ids,)


def each_its_own(image_ids: tuple[str, ...]) -> Media:
    """Each picture of an instruction as a medium of its own."""
    return tuple((image_id,) for image_id in image_ids)


def required_instructions(given: Sequence[Path], example: str) -> None:
    """Refuses to go on where a dataset has no texts of its own and no instructions are given.

    Raises:
        DataError: there is no instructions file.
    """
    if not given:
        step = f"Get {example} from MIMIC-IT and name it after the format."
        raise DataError(
            [Problem("the command", "SRC", "no JSON file", f"a file such as {example}", step)]
        )


@dataclass(frozen=True, slots=True)
class ClipIds:
    """Ids of frames: ``DC_IMG_v_x_0003`` is frame 3 of the clip ``DC_IMG_v_x``.

    Args:
        code: such as "DC".
        digits: how many the number of a frame has.
    """

    code: str
    digits: int

    def clip_id(self, video: str) -> str:
        """The id of the clip that is a whole video."""
        return f"{self.code}_IMG_{video}"

    def frame_name(self) -> str:
        """The form of the frames' ids, for :class:`otter.build.sources.ClipFrames`."""
        return f"{{id}}_{{n:0{self.digits}d}}"

    def frame_id(self, clip_id: str, number: int) -> str:
        """The id of a frame."""
        return f"{clip_id}_{number:0{self.digits}d}"

    def split(self, image_id: str) -> tuple[str, int] | None:
        """The clip and the number of a frame's id; None for an id of another form."""
        match = re.fullmatch(rf"({self.code}_IMG_.+)_(\d{{{self.digits}}})", image_id, re.ASCII)
        return (match[1], int(match[2])) if match and is_file_name(match[1]) else None

    def canonical(self, image_id: str) -> str | None:
        """The id itself where it has the form of a frame's id."""
        return image_id if self.split(image_id) else None

    def video(self, clip_id: str) -> str:
        """The video that a clip is."""
        return clip_id.removeprefix(f"{self.code}_IMG_")

    def decoded(self, image_ids: Sequence[str], frames_of: FramesOf) -> Media:
        """The listed frames as one clip, without those that lie behind the end of the video.

        A list may name more frames than there are: the original took one of every 29 where a video
        has 29.97 in a second, and counted 31 in half a minute. A clip that could not be decoded is
        named itself, which marks the record as broken.
        """
        kept: list[str] = []
        known: dict[str, tuple[str, ...] | None] = {}
        for image_id in image_ids:
            parts = self.split(image_id)
            if parts is None:
                continue
            clip_id, number = parts
            if clip_id not in known:
                known[clip_id] = frames_of(clip_id)
            there = known[clip_id]
            if not there:
                return ((clip_id,),)
            if number < len(there):
                kept.append(image_id)
            elif not kept:
                kept.append(there[-1])
        return (tuple(dict.fromkeys(kept)),)
