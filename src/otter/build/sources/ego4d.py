"""Ego4D (E4D): videos through the eyes of the one who wears the camera, and what that person does.

What is expected on disk: a file of narrations in either of its forms, and the videos:

    v2/annotations/narration.json
        {"77cc4654-...": {"narration_pass_1": {
            "narrations": [{"timestamp_sec": 3.3, "narration_text": "#C C picks a cup", ...}, ...],
            "summaries": [{"start_sec": 0.0, "end_sec": 300.0,
                           "summary_text": "#summary C washed the dishes", ...}, ...]},
            "narration_pass_2": {...}}, ...}
    v2/annotations/all_narrations_redacted.json
        {"videos": {"77cc4654-...": {
            "narrations": [{"time": 3.3, "text": "#C C picks a cup", ...}, ...],
            "summaries": [{"start_time": 0.0, "end_time": 300.0, "text": "#summary ..."}, ...]}}}
    v2/full_scale/
        77cc4654-....mp4 ...

    otter data import ego4d v2/annotations/narration.json --images v2/full_scale --out store

The frames of a video at one a second are ``E4D_IMG_77cc4654-..._00000000``, ``..._00000001`` and so
on. Each summary becomes a record, ``E4D_INS_77cc4654-..._000000``, about the part of the video that
it tells of; with ``--option unit=narration`` each narration does, about the ``window`` of 8 seconds
around its time. A record shows 16 frames at most, spread evenly (``--option frames=16``). In the
texts, marks such as #C are taken out and C becomes "the camera wearer"; narrations in which the
annotator was not sure of a word (#unsure) are left out. The question is one of five, chosen by a
hash of the id. Ego4D's splits belong to its benchmarks; ``--split`` names that of all records. With
``--option instructions=E4D_instructions.json`` the texts are those of MIMIC-IT.

Other than in 2023: a frame is chosen by its time, so its number is the second, also in videos of
29.97 frames a second; slow videos work; files that are no videos are passed over; only videos with
annotations are decoded.

The fields were checked against public code that reads both forms. MIMIC-IT published instructions
for a part of Ego4D; whether their ids have the form above could not be checked.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from otter.build.sources import ClipFrames, PictureItem
from otter.build.sources.activitynet import check_options, frames_between
from otter.build.sources.annotations import Entry, as_sentence, choose_wording, each, entries
from otter.build.sources.instructions import ClipIds, Instructions
from otter.build.sources.locating import (
    annotation_files,
    distinct_pictures,
    is_file_name,
    media_folders,
    spread,
    videos_in,
)
from otter.data.records import Problem, Record

SUMMARY_WORDINGS = (
    "What does the camera wearer do in this part of the video?",
    "Summarise what happens here, as seen by the one who wears the camera.",
    "What is the wearer of the camera busy with?",
    "Sum up these frames, which were taken by a camera on somebody's head.",
    "What goes on around the person with the camera?",
)
NARRATION_WORDINGS = (
    "What happens at this moment?",
    "Which action can be seen here?",
    "Describe the action in these frames.",
    "What is being done here, as seen through the camera on somebody's head?",
    "Say in a sentence what happens here.",
)
IDS = ClipIds("E4D", 8)
_PASSES = ("narration_pass_1", "narration_pass_2")
_UNSURE = re.compile(r"#unsure", re.IGNORECASE)
_TAG = re.compile(r"#\w+\s*")
_WEARER = re.compile(r"(?<![\w'])(?<!vitamin )C(?!\w)")


@dataclass(frozen=True)
class Options:
    """What ``--option`` and the named flags can set.

    Args:
        images: folders with the videos in them or below.
        instructions: MIMIC-IT instructions to use in the place of the narrations.
        split: for all records.
        unit: "summary" for a record for each summary, "narration" for one for each narration.
        window: how many seconds of the video a narration is shown with.
        fps: frames for each second.
        frames: at most so many frames for a record, spread evenly; 0 for all.
    """

    images: tuple[Path, ...] = ()
    instructions: tuple[Path, ...] = ()
    split: str = "train"
    unit: str = "summary"
    window: float = 8.0
    fps: float = 1.0
    frames: int = 16


@dataclass(frozen=True, slots=True)
class _Told:
    """What somebody said of a stretch of video, in seconds."""

    span: tuple[float, float]
    text: str


class Ego4dSource:
    """Ego4D's narrations with the videos that they tell of."""

    name = "ego4d"

    def __init__(self, paths: Sequence[Path], **options: Any) -> None:
        self.options, self.where = Options(**options), ""
        check_options(self.name, self.options.unit, ("summary", "narration"), self.options.fps)
        self.files: list[Path] = []
        if not self.options.instructions:
            # Both forms tell of the same videos: of a folder with both, one is taken.
            names = ("all_narrations_redacted.json", "narration.json")
            found = annotation_files(paths, names, "narrations such as narration.json")
            named = [path for path in found if path in paths]
            self.files = named or found[:1]
        self.videos = videos_in(media_folders(self.options.images, paths))

    def pictures(self) -> Iterator[PictureItem | Problem]:
        """Each video that is told of."""
        yield from distinct_pictures(self._clip_ids(), self._item)

    def records(self, frames: Mapping[str, tuple[str, ...]]) -> Iterator[Record | Problem]:
        """A record for each summary, narration or instruction."""
        for path in self.options.instructions:
            self.where = str(path)
            yield from self._instructions(path).records(
                lambda ids: tuple(
                    spread(medium, self.options.frames) for medium in IDS.decoded(ids, frames.get)
                )
            )
        for file in self.files:
            self.where = str(file)
            build = partial(self._video, frames=frames)
            yield from each(entries(file, "videos", inline=True), build)

    def _video(
        self, entry: Entry, frames: Mapping[str, tuple[str, ...]]
    ) -> Iterator[Record | Problem]:
        """The records of one video."""
        clip_id = _clip_id(entry)
        ids = frames.get(clip_id)
        is_summary = self.options.unit == "summary"
        wordings = SUMMARY_WORDINGS if is_summary else NARRATION_WORDINGS
        told = each(_annotations(entry, is_summary), partial(_told, self.options.window))
        number = -1
        for one in told:
            number += 1
            if isinstance(one, Problem):
                yield one
                continue
            text = plain_narration(one.text)
            if text is None:
                continue
            shown = frames_between(ids, one.span, self.options.fps) if ids else (clip_id,)
            record_id = f"E4D_INS_{entry.name}_{number:06d}"
            yield Record(
                id=record_id,
                instruction=choose_wording(wordings, record_id),
                answer=text,
                media=(spread(shown, self.options.frames),),
                task="E4D",
                source=self.name,
                split=self.options.split,
            )

    def _clip_ids(self) -> Iterator[str | Problem]:
        for path in self.options.instructions:
            for image_id in self._instructions(path).image_ids():
                parts = None if isinstance(image_id, Problem) else IDS.split(image_id)
                if parts:
                    yield parts[0]
        if self.files:
            # A video that nothing is told of need not be decoded.
            for record in self.records({}):
                if isinstance(record, Record):
                    yield record.media[0][0]

    def _instructions(self, path: Path) -> Instructions:
        example = "E4D_IMG_77cc4654-4eec-44c6-af05-dbdf71f9a401_00000012"
        return Instructions(path, IDS.canonical, example, self.name, self.options.split)

    def _item(self, clip_id: str) -> PictureItem:
        path = self.videos.find(IDS.video(clip_id))
        return ClipFrames(clip_id, path, fps=self.options.fps, name=IDS.frame_name())


def plain_narration(text: str) -> str | None:
    """A narration in plain words; None where its writer was not sure, or nothing is left.

    ``"#C C picks a cup"`` becomes ``"The camera wearer picks a cup."``
    """
    if _UNSURE.search(text):
        return None
    words = _WEARER.sub("the camera wearer", _TAG.sub("", text))
    return as_sentence(words) or None


def _clip_id(entry: Entry) -> str:
    if not is_file_name(entry.name):
        entry.wrong("", "the uid of a video", entry.name)
    return IDS.clip_id(entry.name)


def _annotations(entry: Entry, is_summary: bool) -> Iterator[Entry | Problem]:
    """The summaries or the narrations of a video, from each pass of annotation."""
    key = "summaries" if is_summary else "narrations"
    holders = [(f"{name}.", entry.value[name]) for name in _PASSES if name in entry.value]
    for place, holder in holders or [("", entry.value)]:
        named = Entry(entry.where, entry.name, holder if isinstance(holder, dict) else {}, place)
        if named.value.get(key):  # a pass without summaries is common
            yield from each([named], lambda one: one.children(key))


def _told(window: float, entry: Entry) -> list[_Told]:
    """An annotation in either form."""
    if "summary_text" in entry.value or "start_time" in entry.value:
        old = "summary_text" in entry.value
        start, end = ("start_sec", "end_sec") if old else ("start_time", "end_time")
        span = sorted((max(entry.number(start), 0.0), max(entry.number(end), 0.0)))
        return [_Told((span[0], span[1]), entry.text("summary_text" if old else "text"))]
    old = "narration_text" in entry.value
    time = max(entry.number("timestamp_sec" if old else "time"), 0.0)
    text = entry.text("narration_text" if old else "text")
    return [_Told((max(time - window / 2, 0.0), time + window / 2), text)]
