"""Importing a damaged dataset, and what is to be held against the importer.

Every case is imported twice: as it is by default, and with ``keep_going``, which leaves out what
is wrong. Nothing is held against an import when

- it succeeds, or raises a DataError of problems that can be printed and say what to do;
- nothing stands where a store should, after it failed;
- with ``keep_going`` every record arrives that the damage does not touch, and as it was;
- whatever is missing then is named among the problems or the broken pictures;
- it fails by default exactly where ``keep_going`` has something to say.
"""

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tests.build.fuzz.pieces import Dataset

from otter.build.importing import BROKEN, PROBLEMS, ImportResult, import_source, journal_of
from otter.build.sources import open_source
from otter.data import DataError, Store


@dataclass(frozen=True)
class Case:
    """A damaged dataset.

    Args:
        dataset: what it was.
        changed: the files that are not as they were.
        what: the damage, in words.
        touched: records that may be lost, or arrive otherwise than they were.
        names: texts of which one must be among the problems; empty where the damage may pass
            unseen.
        is_silent: whether records may be missing without a word, since what is left is sound.
        lost_names: texts of which one must be among the problems where a record is missing.
    """

    dataset: Dataset
    changed: Mapping[str, bytes]
    what: str
    touched: frozenset[str]
    names: tuple[str, ...] = ()
    is_silent: bool = False
    lost_names: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.dataset.name}: {self.what}"


@dataclass(frozen=True)
class Arrived:
    """A record of a store, without its examples."""

    question: str
    answer: str
    media: tuple[Any, ...]
    task: str
    weight: float


@dataclass(frozen=True)
class Outcome:
    """What came of an import: a store, or an error; and what it said."""

    records: dict[str, Arrived]
    examples: dict[str, tuple[str, ...]]
    said: str
    error: DataError | None = None
    result: ImportResult | None = None


def run(dataset: Dataset, folder: Path, *, keep_going: bool, workers: int = 0) -> Outcome:
    """Imports what stands in a folder.

    Raises:
        Exception: anything but a DataError, which is what must not happen.
    """
    out = folder / "store"
    options = {
        key: folder / value if (folder / value).exists() else value
        for key, value in dataset.options.items()
    }
    settings: dict[str, Any] = {"keep_going": True, "max_broken": 1.0} if keep_going else {}
    try:
        source = open_source(dataset.format, [folder / name for name in dataset.sources], options)
        result = import_source(source, out, workers=workers, resume=False, **settings)
    except DataError as error:
        return Outcome({}, {}, "\n".join(map(str, error.problems)), error)
    said = [
        (out / name).read_text(encoding="utf-8")
        for name in (PROBLEMS, BROKEN)
        if (out / name).exists()
    ]
    # As a person reads it: the values in the lists stand in JSON.
    text = "\n".join(
        " ".join(map(str, json.loads(line).values())) for part in said for line in part.splitlines()
    )
    return Outcome(*_contents(Store(out)), text, None, result)


def _contents(store: Store) -> tuple[dict[str, Arrived], dict[str, tuple[str, ...]]]:
    records, examples = {}, {}
    for row in range(len(store)):
        found = store.record(row)
        media = tuple(
            tuple(
                store.image_bytes(r) if r >= 0 else Path(store.video(~r).path).name for r in medium
            )
            for medium in found.media
        )
        if all(r >= 0 for medium in found.media for r in medium):
            store.episode(row)
        records[found.id] = Arrived(
            found.instruction, found.answer, media, found.task, found.weight
        )
        examples[found.id] = tuple(store.record(other).id for other in found.related)
    return records, examples


class Fault(NamedTuple):
    """What the importer does wrong.

    Args:
        kind: "crash", "manners" (how an error is said, and what it leaves behind), "lost" (a record
            that the damage does not touch) or "unnamed" (a problem that nobody is told of).
        text: what exactly.
    """

    kind: str
    text: str


def faults(case: Case, sound: Outcome, folder: Path, *, workers: int = 0) -> list[Fault]:
    """What the importer does wrong with a case; empty where there is nothing.

    Args:
        case: what to import.
        sound: what came of the dataset before it was damaged.
        folder: an empty folder.
        workers: as for an import.
    """
    case.dataset.write(folder, case.changed)
    outcomes = []
    for keep_going in (False, True):
        how = "keep_going" if keep_going else "strict"
        try:
            outcome = run(case.dataset, folder, keep_going=keep_going, workers=workers)
        except Exception as error:
            place = _place(error)
            text = f"{how}: {type(error).__name__}: {str(error)[:300]} at {place}"
            return [Fault("crash", text)]
        found = [Fault("manners", f"{how}: {text}") for text in _manners(outcome, folder)]
        if found:
            return found
        outcomes.append(outcome)
        _clear(folder)
    strict, lenient = outcomes
    lost = [Fault("lost", text) for text in _lost(case, sound, lenient)]
    unnamed = [*_unnamed(case, sound, lenient), *_agreement(case, strict, lenient)]
    return [*lost, *(Fault("unnamed", text) for text in unnamed)]


def _place(error: Exception) -> str:
    trace, last = error.__traceback__, ""
    while trace is not None:
        frame = trace.tb_frame
        if "otter" in frame.f_code.co_filename:
            last = f"{Path(frame.f_code.co_filename).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return last


def _clear(folder: Path) -> None:
    shutil.rmtree(folder / "store", ignore_errors=True)
    shutil.rmtree(journal_of(folder / "store"), ignore_errors=True)


def _manners(outcome: Outcome, folder: Path) -> list[str]:
    """Whether an error says what it should, and leaves nothing behind."""
    error = outcome.error
    if error is None:
        return []
    found = []
    if not error.problems:
        found.append("a DataError without problems")
    for problem in error.problems:
        if not (problem.where and problem.expected and problem.next_step):
            found.append(f"a problem that does not say where, what or what to do: {problem!r}")
        if "\n" in str(problem) or "\0" in str(problem):
            found.append(f"a problem of several lines: {str(problem)!r}")
        if len(str(problem)) > 2_000:
            found.append(f"a problem of {len(str(problem)):,} characters: {str(problem)[:200]}")
        try:
            str(problem).encode()
        except UnicodeEncodeError:
            found.append(f"a problem that cannot be printed: {str(problem)!r}")
    left = [path.name for path in folder.iterdir() if path.name.startswith((".store", "store"))]
    left = [name for name in left if name != journal_of(folder / "store").name]
    if left:
        found.append(f"left behind: {left}")
    return found[:3]


def _lost(case: Case, sound: Outcome, lenient: Outcome) -> list[str]:
    """Good records that did not arrive, or not as they were."""
    found = []
    if lenient.error is not None and set(sound.records) - case.touched:
        return [f"keep_going failed for all: {str(lenient.error)[:300]}"]
    for name, record in sound.records.items():
        if name in case.touched:
            continue
        if name not in lenient.records:
            found.append(f"good record {name} is lost; said: {lenient.said[:300]}")
        elif lenient.records[name] != record:
            found.append(f"good record {name} arrived as {str(lenient.records[name])[:200]}")
        elif not set(sound.examples[name]) - case.touched <= set(lenient.examples[name]):
            found.append(f"good record {name} lost examples: {lenient.examples[name]}")
    return found[:3]


def _unnamed(case: Case, sound: Outcome, lenient: Outcome) -> list[str]:
    """Missing records and damage that nobody was told of."""
    found = []
    lost = set(sound.records) - set(lenient.records)
    if case.dataset.repeats:  # a conversation with fewer turns has fewer records, by other names
        arrived = {_conversation(name) for name in lenient.records}
        lost = {name for name in lost if _conversation(name) not in arrived}
    missing = len(sound.records) > len(lenient.records)
    if lost and missing and not case.is_silent:
        wanted = case.lost_names or tuple(case.changed)
        if not lenient.said:
            found.append(f"records {sorted(lost)} are missing without a word")
        elif not (
            any(name in lenient.said for name in wanted)
            or all(name in lenient.said for name in lost)
        ):
            found.append(f"missing {sorted(lost)}; none of {wanted} in: {lenient.said[:300]}")
    if case.names and not any(name in lenient.said for name in case.names):
        found.append(f"none of {case.names} is named; said: {lenient.said[:300]!r}")
    return found


def _conversation(name: str) -> str:
    """``c5`` of ``c5_0``."""
    return re.sub(r"_\d$", "", name)


def _agreement(case: Case, strict: Outcome, lenient: Outcome) -> list[str]:
    """By default an import fails where ``keep_going`` finds anything, and only there."""
    result = lenient.result
    has_said = result is None or bool(result.problems or result.broken)
    if has_said and strict.error is None:
        return [f"strict succeeds, though keep_going says: {lenient.said[:300]}"]
    if not has_said and strict.error is not None:
        return [f"strict fails, though keep_going says nothing: {str(strict.error)[:300]}"]
    if result is not None and result.left_out and not has_said:
        return ["records were left out without a word"]
    if case.names and not any(name in strict.said for name in case.names):
        return [f"strict: none of {case.names} is named; said: {strict.said[:300]!r}"]
    return []
