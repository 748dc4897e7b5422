"""``otter data check``: is a store fit for use?"""

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from otter.cli.failure import fail

if TYPE_CHECKING:
    from otter.build.checking import CheckResult
    from otter.build.checking_findings import Broken

SHOWN = 3
"""Places that are written out for each broken rule; ``--json`` has up to 1,000."""


class Decode(StrEnum):
    """Which pictures are decoded."""

    ALL = "all"
    SAMPLE = "sample"
    NONE = "none"


Folder = Annotated[
    Path, typer.Argument(metavar="STORE", help="The folder of a store.", show_default=False)
]
Pictures = Annotated[
    Decode, typer.Option("--decode", help="Which pictures are decoded; a sample is 4,096.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print everything as JSON.")]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with 1 for remarks as well.")]
Workers = Annotated[
    int | None,
    typer.Option("--workers", min=1, help="Processes that decode; one per processor.", metavar="N"),
]


def check(
    store: Folder,
    decode: Pictures = Decode.SAMPLE,
    workers: Workers = None,
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Check a store: files, records, references, splits, pictures.

    Names every problem with its record and field. Exits with 1 where the store is unfit for use;
    remarks (copies, odd texts, pictures in both splits) are for a person to look at.

    Example: otter data check store --decode all
    """
    from otter.build.checking import check_store
    from otter.cli.data_progress import stages
    from otter.data import DataError

    try:
        with stages("checking") as show:
            result = check_store(store, decode=decode.value, workers=workers, on_progress=show)
    except DataError as error:
        fail("data check", error)
    if as_json:
        print(json.dumps(result.to_json(), ensure_ascii=False, indent=1))
    else:
        for line in _summary(result):
            print(line)
    if not result.ok or (strict and result.remarks):
        raise typer.Exit(1)


def _summary(result: "CheckResult") -> list[str]:
    videos = f", {result.videos:,} videos" if result.videos else ""
    lines = [
        f"{result.folder}: {result.records:,} records, {result.images:,} pictures "
        f"({result.decoded:,} decoded){videos}; {result.seconds:.1f} s"
    ]
    for title, broken in (("problem", result.problems), ("remark", result.remarks)):
        for entry in broken:
            lines += ["", *_told(title, entry)]
    found = sum(entry.count for entry in result.problems)
    verdict = "fit for use" if result.ok else f"unfit for use: {found:,} problems"
    return [*lines, "", f"{verdict}."]


def _told(title: str, broken: "Broken") -> list[str]:
    lines = [f"{title}: {broken.rule.title} ({broken.count:,}×)"]
    for place in broken.places[:SHOWN]:
        where = place.record or place.where
        lines.append(f"  {where}: {place.field + ' = ' if place.field else ''}{place.value}")
    if broken.count > SHOWN:
        lines.append(f"  and {broken.count - SHOWN:,} more")
    lines.append(f"  Expected: {broken.rule.expected}. {broken.rule.next_step}")
    return lines
