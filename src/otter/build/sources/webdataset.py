"""WebDataset: tar archives of pictures with a caption, or with questions, beside each.

What is expected on disk: archives in which the files of a sample stand together and have a name in
common,

    shards/00000.tar    000000000.jpg   000000000.txt    "Two cats on a sofa."
                        000000001.png   000000001.json   {"question": "What is it?", "answer": "A cat."}

    otter data import webdataset "shards/{00000..00099}.tar" --out store

The text of a ``txt`` file, or the ``caption`` or ``text`` of a ``json`` file, becomes a record
without a question, which a model is asked in no words to describe; ``--option question=...`` asks
all of them the same. A ``json`` file may also have ``question`` and ``answer`` (or other names, with
``--map``), a list of such objects, alone or under ``qa``, or LLaVA ``conversations`` or chat
``messages``. Several pictures of a sample, ``key.0.jpg`` and ``key.1.jpg``, are media in the order
of their names. The record of ``000000000`` in ``00000.tar`` is ``00000/000000000``.
"""  # noqa: E501 - the listing is easier to read with its columns

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from otter.build.sources import PictureBytes, PictureItem
from otter.build.sources.archives import Member, expand, members
from otter.build.sources.columns import ColumnSettings, choose_columns, conversation_of
from otter.build.sources.conversations import (
    ANSWER,
    QUESTION,
    Conversation,
    Conversations,
    ConversationSettings,
    Turn,
)
from otter.build.sources.json_stream import short
from otter.build.sources.media_files import MediaFiles, Named
from otter.data.records import Problem, Record

PICTURES = ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff")
TEXTS = ("txt", "caption", "json")
STEP = "Correct it or leave it out."


@dataclass(frozen=True)
class Options:
    """What can be set.

    Args:
        split: of all records.
        map: which field of a json file is what, as in the format ``table``.
        task: of all records.
        language: of all records.
        question: asked of every picture that has a caption.
    """

    split: str = "train"
    map: dict[str, str] = field(default_factory=dict)
    task: str = "webdataset"
    language: str = "en"
    question: str = ""


class WebDatasetSource:
    """Tar archives of samples as a source."""

    name = "webdataset"

    def __init__(self, paths: Sequence[Path], **options: Any) -> None:
        self.options = Options(**options)
        self.paths = expand([Path(path) for path in paths], (".tar", ".tar.gz", ".tgz"))
        settings = ConversationSettings(
            split=self.options.split, language=self.options.language, number_repeats=False
        )
        self._conversations = Conversations(self._read, MediaFiles([]), settings)

    @property
    def where(self) -> str:
        """Where the last record came from."""
        return self._conversations.where

    def pictures(self) -> Iterator[PictureItem | Problem]:
        """Every picture of every archive."""
        for path in self.paths:
            for member in members(path, lambda suffix: _kind(suffix) in PICTURES):
                # What is wrong with an archive is said with the records.
                if isinstance(member, Member) and _kind(member.suffix) in PICTURES:
                    yield PictureBytes(_picture_id(member), member.data, str(path))

    def records(self, frames: Mapping[str, tuple[str, ...]]) -> Iterator[Record | Problem]:
        """A record for each question or caption."""
        yield from self._conversations.records(frames)

    def _read(self) -> Iterator[Conversation | Problem]:
        for path in self.paths:
            sample: list[Member] = []
            for member in members(path, lambda suffix: _kind(suffix) in TEXTS):
                if isinstance(member, Problem):
                    # The last sample may lack the files that the archive lost.
                    yield member
                    break
                if sample and member.key != sample[0].key:
                    yield from self._sample(sample)
                    sample = []
                sample.append(member)
            else:
                if sample:
                    yield from self._sample(sample)

    def _sample(self, sample: list[Member]) -> Iterator[Conversation | Problem]:
        """The records of the files with one name."""
        key = f"{sample[0].archive.name.partition('.')[0]}/{sample[0].key}"
        where = f"{sample[0].archive}: {sample[0].key}"
        media = [Named(_picture_id(m)) for m in sample if _kind(m.suffix) in PICTURES]
        media.sort(key=lambda named: named.id)
        texts = {_kind(member.suffix): member.data for member in sample}
        if "json" in texts:
            try:
                value = json.loads(texts["json"])
            except (ValueError, RecursionError) as error:
                yield Problem(where, "json", str(error), "JSON", STEP, f"record {key!r}")
                return
            caption = self._caption_of(value, texts)
            if caption is None:
                yield from self._answers(value, key, where, media)
                return
        else:
            words = texts.get("txt", texts.get("caption"))
            if words is None:
                found = ", ".join(member.suffix for member in sample)
                expected = "a txt or json file beside the pictures"
                yield Problem(where, "", found, expected, STEP, f"record {key!r}")
                return
            caption = words.decode("utf-8", "surrogateescape").strip()
        turns = [Turn(QUESTION, self.options.question), Turn(ANSWER, caption)]
        yield Conversation(key, where, turns, media, task=self.options.task)

    def _caption_of(self, value: Any, texts: Mapping[str, bytes]) -> str | None:
        """The caption where the json file says nothing but that; None where it has questions."""
        if not isinstance(value, dict) or self.options.map:
            return None
        if {"answer", "conversations", "messages", "qa"} & value.keys():
            return None
        words = texts.get("txt", texts.get("caption"))
        if words is not None:  # img2dataset writes the caption as text, and facts about it as json
            return words.decode("utf-8", "surrogateescape").strip()
        caption = value.get("caption", value.get("text"))
        return caption if isinstance(caption, str) else None

    def _answers(
        self, value: Any, key: str, where: str, media: list[Named]
    ) -> Iterator[Conversation | Problem]:
        listed = value.get("qa") if isinstance(value, dict) and "qa" in value else value
        entries = listed if isinstance(listed, list) else [listed]
        settings = ColumnSettings(self.options.map, self.options.question, task=self.options.task)
        for number, entry in enumerate(entries):
            name = key if len(entries) == 1 else f"{key}_{number}"
            if not isinstance(entry, dict):
                expected = "an object with question and answer"
                yield Problem(where, "json", short(entry), expected, STEP, f"record {name!r}")
                continue
            columns = choose_columns(settings, entry, where)
            if isinstance(columns, list):
                yield from columns
                continue
            # The pictures stand beside the json file; the files that it names are their origin.
            for role in ("image", "video", "id"):
                columns.pop(role, None)
            found = conversation_of(entry, columns, settings, where)
            if isinstance(found, Conversation):
                found.id, found.media, found.media_field = name, list(media), "json"
            yield found


def _kind(suffix: str) -> str:
    """``jpg`` of ``0.jpg``."""
    return suffix.rpartition(".")[2]


def _picture_id(member: Member) -> str:
    return f"{member.archive.name.partition('.')[0]}/{member.key}.{member.suffix}"
