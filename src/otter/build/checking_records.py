"""The rules for records, checked a batch of columns at a time.

Every batch is read once for the rules that a record can break by itself. What needs all records
(an id that occurs twice, an example of another split, a copy) is kept as a few numbers for each
record, 30 bytes or so, and looked up in a second pass.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from otter.build import checking_rules as rules
from otter.build.checking_findings import Findings, RecordBatch, list_lengths
from otter.build.checking_rules import Rule
from otter.build.text_hashes import Hashes, joined, list_hashes, repeated, text_hashes
from otter.data.arrow import TEXT_FIELDS
from otter.prompt import SPECIAL_TOKENS

Marks = npt.NDArray[np.bool_]

_PATTERNS: dict[Rule, str] = {
    rules.MARKER: "|".join(token.replace("|", r"\|") for token in SPECIAL_TOKENS),
    rules.CONTROL: "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]",
    rules.LOST: "\ufffd",
    rules.GARBLED: "\u00c3[\u0080-\u00bf]|\u00e2\u20ac",
    rules.NO_WORDS: "[A-Za-z0-9+/=_-]{400}",
}
_ANY_PATTERN = "|".join(_PATTERNS.values())
_BLANK = {"id": rules.BLANK_ID, "split": rules.BLANK_SPLIT, "answer": rules.BLANK_ANSWER}


class RecordChecks:
    """Checks all records of a store: ``first`` with every batch in order, then ``second`` likewise.

    Args:
        records: how many records there are.
        images: how many pictures.
        videos: how many videos; media name them as -1, -2 and so on.
        findings: where broken rules are noted.
    """

    def __init__(self, records: int, images: int, videos: int, findings: Findings) -> None:
        self.records, self.images, self.videos = records, images, videos
        self.groups: dict[tuple[str, str], int] = {}
        self.used = np.zeros(images, dtype=bool)
        self._findings = findings
        self._in_train = np.zeros(images, dtype=bool)
        self._in_held_out = np.zeros(images, dtype=bool)
        # Rows of a damaged part stay as they are here: nothing is said of what cannot be read.
        self._is_train = np.ones(records, dtype=bool)
        self._ids, self._questions, self._wholes = (
            np.zeros(records, dtype=np.uint64) for _ in range(3)
        )

    def first(self, columns: pa.RecordBatch, start: int) -> None:
        """Checks each record of a batch by itself and remembers its numbers."""
        batch = RecordBatch(columns, start, self._findings)
        rows = slice(start, start + len(batch))
        _check_texts(batch)
        weights = batch.column("weight").fill_null(0).to_numpy(zero_copy_only=False)
        batch.note(rules.WEIGHT, ~(np.isfinite(weights) & (weights >= 0)), "weight")
        self._is_train[rows] = _marks(pc.equal(batch.column("split"), "train"))
        question = joined(text_hashes(batch.column("instruction")), self._check_media(batch))
        self._check_related(batch)
        self._ids[rows] = text_hashes(batch.column("id"))
        self._questions[rows] = question
        self._wholes[rows] = joined(question, text_hashes(batch.column("answer")))
        self._count(batch)

    def compare(self) -> None:
        """Finds ids, questions and records that occur more than once; between the two passes."""
        self._id_again = _at(repeated(self._ids), self.records)
        self._copies = _at(repeated(self._wholes), self.records)
        self._crossing = np.zeros(self.records, dtype=bool)
        if not self._is_train.all():
            in_train = np.unique(self._questions[self._is_train])
            self._crossing = ~self._is_train & np.isin(self._questions, in_train)

    def second(self, columns: pa.RecordBatch, start: int) -> None:
        """Notes those records of a batch that only a look at all records shows to be wrong."""
        batch = RecordBatch(columns, start, self._findings)
        rows = slice(start, start + len(batch))
        batch.note(rules.ID_TWICE, self._id_again[rows], "id")
        batch.note(rules.COPY, self._copies[rows], "instruction")
        batch.note(rules.QUESTION_ACROSS, self._crossing[rows], "instruction")
        train = self._is_train[rows]
        related = batch.column("related")
        others = related.flatten().to_numpy(zero_copy_only=False)
        there = (others >= 0) & (others < self.records)
        held_out = there & ~self._is_train[np.where(there, others, 0)]
        owner_is_train = np.repeat(train, list_lengths(related))
        batch.note_items(
            rules.HELD_OUT_EXAMPLE,
            owner_is_train & held_out,
            "related",
            lambda item: f"row {others[item]}",
        )
        leaked = self._in_train & self._in_held_out
        if leaked.any():
            images, owners = _images_of(batch)
            there = (images >= 0) & (images < self.images)
            shown = there & leaked[np.where(there, images, 0)] & ~train[owners]
            counts = np.bincount(owners[shown], minlength=len(batch))
            batch.note(
                rules.IMAGE_ACROSS,
                counts > 0,
                "media",
                lambda row: f"{counts[row]} of its pictures",
            )

    def _check_media(self, batch: RecordBatch) -> Hashes:
        """Checks the media; gives a number for those of each record."""
        media = batch.column("media")
        frames = media.flatten()
        batch.note_items(
            rules.EMPTY_MEDIUM, list_lengths(frames) == 0, "media", lambda item: "no frames"
        )
        no_question = pc.equal(pc.binary_length(batch.column("instruction")), 0)
        batch.note(
            rules.NO_QUESTION, _marks(no_question) & (list_lengths(media) == 0), "instruction"
        )
        images, owners = _images_of(batch)
        known = (images >= -self.videos) & (images < self.images)
        batch.note_items(rules.NO_IMAGE, ~known, "media", lambda item: f"row {images[item]}", 2)
        lengths = list_lengths(frames)
        is_video_frame = (images < 0) & np.repeat(lengths > 1, lengths) & known
        batch.note_items(
            rules.VIDEO_FRAME, is_video_frame, "media", lambda item: f"row {images[item]}", 2
        )
        there = known & (images >= 0)
        train = self._is_train[batch.start : batch.start + len(batch)][owners]
        self.used[images[there]] = True
        self._in_train[images[there & train]] = True
        self._in_held_out[images[there & ~train]] = True
        # The end of a medium counts as well: two pictures are not a clip of two frames.
        ends = np.zeros(len(images), dtype=np.int64)
        ends[np.cumsum(lengths)[lengths > 0] - 1] = 1
        return list_hashes(images.astype(np.int64) * 2 + ends, _bounds(owners, len(batch)))

    def _check_related(self, batch: RecordBatch) -> None:
        related = batch.column("related")
        others = related.flatten().to_numpy(zero_copy_only=False).astype(np.int64)
        owners = np.repeat(np.arange(len(batch)), list_lengths(related))

        def row(item: int) -> str:
            return f"row {others[item]}"

        there = (others >= 0) & (others < self.records)
        batch.note_items(rules.NO_RECORD, ~there, "related", row)
        batch.note_items(rules.OWN_EXAMPLE, others == batch.start + owners, "related", row)
        again = _at(repeated((owners * (self.records + 1) + others).astype(np.uint64)), len(others))
        batch.note_items(rules.EXAMPLE_TWICE, again & there, "related", row)

    def _count(self, batch: RecordBatch) -> None:
        table = pa.table({name: batch.column(name) for name in ("task", "split")})
        groups = table.group_by(["task", "split"]).aggregate([([], "count_all")])
        for task, split, count in zip(
            *(column.to_pylist() for column in groups.columns), strict=True
        ):
            self.groups[task, split] = self.groups.get((task, split), 0) + count


def _check_texts(batch: RecordBatch) -> None:
    for name in (*TEXT_FIELDS, "weight", "media", "related"):
        if batch.column(name).null_count:
            batch.note(rules.ABSENT, _marks(pc.is_null(batch.column(name))), name)
    for name, rule in _BLANK.items():
        batch.note(rule, _marks(pc.equal(pc.utf8_trim_whitespace(batch.column(name)), "")), name)
    for name in ("instruction", "answer"):
        column = batch.column(name)
        _check_length(batch, name)
        if not _marks(pc.match_substring_regex(column, _ANY_PATTERN)).any():
            continue
        for rule, pattern in _PATTERNS.items():
            batch.note(rule, _marks(pc.match_substring_regex(column, pattern)), name)
    same = _marks(pc.equal(batch.column("instruction"), batch.column("answer")))
    batch.note(rules.ECHO, same, "answer")


def _check_length(batch: RecordBatch, name: str) -> None:
    column = batch.column(name)
    too_long = _marks(pc.greater(pc.utf8_length(column), rules.LONG_TEXT))
    batch.note(rules.LONG, too_long, name, lambda row: f"{len(column[row].as_py()):,} characters")


def _images_of(batch: RecordBatch) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """int32[frames], the picture rows of all records, and int64[frames], whose they are."""
    media = batch.column("media")
    frames = media.flatten()
    images = frames.flatten().fill_null(-1).to_numpy(zero_copy_only=False)
    owner_of_medium = np.repeat(np.arange(len(batch)), list_lengths(media))
    return images, np.repeat(owner_of_medium, list_lengths(frames))


def _bounds(owners: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=count))]).astype(np.int64)


def _marks(booleans: pa.Array) -> Marks:
    marks: Marks = booleans.fill_null(False).to_numpy(zero_copy_only=False)
    return marks


def _at(rows: npt.NDArray[np.int64], count: int) -> Marks:
    marks = np.zeros(count, dtype=bool)
    marks[rows] = True
    return marks
