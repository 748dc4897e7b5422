"""Visual Storytelling (VST): five pictures of an album, and the story that somebody told of them.

What is expected on disk, as visionandlanguage.net gives it (SIS, stories in sequence, and images):

    sis/
        train.story-in-sequence.json  val.story-in-sequence.json  test.story-in-sequence.json
            {"images": [{"id": "1741642", "url_o": "https://...", ...}, ...], "albums": [...],
             "annotations": [[{"story_id": "30355", "photo_flickr_id": "1741642",
                               "worker_arranged_photo_order": 0, "original_text": "The day ...",
                               "text": "the day ..."}], ...]}
    images/
        train/1741642.jpg ...  val/ ...  test/ ...      # .jpg, .png or .gif, in any folders below

    otter data import visual-storytelling sis --images images --out store

Each story becomes a record, ``VST_INS_30355``: its pictures ``VST_IMG_1741642`` and so on are the
frames of one medium, in the order in which the storyteller put them (``--option separate=true``
makes each a medium of its own), and its answer is the sentences in that order, as they were written
(``--option text=text`` takes the version in small letters with names replaced). The question is one
of five, chosen by a hash of the id. The split is that of the file. With
``--option instructions=VST_instructions.json`` the texts are those of MIMIC-IT.

Other than in 2023: nothing is downloaded; pictures that have gone from Flickr are listed as broken
and the stories that need them left out; the name of a picture is its whole id, and a picture that
occurs in several stories is stored once.

The names of files and fields were checked against public code that reads this dataset.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from otter.build.sources import PictureFile, PictureItem
from otter.build.sources.annotations import Entry, as_sentence, choose_wording, each, entries
from otter.build.sources.instructions import Instructions, each_its_own, one_medium
from otter.build.sources.locating import (
    FilesByStem,
    annotation_files,
    distinct_pictures,
    is_picture,
    media_folders,
    split_of,
)
from otter.data.records import DataError, Problem, Record

WORDINGS = (
    "Tell a story about these pictures, in their order.",
    "What story do these pictures tell?",
    "Write a short story that goes with this album.",
    "These pictures belong together. Tell what happened.",
    "Make up a story with a sentence for each picture.",
)


@dataclass(frozen=True)
class Options:
    """What ``--option`` and the named flags can set.

    Args:
        images: folders with the pictures in them or below.
        instructions: MIMIC-IT instructions to use in the place of the stories.
        split: for all records; otherwise the names of the files say it.
        text: the field to take the sentences from, "original_text" or "text".
        separate: each picture is a medium of its own, not a frame.
    """

    images: tuple[Path, ...] = ()
    instructions: tuple[Path, ...] = ()
    split: str = ""
    text: str = "original_text"
    separate: bool = False


@dataclass(slots=True)
class _Story:
    """The sentences of a story, by the place that the storyteller gave them."""

    parts: dict[int, tuple[str, str]] = field(default_factory=dict)
    is_broken: bool = False


class VisualStorytellingSource:
    """Stories in sequence, with the pictures that they are told about."""

    name = "visual-storytelling"

    def __init__(self, paths: Sequence[Path], **options: Any) -> None:
        self.options, self.where = Options(**options), ""
        if self.options.text not in ("original_text", "text"):
            value, expected = repr(self.options.text), "'original_text' or 'text'"
            raise DataError(
                [Problem(f"format {self.name}", "text", value, expected, "Choose one.")]
            )
        self.files: list[Path] = []
        if not self.options.instructions:
            names = ("*.story-in-sequence.json",)
            what = "a file such as train.story-in-sequence.json"
            self.files = annotation_files(paths, names, what)
        folders = media_folders(self.options.images, paths)
        self.images = FilesByStem(folders, is_picture, ".jpg")

    def pictures(self) -> Iterator[PictureItem | Problem]:
        """The pictures of the stories."""
        yield from distinct_pictures(self._image_ids(), self._item)

    def records(self, frames: Mapping[str, tuple[str, ...]]) -> Iterator[Record | Problem]:
        """A record for each story."""
        media = each_its_own if self.options.separate else one_medium
        for told in self._instructions():
            self.where = str(told.path)
            yield from told.records(media)
        for file in self.files:
            self.where = str(file)
            stories: dict[str, _Story] = {}
            # The sentences of a story need not stand together in the file.
            collect = partial(self._collect, stories=stories)
            yield from each(entries(file, "annotations"), collect)
            split = self.options.split or split_of(file)
            for story_id, story in stories.items():
                if not story.is_broken:
                    yield self._record(story_id, story, split)

    def _collect(self, entry: Entry, stories: dict[str, _Story]) -> list[Problem]:
        """Notes one sentence; nothing is yielded for what is well."""
        story = stories.setdefault(entry.text("story_id"), _Story())
        was_broken, story.is_broken = story.is_broken, True
        place = entry.whole("worker_arranged_photo_order")
        if place in story.parts:
            entry.wrong("worker_arranged_photo_order", "a place that the story has not filled yet")
        chosen = self.options.text if self.options.text in entry.value else "text"
        story.parts[place] = _image_id(entry), entry.text(chosen)
        story.is_broken = was_broken
        return []

    def _record(self, story_id: str, story: _Story, split: str) -> Record:
        parts = [story.parts[place] for place in sorted(story.parts)]
        record_id = f"VST_INS_{story_id}"
        media = each_its_own if self.options.separate else one_medium
        return Record(
            id=record_id,
            instruction=choose_wording(WORDINGS, record_id),
            answer=" ".join(as_sentence(sentence) for _, sentence in parts),
            media=media(tuple(image_id for image_id, _ in parts)),
            task="VST",
            source=self.name,
            split=split,
        )

    def _image_ids(self) -> Iterator[str | Problem]:
        for told in self._instructions():
            yield from told.image_ids()
        for file in self.files:
            yield from each(entries(file, "annotations"), lambda entry: [_image_id(entry)])

    def _instructions(self) -> Iterator[Instructions]:
        split = self.options.split or "train"
        for path in self.options.instructions:
            yield Instructions(path, _canonical, "VST_IMG_1741642", self.name, split)

    def _item(self, image_id: str) -> PictureItem:
        return PictureFile(image_id, self.images.find(image_id.removeprefix("VST_IMG_")))


def _image_id(entry: Entry) -> str:
    number = entry.text("photo_flickr_id")
    if not number.isascii() or not number.isdigit():
        entry.wrong("photo_flickr_id", "the number of a picture on Flickr")
    return f"VST_IMG_{number}"


def _canonical(image_id: str) -> str | None:
    return image_id if re.fullmatch(r"VST_IMG_\d+", image_id, re.ASCII) else None
