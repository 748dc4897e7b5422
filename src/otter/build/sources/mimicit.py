"""MIMIC-IT, as it was published in 2023: instructions, pictures, examples, and mixtures of them.

What is expected on disk:

    LA_instructions.json   {"meta": {...}, "data": {"LA_INS_1": {"instruction": "What is it?",
                           "answer": "A dog.", "image_ids": ["LA_IMG_7"],
                           "rel_ins_ids": ["LA_INS_5", "LA_INS_9"]}, ...}}
    LA.json                {"LA_IMG_7": "<base64>", ...}, or LA.parquet with a column base64 and the
                           ids as its index, or a folder of either or of files LA_IMG_7.png
    LA_train.json          {"LA_INS_1": ["LA_INS_5"], ...}, optional

    otter data import mimicit LA_instructions.json --images LA.json --out store
    otter data import mimicit mixture.yaml --out store

Several instructions files may be named, and several files of pictures. The examples of a record are
its ``rel_ins_ids``; with ``--train LA_train.json`` those that this file lists for it. In 2023 only
the records that it lists were questions; here the others are training records without examples.

All ``image_ids`` of a record are the frames of one medium, as in 2023: one marker for the two
pictures of SD or CGD, or the frames of a clip; ``media=pictures`` makes each its own medium. The
records of a group TEXT_ONLY have no media. The task is what the id begins with (``LA``, ``LACR``,
``SD``, ``E4D``); in a mixture the name of the dataset. A record that names itself as its example
does not get itself.

A mixture puts all its datasets into one store and writes ``mixture.json`` into it: for every
dataset the group, the records, ``weight`` for ``Mixture(..., weights="repeats")``, and ``ids``,
where ``num_samples`` is less than the records: those that 2023 drew, in its order. Files are read
in pieces: never are all pictures, or all records, in memory.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from otter.build.sources import PictureItem
from otter.build.sources.json_stream import members, short
from otter.build.sources.mimicit_images import count_in, pictures_in
from otter.build.sources.mimicit_mixture import Part, chosen_in_2023, read_mixture
from otter.data.records import DataError, Problem, Record

MIXTURES = (".yaml", ".yml")
SIDE_FILE = "mixture.json"


@dataclass(frozen=True)
class Options:
    """What can be set.

    Args:
        images: files or folders of pictures.
        train: a file with the examples of each record.
        split: of all records.
        task: of all records, instead of what their ids begin with.
        media: "frames" for one medium of all pictures of a record, "pictures" for one of each.
        prefix: put the name of the dataset before each record's id, where ids collide.
        language: of all records.
    """

    images: tuple[Path, ...] = ()
    train: Path | None = None
    split: str = "train"
    task: str = ""
    media: str = "frames"
    prefix: bool = False
    language: str = "en"


class MimicitSource:
    """MIMIC-IT files as a source."""

    name = "mimicit"

    def __init__(self, paths: Sequence[Path], **options: Any) -> None:
        self.options = Options(**options)
        self.where = ""
        if self.options.media not in ("frames", "pictures"):
            step = "Correct --option media."
            value = repr(self.options.media)
            raise DataError([Problem(self.name, "media", value, "frames or pictures", step)])
        self.parts = [part for path in paths for part in self._parts_of(Path(path))]
        self._sampling: dict[str, dict[str, Any]] = {}

    def _parts_of(self, path: Path) -> list[Part]:
        if path.suffix in MIXTURES:
            return read_mixture(path)
        return [Part(path, self.options.images, self.options.train)]

    def picture_count(self) -> int | None:
        """How many pictures there are, where the files say it."""
        counts = [count_in(file) for file in self._picture_files()]
        return None if None in counts else sum(filter(None, counts))

    def pictures(self) -> Iterator[PictureItem | Problem]:
        """The pictures of every file once, also those that no record names."""
        for file in self._picture_files():
            yield from pictures_in(file)

    def records(self, frames: Mapping[str, tuple[str, ...]]) -> Iterator[Record | Problem]:
        """The records of every file."""
        trains: dict[Path, dict[str, Any]] = {}
        problems: list[Problem] = []
        for part in self.parts:
            if part.train is not None and part.train not in trains:
                trains[part.train] = _read_train(part.train, problems)
        yield from problems
        known: dict[Path, set[str]] = {path: set() for path in trains}
        for part in self.parts:
            train = trains.get(part.train) if part.train is not None else None
            ids: list[str] = []
            for found in members(part.instructions, "data"):
                if isinstance(found, Problem):
                    yield found
                    continue
                self.where, key, value = found
                if key == "meta" and not (isinstance(value, dict) and "answer" in value):
                    continue
                if part.train is not None and train is not None and key in train:
                    known[part.train].add(key)
                if part.num_samples > 0:
                    ids.append(self._id(part, key))
                yield self._record(part, key, value, train)
            self._note_sampling(part, ids, train)
        for path, train in trains.items():
            yield from _unknown_keys(path, train, known[path])

    def _picture_files(self) -> list[Path]:
        files = [file for part in self.parts for file in part.images]
        return list(dict.fromkeys([*self.options.images, *files]))

    def side_files(self) -> dict[str, Any]:
        """What stands beside the records: for a mixture how much of each dataset was asked for."""
        return {SIDE_FILE: self._sampling} if self._sampling else {}

    def _id(self, part: Part, key: str) -> str:
        return f"{part.name or part.instructions.stem}/{key}" if self.options.prefix else key

    def _record(
        self, part: Part, key: str, value: Any, train: Mapping[str, Any] | None
    ) -> Record | Problem:
        if not isinstance(value, dict):
            return self._wrong(key, "", short(value), "an object with instruction and answer")
        related = _names(value.get("rel_ins_ids"))
        if train is not None:
            related = _names(train.get(key))
        images = _names(value.get("image_ids"))
        if related is None or images is None:
            field = "image_ids" if images is None else "rel_ins_ids"
            found = value.get(field) if train is None or images is None else train.get(key)
            return self._wrong(key, field, short(found), "a list of ids")
        media: tuple[tuple[str, ...], ...] = (images,) if images else ()
        if self.options.media == "pictures":
            media = tuple((image,) for image in images)
        if part.group == "TEXT_ONLY":
            media = ()
        return Record(
            self._id(part, key),
            value.get("instruction", ""),
            value.get("answer", ""),
            media=media,
            related=tuple(self._id(part, other) for other in related if other != key),
            task=self.options.task or part.name or _task_of(key, part.instructions),
            source="mimicit",
            split=self.options.split,
            language=self.options.language,
        )

    def _wrong(self, key: str, field: str, value: str, expected: str) -> Problem:
        return Problem(self.where, field, value, expected, "Correct it.", f"record {key!r}")

    def _note_sampling(self, part: Part, ids: list[str], train: Mapping[str, Any] | None) -> None:
        if not part.name:
            return
        row: dict[str, Any] = {"group": part.group, "num_samples": part.num_samples, "weight": 1.0}
        if part.task_description:
            row["task_description"] = list(part.task_description)
        if part.num_samples > 0 and ids:
            # In 2023 the train file's keys, in its order, were what was drawn from.
            drawn_from = ids
            if train is not None:
                present = set(ids)
                drawn_from = [
                    self._id(part, key) for key in train if self._id(part, key) in present
                ]
            row["weight"] = part.num_samples / max(len(drawn_from), 1)
            if part.num_samples < len(drawn_from):
                row["ids"] = chosen_in_2023(drawn_from, part.num_samples)
        self._sampling[part.name] = row


def _read_train(path: Path, problems: list[Problem]) -> dict[str, Any]:
    train: dict[str, Any] = {}
    for found in members(path):
        if isinstance(found, Problem):
            problems.append(found)
            continue
        _, key, value = found
        if key in train:
            step = "Keep one of the two lists."
            problems.append(Problem(str(path), key, "twice", "each id once", step))
        train[key] = value
    return train


def _unknown_keys(path: Path, train: Mapping[str, Any], known: set[str]) -> Iterator[Problem]:
    for key in train:
        if key not in known:
            step = "Name the instructions file that has it, or remove it."
            expected = "the id of a record of the instructions"
            yield Problem(str(path), "", "no such record", expected, step, f"record {key!r}")


def _names(value: Any) -> tuple[Any, ...] | None:
    """A list of ids; an empty one for null, None for anything else. One id may stand alone."""
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else None


def _task_of(key: str, path: Path) -> str:
    """``LACR`` for ``LACR_T2T_INS_1``; for ids without a prefix what the file is called."""
    head, sign, _ = key.partition("_")
    return head if sign else path.stem.removesuffix("_instructions")
