"""What a check found: each rule that was broken, how often, and the places by name."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from otter.build.checking_rules import Rule
from otter.data import Problem
from otter.data.arrow import RECORDS

KEPT_PER_RULE = 1_000
"""Of a rule that is broken more often, so many places are named; the rest is counted."""

Place = tuple[str, str, str, str]
"""(file, record or picture, field, value)."""


@dataclass
class Broken:
    """A rule that was broken: how often, and the first places."""

    rule: Rule
    count: int = 0
    places: list[Problem] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """For the program that reads the result."""
        places = [
            {"where": p.where, "record": p.record, "field": p.field, "value": p.value}
            for p in self.places
        ]
        return {
            "title": self.rule.title,
            "count": self.count,
            "expected": self.rule.expected,
            "next_step": self.rule.next_step,
            "places": places,
        }


class Findings:
    """Collects what is wrong, rule by rule, in the order in which rules were first broken."""

    def __init__(self) -> None:
        self._broken: dict[Rule, Broken] = {}

    def note(self, rule: Rule, where: str, value: str, *, item: str = "", name: str = "") -> None:
        """One place; ``item`` is a record or picture, ``name`` a field."""
        self.note_all(rule, 1, [(where, item, name, value)])

    def note_all(self, rule: Rule, count: int, places: Iterable[Place]) -> None:
        """Many places of a rule, read only as far as they are kept."""
        if not count:
            return
        broken = self._broken.setdefault(rule, Broken(rule))
        broken.count += count
        room = range(KEPT_PER_RULE - len(broken.places))
        for _, (where, item, name, value) in zip(room, places, strict=False):
            broken.places.append(Problem(where, name, value, rule.expected, rule.next_step, item))

    def broken(self, *, problems: bool) -> list[Broken]:
        """The rules that make a problem, or those that make a remark."""
        return [b for b in self._broken.values() if b.rule.is_problem is problems]


class RecordBatch:
    """Some consecutive records as columns, with a way to say which of them break a rule.

    Args:
        batch: the columns.
        start: the row of the first record in the store.
        findings: where broken rules are noted.
    """

    def __init__(self, batch: pa.RecordBatch, start: int, findings: Findings) -> None:
        self.batch, self.start, self.findings = batch, start, findings

    def __len__(self) -> int:
        """How many records."""
        return int(self.batch.num_rows)

    def column(self, name: str) -> pa.Array:
        """A column of the records."""
        return self.batch.column(name)

    def note(
        self,
        rule: Rule,
        broken: npt.NDArray[np.bool_],
        name: str,
        show: Callable[[int], str] | None = None,
    ) -> None:
        """Notes the records that break a rule.

        Args:
            rule: the rule.
            broken: bool[records].
            name: the field that is wrong.
            show: the value of a record, by its place in the batch; that of the field by default.
        """
        rows = np.flatnonzero(broken)
        show = show or (lambda row: short(self.column(name)[row].as_py()))
        places = ((RECORDS, self.record(row), name, show(row)) for row in rows.tolist())
        self.findings.note_all(rule, len(rows), places)

    def note_items(
        self,
        rule: Rule,
        broken: npt.NDArray[np.bool_],
        name: str,
        show: Callable[[int], str],
        depth: int = 1,
    ) -> None:
        """Notes items of a list column, such as the second frame of the first medium.

        Args:
            rule: the rule.
            broken: bool[items], of all lists one after the other.
            name: the list column.
            show: the value of an item, by its place in ``broken``.
            depth: 2 for the items of the lists in the lists.
        """
        items = np.flatnonzero(broken)
        places = ((RECORDS, *self._path(name, item, depth), show(item)) for item in items.tolist())
        self.findings.note_all(rule, len(items), places)

    def record(self, row: int) -> str:
        """What to call a record."""
        return f"record {short(self.column('id')[row].as_py())}"

    def _path(self, name: str, item: int, depth: int) -> tuple[str, str]:
        """The record of an item and its place there: ``("record 'CAT_1'", "media[0][1]")``."""
        path, lists = "", [self.column(name)]
        for _ in range(depth - 1):
            lists.append(lists[-1].flatten())
        for column in reversed(lists):
            lengths = list_lengths(column)
            ends = np.cumsum(lengths)
            owner = int(np.searchsorted(ends, item, side="right"))
            path, item = f"[{item - int(ends[owner] - lengths[owner])}]{path}", owner
        return self.record(item), f"{name}{path}"


def list_lengths(lists: pa.Array) -> npt.NDArray[np.int64]:
    """int64[lists]: how long each is; an absent one has no items."""
    lengths: npt.NDArray[np.int64] = (
        pc.list_value_length(lists).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    )
    return lengths


def short(value: object) -> str:
    """A value as a line shows it."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
