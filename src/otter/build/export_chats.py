r"""Writing conversations: LLaVA JSON, and the chat messages of OpenAI and Hugging Face.

    out/media/IMG_7.png              every picture in use, under its id
    out/train/LA.json (or .jsonl)    the records of a task, one folder for each split

A record is a conversation of one question; records that an importer made of a conversation with
several (``7_0``, ``7_1``, each related to those before) become that conversation again. Other
worked examples, clips as frames and languages have no place in these formats. With ``examples``
the worked examples of a record are the earlier turns of its conversation: to train other models.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from otter.build.export_files import UNNAMED, MediaFolder, TextFiles, file_name, to_json
from otter.build.text_hashes import Hashes, text_hashes
from otter.data import Store, StoredRecord
from otter.prompt import IMAGE

MEDIA = "media"
_MARKERS = (IMAGE, "<video>")


@dataclass(frozen=True)
class Talk:
    """A conversation to write.

    Args:
        id: its id.
        turns: the records whose questions and answers it has, in order.
        records: how many records of the store it stands for.
    """

    id: str
    turns: Sequence[StoredRecord]
    records: int


class ChatExport:
    """What the two formats have in common.

    Args:
        store: what is written.
        folder: an empty one.
        examples: write worked examples as earlier turns.
    """

    name = ""
    start, between, end, suffix = "", "", "", ""

    def __init__(self, store: Store, folder: Path, *, examples: bool = False) -> None:
        self.store, self.folder, self.examples = store, folder, examples
        self.lost: Counter[str] = Counter()
        self.left_out = 0
        self.media = MediaFolder(store, folder / MEDIA, self.lost)
        self._splits: list[str] = []

    @property
    def pictures(self) -> int:
        """How many pictures were written."""
        return self.media.count

    def write(self, on_progress: Callable[[str, int, int], None]) -> None:
        """Writes conversations, and each picture where it is first shown."""
        talks = with_examples(self.store) if self.examples else conversations(self.store)
        with TextFiles(self.folder, self.start, self.between, self.end) as files:
            for talk in talks:
                self._write(talk, files)
                row = talk.turns[-1].row
                if row % 1000 == 999:
                    on_progress("records", row + 1, len(self.store))

    def _write(self, talk: Talk, files: TextFiles) -> None:
        if any(_has_marker(record) for record in talk.turns):
            self.left_out += talk.records
            words = f"records left out: a marker such as {IMAGE} stands in a text"
            self.lost[words] += talk.records
            return
        record = talk.turns[-1]
        if record.split not in self._splits:
            self._splits.append(record.split)
        self._count_losses(talk)
        task = file_name(record.task or UNNAMED).replace("/", "%2F")
        name = f"{file_name(record.split)}/{task}{self.suffix}"
        files.add(name, to_json(self.conversation(talk)))

    def read_again(self, folder: Path) -> str:
        """The command that imports the training part."""
        split = "train" if "train" in self._splits else (self._splits or ["train"])[0]
        files = folder / file_name(split) / f"*{self.suffix}"
        return f"otter data import {self.name} {files} --images {folder / MEDIA} --out STORE"

    def conversation(self, talk: Talk) -> dict[str, Any]:
        """A conversation in the words of the format."""
        raise NotImplementedError

    def _media(self, record: StoredRecord) -> list[tuple[str, bool]]:
        """(path, whether it is a video) of every medium; a clip gives all its frames."""
        rows = [row for medium in record.media for row in medium]
        return [
            (self.media.name(row), False) if row >= 0 else (self.media.video(~row), True)
            for row in rows
        ]

    def _count_losses(self, talk: Talk) -> None:
        record = talk.turns[-1]
        has_clip = any(len(medium) > 1 for turn in talk.turns for medium in turn.media)
        for words, holds in (
            ("languages are not kept", record.language != "en"),
            ("splits are folders, imported one by one", record.split != "train"),
            (f"records without a task get the task {UNNAMED!r}", not record.task),
            ("worked examples are not kept", len(talk.turns) == 1 and record.related),
            ("clips become several pictures", has_clip),
        ):
            if holds:
                self.lost[words] += talk.records


class LlavaExport(ChatExport):
    """LLaVA JSON: a list of conversations with ``image`` and markers in the questions."""

    name = "llava"
    start, between, end, suffix = "[\n", ",\n", "\n]\n", ".json"

    def conversation(self, talk: Talk) -> dict[str, Any]:
        """``{"id": ..., "image": ..., "conversations": [...]}``."""
        value: dict[str, Any] = {"id": talk.id}
        media = [self._media(record) for record in talk.turns]
        for field, wanted in (("image", False), ("video", True)):
            paths = [path for own in media for path, is_video in own if is_video == wanted]
            if paths:
                value[field] = paths[0] if len(paths) == 1 else paths
        if talk.turns[-1].source:
            value["source"] = talk.turns[-1].source
        value["conversations"] = []
        for record, own in zip(talk.turns, media, strict=True):
            kinds = [is_video for _, is_video in own]
            if kinds != sorted(kinds):
                self.lost["pictures come before videos"] += 1
            marks = "".join(f"{_MARKERS[is_video]}\n" for is_video in sorted(kinds))
            if marks and record.instruction != record.instruction.strip():
                self.lost["blanks around a question are not kept"] += 1
            answer: dict[str, Any] = {"from": "gpt", "value": record.answer}
            if record.weight != 1:
                answer["weight"] = record.weight
            question = {"from": "human", "value": f"{marks}{record.instruction}"}
            value["conversations"] += [question, answer]
        return value


class MessagesExport(ChatExport):
    """Chat messages, a conversation on each line, pictures as ``image_url`` parts."""

    name = "messages"
    start, between, end, suffix = "", "\n", "\n", ".jsonl"

    def conversation(self, talk: Talk) -> dict[str, Any]:
        """``{"id": ..., "messages": [...]}``."""
        messages: list[dict[str, Any]] = []
        for record in talk.turns:
            parts: list[dict[str, Any]] = []
            for path, is_video in self._media(record):
                kind = "video_url" if is_video else "image_url"
                parts.append({"type": kind, kind: {"url": path}})
            parts.append({"type": "text", "text": record.instruction})
            content: Any = parts if len(parts) > 1 else record.instruction
            answer: dict[str, Any] = {"role": "assistant", "content": record.answer}
            if record.weight != 1:
                answer["weight"] = record.weight
            messages += [{"role": "user", "content": content}, answer]
        value: dict[str, Any] = {"id": talk.id, "messages": messages}
        if talk.turns[-1].source:
            value["source"] = talk.turns[-1].source
        return value


def with_examples(store: Store) -> Iterator[Talk]:
    """Every record of a store after its worked examples."""
    for record in map(store.record, range(len(store))):
        yield Talk(record.id, [*map(store.record, record.related), record], 1)


def conversations(store: Store) -> Iterator[Talk]:
    """The records of a store; those that follow each other as turns of a conversation together.

    They do where their ids are ``name_0``, ``name_1``, ..., each names all before it as its
    examples, and no record is called ``name``.
    """
    hashes = np.sort(text_hashes(store.column("id")))

    def whole(turns: list[StoredRecord]) -> Iterator[Talk]:
        name = turns[0].id.removesuffix("_0")
        if len(turns) > 1 and not _contains(hashes, name):
            yield Talk(name, turns, len(turns))
        else:
            yield from (Talk(turn.id, [turn], 1) for turn in turns)

    turns: list[StoredRecord] = []
    for record in map(store.record, range(len(store))):
        if turns and not _goes_on(turns, record):
            yield from whole(turns)
            turns = []
        turns.append(record)
    if turns:
        yield from whole(turns)


def _contains(hashes: Hashes, name: str) -> bool:
    (wanted,) = text_hashes(pa.array([name]))
    place = int(np.searchsorted(hashes, wanted))
    return place < len(hashes) and bool(hashes[place] == wanted)


def _goes_on(turns: Sequence[StoredRecord], record: StoredRecord) -> bool:
    first = turns[0]
    return (
        first.id.endswith("_0")
        and not first.related
        and record.id == f"{first.id[:-1]}{len(turns)}"
        and record.related == tuple(turn.row for turn in turns)
        and (record.task, record.source, record.split, record.language)
        == (first.task, first.source, first.split, first.language)
    )


def _has_marker(record: StoredRecord) -> bool:
    texts = (record.instruction, record.answer)
    return any(marker in text for marker, text in itertools.product(_MARKERS, texts))
