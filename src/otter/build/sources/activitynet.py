"""ActivityNet Captions (DC): videos in which every event has its times and a sentence.

What is expected on disk: the captions, and the videos, or folders of frames, under their names:

    captions/
        train.json  val_1.json  val_2.json
            {"v_QOlSCBRmfWY": {"duration": 82.73,
                               "timestamps": [[0.83, 19.86], [17.37, 60.81]],
                               "sentences": ["A young woman is seen ...", "The girl dances ..."]},
             ...}
    videos/
        v_QOlSCBRmfWY.mp4                          # or .mkv, .webm, also in folders below
        v_QOlSCBRmfWY/000001.jpg 000002.jpg ...    # or frames, at the rate --option fps says

    otter data import activitynet captions --images videos --out store

The frames of a video at one a second are ``DC_IMG_v_QOlSCBRmfWY_0000``, ``..._0001`` and so on, so
that the number is the second. Each event becomes a record, ``DC_INS_v_QOlSCBRmfWY_00``, about the
frames between its times; with ``--option unit=video`` each video becomes one, whose answer is the
sentences in the order of the times. The question is one of five, chosen by a hash of the id.
``val_2.json`` describes the videos of ``val_1.json`` once more; its events are numbered on. The
split is that of the file (train or val). With ``--option instructions=DC_instructions.json`` the
texts are those of MIMIC-IT, whose records show the whole video.

Other than in 2023: a frame is chosen by its time, where the original took every 29th frame of a
video with 29.97 in a second and so was six seconds off after three minutes (frames that the
instructions name beyond the end of the video are left out of the record); videos slower than one
frame a second work; fewer than 101 videos do, too; and so do other suffixes than .mp4.

The fields of the captions are those that public code reads; the names of the videos are those of
MIMIC-IT's published example. Whether all of its ids have this form could not be checked.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from otter.build.sources import ClipFrames, PictureFile, PictureItem
from otter.build.sources.annotations import Entry, as_sentence, choose_wording, each, entries
from otter.build.sources.instructions import ClipIds, FramesOf, Instructions
from otter.build.sources.locating import (
    annotation_files,
    is_file_name,
    media_folders,
    pictures_in,
    split_of,
    spread,
    videos_in,
)
from otter.data.records import DataError, Problem, Record

EVENT_WORDINGS = (
    "What happens in this part of the video?",
    "Describe what is going on here.",
    "Say in a sentence what this clip shows.",
    "What can be seen in these frames?",
    "Describe the event in this clip.",
)
VIDEO_WORDINGS = (
    "What happens in this video, from beginning to end?",
    "Describe the events of this video in their order.",
    "Retell what this video shows.",
    "What goes on in this video? Mention each event.",
    "Give an account of this video.",
)
IDS = ClipIds("DC", 4)


@dataclass(frozen=True)
class Options:
    """What ``--option`` and the named flags can set.

    Args:
        images: folders of videos, or of folders of frames.
        instructions: MIMIC-IT instructions to use in the place of the captions.
        split: for all records; otherwise the names of the files say it.
        unit: "event" for a record for each event, "video" for one for each video.
        fps: frames for each second; of folders of frames, at which rate they were taken.
        frames: at most so many frames for a record, spread evenly; 0 for all.
    """

    images: tuple[Path, ...] = ()
    instructions: tuple[Path, ...] = ()
    split: str = ""
    unit: str = "event"
    fps: float = 1.0
    frames: int = 0


class ActivityNetSource:
    """ActivityNet Captions with the videos that they describe."""

    name = "activitynet"

    def __init__(self, paths: Sequence[Path], **options: Any) -> None:
        self.options, self.where = Options(**options), ""
        check_options(self.name, self.options.unit, ("event", "video"), self.options.fps)
        self.files: list[Path] = []
        if not self.options.instructions:
            names = ("train.json", "val_1.json", "val_2.json")
            self.files = annotation_files(paths, names, "captions such as train.json")
        self.folders = media_folders(self.options.images, paths)
        self.videos = videos_in(self.folders)

    def pictures(self) -> Iterator[PictureItem | Problem]:
        """Each video that is described, or the frames that lie in a folder of its name."""
        seen: set[str] = set()
        for clip_id in self._clip_ids():
            if isinstance(clip_id, Problem) or clip_id in seen:
                continue
            seen.add(clip_id)
            files = self._frame_files(clip_id)
            if not files:
                path = self.videos.find(IDS.video(clip_id))
                name = IDS.frame_name()
                yield ClipFrames(clip_id, path, fps=self.options.fps, name=name)
            for number, path in enumerate(files):
                yield PictureFile(IDS.frame_id(clip_id, number), path)

    def records(self, frames: Mapping[str, tuple[str, ...]]) -> Iterator[Record | Problem]:
        """A record for each event, video or instruction."""
        frames_of = partial(self._frames_of, frames)
        for told in self._instructions():
            self.where = str(told.path)
            yield from told.records(lambda ids: self._thinned(IDS.decoded(ids, frames_of)))
        counts: dict[str, int] = {}
        for file in self.files:
            self.where = str(file)
            split = self.options.split or split_of(file)
            build = partial(self._described, split=split, frames_of=frames_of, counts=counts)
            yield from each(entries(file), build)

    def _described(
        self, entry: Entry, split: str, frames_of: FramesOf, counts: dict[str, int]
    ) -> list[Record]:
        """The records of one video."""
        clip_id = _clip_id(entry)
        events = _events(entry)
        ids = frames_of(clip_id)
        if self.options.unit == "video":
            told = " ".join(sentence for _, sentence in sorted(events))
            parts = [(ids or (clip_id,), told)]
        else:
            parts = [
                (self._between(ids, span) if ids else (clip_id,), sentence)
                for span, sentence in events
            ]
        wordings = VIDEO_WORDINGS if self.options.unit == "video" else EVENT_WORDINGS
        first = counts.get(clip_id, 0)
        counts[clip_id] = first + len(parts)
        records = []
        for number, (medium, answer) in enumerate(parts, first):
            record_id = f"DC_INS_{IDS.video(clip_id)}_{number:02d}"
            records.append(
                Record(
                    id=record_id,
                    instruction=choose_wording(wordings, record_id),
                    answer=answer,
                    media=(spread(medium, self.options.frames),),
                    task="DC",
                    source=self.name,
                    split=split,
                )
            )
        return records

    def _between(self, ids: tuple[str, ...], span: tuple[float, float]) -> tuple[str, ...]:
        return frames_between(ids, span, self.options.fps)

    def _thinned(self, media: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
        return tuple(spread(medium, self.options.frames) for medium in media)

    def _frames_of(
        self, frames: Mapping[str, tuple[str, ...]], clip_id: str
    ) -> tuple[str, ...] | None:
        """The frames of a clip, decoded or out of a folder; None where there are none."""
        if clip_id in frames:
            return frames[clip_id]
        count = len(self._frame_files(clip_id))
        return tuple(IDS.frame_id(clip_id, number) for number in range(count)) or None

    def _frame_files(self, clip_id: str) -> list[Path]:
        video = IDS.video(clip_id)
        if video in self.videos:
            return []
        for folder in self.folders:
            files = pictures_in(folder / video)
            if files:
                return files
        return []

    def _clip_ids(self) -> Iterator[str | Problem]:
        for told in self._instructions():
            for image_id in told.image_ids():
                parts = None if isinstance(image_id, Problem) else IDS.split(image_id)
                if parts:
                    yield parts[0]
        for file in self.files:
            yield from each(entries(file), lambda entry: [_clip_id(entry)])

    def _instructions(self) -> Iterator[Instructions]:
        split = self.options.split or "train"
        for path in self.options.instructions:
            yield Instructions(path, IDS.canonical, "DC_IMG_v_QOlSCBRmfWY_0000", self.name, split)


def check_options(name: str, unit: str, units: Sequence[str], fps: float) -> None:
    """Refuses a unit that there is not, and a rate that gives no frames.

    Raises:
        DataError: one of them is wrong.
    """
    problems = []
    if unit not in units:
        expected = " or ".join(map(repr, units))
        problems.append(Problem(f"format {name}", "unit", repr(unit), expected, "Choose one."))
    if not 0 < fps <= 1000:
        expected = "a number of frames for each second, above 0"
        problems.append(Problem(f"format {name}", "fps", repr(fps), expected, "Try fps=1."))
    if problems:
        raise DataError(problems)


def frames_between(
    ids: Sequence[str], span: tuple[float, float], fps: float = 1.0
) -> tuple[str, ...]:
    """The frames of a clip between two times in seconds, at least one.

    With ``fps=1``, the span 0.83 to 2.2 gives the frames 1 and 2; 0.2 to 0.7 gives frame 0, and
    times behind the end of the video give its last frame.
    """
    start, end = span
    first = -int(-start * fps // 1)  # rounded up
    last = int(end * fps // 1)
    found = tuple(ids[first : last + 1])
    return found or (ids[min(last, len(ids) - 1)],)


def _clip_id(entry: Entry) -> str:
    if not is_file_name(entry.name):
        entry.wrong("", "the name of a video", entry.name)
    return IDS.clip_id(entry.name)


def _events(entry: Entry) -> list[tuple[tuple[float, float], str]]:
    """Times and sentence of each event."""
    times, sentences = entry.items("timestamps"), entry.items("sentences")
    if len(times) != len(sentences):
        expected = f"as many sentences as timestamps, which are {len(times)}"
        entry.wrong("sentences", expected, f"{len(sentences)} sentences")
    events = []
    for index, (span, sentence) in enumerate(zip(times, sentences, strict=True)):
        if not isinstance(sentence, str) or not sentence.strip():
            entry.wrong(f"sentences[{index}]", "text that is not blank", sentence)
        named = Entry(entry.where, entry.name, {f"timestamps[{index}]": span})
        events.append((named.span(f"timestamps[{index}]"), as_sentence(sentence)))
    return events
