"""TV captions (TVC): frames of six TV shows, and what happens in moments of them.

What is expected on disk: TVC's annotations, and the frames of TVQA, three for each second:

    tvc_train_release.jsonl  tvc_val_release.jsonl            # test has no descriptions
        {"vid_name": "castle_s07e09_seg02_clip_02", "duration": 94.03, "ts": [35.7, 40.9],
         "clip_id": 86602, "descs": [{"desc_id": 62633, "type": "v",
                                      "desc": "Beckett walks into the kitchen."}, ...]}
    frames_hq/
        bbt_frames/s01e01_seg01_clip_00/00001.jpg 00002.jpg ...      # named without the show
        castle_frames/castle_s07e09_seg02_clip_02/00001.jpg ...
        friends_frames/  grey_frames/  house_frames/  met_frames/ ...

    otter data import tv-captions tvc_train_release.jsonl --images frames_hq --out store

Each description becomes a record, ``TVC_INS_62633``, about the frames of its moment, 16 of them at
most, spread evenly (``--option frames=16``); they are one medium. The frame 00009.jpg of a clip is
``TVC_IMG_castle_s07e09_seg02_clip_02_00009``, and ``TVC_IMG_bbt_s01e01_seg01_clip_00_00009`` where
the folder does not name the show. Descriptions of type "t", which tell what is said and not what is
seen, are left out unless ``--option types=v,vt,t`` asks for them. The question is one of five,
chosen by a hash of the id. The split is that of the file. With
``--option instructions=TVC_instructions.json`` the texts are those of MIMIC-IT, and the frames the
ones that it names.

Other than in 2023: 16 frames are 16 (the original's step gave up to 31), spread over the moment
instead of the clip; and the published instructions find their frames, though their ids name the
clip twice (``TVC_IMG_castle_s07e09_seg02_clip_02_castle_s07e09_seg02_clip_02_00009``) or the show
in the wrong place (``TVC_IMG_s04e13_seg01_clip_00_bbt_s04e13_seg01_clip_00_00009``).

The fields are those of TVC's documentation, the names of the shows and folders those of TVQA's; the
twofold ids are known from a report of a user, the published file was not at hand.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from otter.build.sources import BrokenPicture, PictureFile, PictureItem
from otter.build.sources.annotations import Entry, as_sentence, choose_wording, each, lines
from otter.build.sources.instructions import Instructions
from otter.build.sources.locating import (
    annotation_files,
    distinct_pictures,
    first_file,
    media_folders,
    pictures_in,
    split_of,
    spread,
    with_parts,
)
from otter.data.records import DataError, Problem, Record

WORDINGS = (
    "What happens in this scene?",
    "Describe what the people in this scene do.",
    "Say in a sentence what this clip of a TV show shows.",
    "What is going on in these frames?",
    "Describe this moment of the show.",
)
SHOWS = ("castle", "friends", "grey", "house", "met")
UNNAMED_SHOW = "bbt"
FRAMES_A_SECOND = 3
_CLIP = re.compile(r"(?:([a-z]+)_)?(s\d+e\d+_seg\d+_clip_\d+)", re.ASCII)
_ID = re.compile(r"TVC_IMG_(.+)_(\d+)", re.ASCII)


@dataclass(frozen=True)
class Options:
    """What ``--option`` and the named flags can set.

    Args:
        images: folders with the folders of the shows in them, or with frames_hq.
        instructions: MIMIC-IT instructions to use in the place of the descriptions.
        split: for all records; otherwise the names of the files say it.
        frames: at most so many frames for a record, spread evenly; 0 for all.
        types: of descriptions: v of what is seen, t of what is said, vt of both.
    """

    images: tuple[Path, ...] = ()
    instructions: tuple[Path, ...] = ()
    split: str = ""
    frames: int = 16
    types: tuple[str, ...] = ("v", "vt")


class TvCaptionsSource:
    """Descriptions of moments of TV shows, with the frames of TVQA."""

    name = "tv-captions"

    def __init__(self, paths: Sequence[Path], **options: Any) -> None:
        self.options, self.where = Options(**options), ""
        unknown = sorted({*self.options.types} - {"v", "vt", "t"})
        if unknown:
            value, step = repr(unknown[0]), "Separate several by commas, such as types=v,vt."
            raise DataError([Problem(f"format {self.name}", "types", value, "v, vt or t", step)])
        self.files: list[Path] = []
        if not self.options.instructions:
            names = ("tvc_train_release.jsonl", "tvc_val_release.jsonl")
            what = "a file such as tvc_train_release.jsonl"
            self.files = annotation_files(paths, names, what)
        folders = media_folders(self.options.images, paths)
        self.folders = with_parts(folders, ("frames_hq",))

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
        """A record for each description."""
        split = self.options.split or "train"
        for path in self.options.instructions:
            self.where = str(path)
            example = "TVC_IMG_castle_s07e09_seg02_clip_02_00009"
            told = Instructions(path, _canonical, example, self.name, split)
            yield from told.records(lambda ids: (spread(ids, self.options.frames),))
        for file in self.files:
            self.where = str(file)
            split = self.options.split or split_of(file)
            yield from each(lines(file), partial(self._moment, split=split))

    def _moment(self, entry: Entry, split: str) -> list[Record]:
        """The records of one moment, which is described several times."""
        clip = _clip(entry.text("vid_name"))
        if clip is None:
            entry.wrong("vid_name", "a clip such as castle_s07e09_seg02_clip_02")
        span = entry.span("ts")
        told: list[tuple[str, str]] = []
        for described in entry.children("descs"):
            kind = described.text("type") if "type" in described.value else "v"
            if kind in self.options.types:
                text = as_sentence(described.text("desc"))
                told.append((f"TVC_INS_{described.whole('desc_id')}", text))
        medium = self._shown(clip, span) if told else ()
        return [
            Record(
                id=record_id,
                instruction=choose_wording(WORDINGS, record_id),
                answer=answer,
                media=(medium,),
                task="TVC",
                source=self.name,
                split=split,
            )
            for record_id, answer in told
        ]

    def _shown(self, clip: str, span: tuple[float, float]) -> tuple[str, ...]:
        """The ids of the frames between two times; the clip itself where it has no frames.

        Frames are named by their numbers, which count from 1, three for each second.
        """
        for folder in self.folders:
            for part in _folders(clip):
                files = [path for path in pictures_in(folder / part) if path.stem.isdecimal()]
                if files:
                    shown = frames_in_moment([int(path.stem) for path in files], span)
                    names = [f"TVC_IMG_{clip}_{files[place].stem}" for place in shown]
                    return spread(names, self.options.frames)
        return (f"TVC_IMG_{clip}",)

    def _item(self, image_id: str) -> PictureItem:
        match = _ID.fullmatch(image_id)
        if match is None or _clip(match[1]) is None:
            clip = image_id.removeprefix("TVC_IMG_")
            where = str(self.folders[0] / _folders(clip)[0])
            return BrokenPicture(image_id, where, "no such folder, or no frames in it")
        names = [f"{part}/{match[2]}.jpg" for part in _folders(match[1])]
        return PictureFile(image_id, first_file(self.folders, names))


def frames_in_moment(numbers: Sequence[int], span: tuple[float, float]) -> list[int]:
    """Which of the frames lie between two times in seconds; the nearest one where none does.

    Args:
        numbers: of the frames, from 1, ascending.
        span: such as (0.3, 1.1), between which lie the frames 2, 3 and 4.
    """
    start, end = span
    times = [(number - 1) / FRAMES_A_SECOND for number in numbers]
    found = [place for place, time in enumerate(times) if start <= time <= end]
    middle = (start + end) / 2
    return found or [min(range(len(times)), key=lambda place: abs(times[place] - middle))]


def _clip(name: str) -> str | None:
    """A clip with its show, ``bbt_s01e01_seg01_clip_00``; None for what is not the name of one."""
    match = _CLIP.fullmatch(name)
    if match is None:
        return None
    return f"{match[1] or UNNAMED_SHOW}_{match[2]}"


def _folders(clip: str) -> list[str]:
    """Where a clip with its show may lie, the likeliest place first."""
    show, _, rest = clip.partition("_")
    names = [clip, rest] if show in SHOWS else [rest, clip]
    return [f"{show}_frames/{name}" for name in names]


def _canonical(image_id: str) -> str | None:
    """``TVC_IMG_`` with the show, the clip and the frame, each once."""
    match = _ID.fullmatch(image_id)
    if match is None:
        return None
    clips = _CLIP.findall(match[1])
    whole = re.fullmatch(rf"(?:{_CLIP.pattern}_?){{1,2}}", match[1], re.ASCII)
    if not clips or not whole or len({name for _, name in clips}) != 1:
        return None
    show = next((show for show, _ in reversed(clips) if show), UNNAMED_SHOW)
    return f"TVC_IMG_{show}_{clips[0][1]}_{match[2]}"
