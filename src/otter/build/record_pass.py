"""Going through the records of a source: what is wrong, what has to be left out, what is sound.

Whether a record may name another is known only after the last record. So the records are gone
through a second time, with that knowledge, where anything was left out or is not there; in a sound
dataset once is enough.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

from otter.build.journal import Entry
from otter.build.sources import ClipFrames, Source, VideoReference
from otter.data.records import Problem, Problems, Record, check_record

LEAVE_OUT = "Correct it; or leave out what is wrong with keep_going (--keep-going)."


class Pictures:
    """Which pictures an import has, and which of them are broken."""

    def __init__(self) -> None:
        self.known: set[str] = set()
        self.broken: dict[str, tuple[str, str]] = {}
        self.frames: dict[str, tuple[str, ...]] = {}
        self.written = 0
        self.clips = 0

    def add(self, entry: Entry) -> None:
        """Takes in a finished item."""
        is_clip = entry.kind in (ClipFrames.__name__, VideoReference.__name__)
        self.clips += is_clip
        if entry.reason is not None:
            self.broken[entry.item] = entry.where, entry.reason
            return
        names = tuple(name for name, _ in entry.images)
        self.written += len(names)
        if entry.kind == VideoReference.__name__:
            names = (entry.item,)
        self.known.update(names)
        if is_clip:
            self.frames[entry.item] = names

    def broken_list(self) -> list[dict[str, str]]:
        """The broken pictures as rows: id, file, reason."""
        return [
            {"id": name, "file": where, "reason": reason}
            for name, (where, reason) in self.broken.items()
        ]


class RecordCheck:
    """One pass over the records.

    Args:
        source: where they come from.
        pictures: what they may name.
        keep_going: leave out records with problems instead of failing; links to records that are
            not there are dropped.
        clean: changes the texts of a record.
        gone: ids of records that the passes before left out.
        unknown: ids that records named, of records that are not there.
    """

    def __init__(
        self,
        source: Source,
        pictures: Pictures,
        *,
        keep_going: bool = False,
        clean: Callable[[Record], Record] | None = None,
        gone: frozenset[str] = frozenset(),
        unknown: frozenset[str] = frozenset(),
    ) -> None:
        self.source = source
        self.pictures = pictures
        self.keep_going = keep_going
        self.clean = clean
        self.gone_before = gone
        self.unknown_before = unknown
        self.problems = Problems()
        self.records = 0
        self.left_out = 0
        self.examples_dropped = 0
        self._gone: set[str] = set(gone)
        self._ids: set[str] = set()
        self._awaited: set[str] = set()

    def sound_records(self) -> Iterator[Record]:
        """The records to write; afterwards the counts and problems are complete."""
        for record in self.source.records(self.pictures.frames):
            if isinstance(record, Problem):
                self.problems.add(record)
                continue
            sound = self._sound(record)
            if sound is not None:
                self.records += 1
                yield sound

    def needs_another_pass(self) -> bool:
        """Whether records written in this pass may name records that are not there."""
        gone = self._gone - self.gone_before - self._ids
        return bool(gone or self._missing() - self.unknown_before)

    def again(self) -> "RecordCheck":
        """The next pass, with what this one found out."""
        return RecordCheck(
            self.source,
            self.pictures,
            keep_going=self.keep_going,
            clean=self.clean,
            gone=frozenset(self._gone - self._ids),
            unknown=frozenset(self._missing() | self.unknown_before),
        )

    def _missing(self) -> set[str]:
        return self._awaited - self._ids - self._gone

    def _sound(self, record: Record) -> Record | None:
        """The record as it is to be written, or None; what is wrong is noted."""
        where = self.source.where or self.source.name
        wrong = check_record(record, where)
        if not wrong and record.id in self._ids:
            step = "Give every record an id of its own."
            wrong = [Problem(where, "id", "a second time", "each id once", step, _named(record))]
            self._note(wrong)
            return None
        lost = False
        if not wrong:
            wrong, lost = self._check_media(record, where)
        if not wrong and not lost:
            wrong = [] if self.keep_going else self._unknown_examples(record, where)
        if wrong:
            self._note(wrong)
            if isinstance(record.id, str):
                self._gone.add(record.id)
            return None
        if lost or self._lost_its_picture(record):
            self.left_out += 1
            self._gone.add(record.id)
            return None
        self._ids.add(record.id)
        return self._finished(record, where)

    def _note(self, problems: list[Problem]) -> None:
        for problem in problems:
            self.problems.add(problem)

    def _check_media(self, record: Record, where: str) -> tuple[list[Problem], bool]:
        """What is wrong with the media, and whether a picture is broken."""
        wrong = []
        lost = False
        for m, medium in enumerate(record.media):
            for i, image in enumerate(medium):
                if image in self.pictures.known:
                    continue
                if image in self.pictures.broken:
                    lost = True
                    continue
                expected = f"a picture of this import ({len(self.pictures.known):,})"
                field = f"media[{m}][{i}]"
                wrong.append(
                    Problem(where, field, repr(image), expected, LEAVE_OUT, _named(record))
                )
        return wrong, lost

    def _unknown_examples(self, record: Record, where: str) -> list[Problem]:
        expected = "the id of a record of this import"
        return [
            Problem(where, f"related[{i}]", repr(other), expected, LEAVE_OUT, _named(record))
            for i, other in enumerate(record.related)
            if other in self.unknown_before
        ]

    def _lost_its_picture(self, record: Record) -> bool:
        """A question without media whose picture came with an example that is left out."""
        return not record.media and any(self._is_gone(other) for other in record.related)

    def _finished(self, record: Record, where: str) -> Record:
        related = tuple(
            other
            for other in record.related
            if not self._is_gone(other) and other not in self.unknown_before
        )
        self.examples_dropped += len(record.related) - len(related)
        if self.keep_going:
            self._note(self._unknown_examples(record, where))
        self._awaited.update(other for other in related if other not in self._ids)
        self._awaited.discard(record.id)
        if len(related) != len(record.related):
            record = replace(record, related=related)
        return self.clean(record) if self.clean else record

    def _is_gone(self, other: str) -> bool:
        return other in self._gone and other not in self._ids


def _named(record: Record) -> str:
    return f"record {record.id!r}"
