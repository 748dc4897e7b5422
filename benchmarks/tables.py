"""Writes the tables of README.md and docs/ from benchmarks/results; ``--check`` only compares.

A table stands between ``<!-- table: NAME -->`` and ``<!-- end of table -->`` and is made from
``benchmarks/results/NAME.json``; benchmarks/README.md describes such a file.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
RESULTS = ROOT / "benchmarks" / "results"

PLACE = re.compile(
    r"(?P<head><!-- table: (?P<name>[\w-]+) -->\n).*?(?P<tail><!-- end of table -->)", re.DOTALL
)
REQUIRED = ("title", "command", "hardware", "seconds", "date", "seeds", "figures")


def fill(text: str, results: Path = RESULTS, link: str = "benchmarks/results") -> str:
    """The text with every table written anew.

    Args:
        text: of a document.
        results: where the files are.
        link: the same folder as seen from the document.

    Raises:
        ValueError: a table names no file, or its file lacks something.
    """
    return PLACE.sub(lambda place: _filled(place, results, link), text)


def render(name: str, result: dict[str, Any], link: str = "benchmarks/results") -> str:
    """One table in Markdown, and below it where its numbers come from.

    Raises:
        ValueError: the result lacks a field, or two cells are for the same place.
    """
    missing = [key for key in REQUIRED if key not in result]
    if missing:
        raise ValueError(
            f"{name}.json lacks {', '.join(missing)}; benchmarks/README.md has the format"
        )
    cells = {}
    for cell in result["figures"]:
        place = (cell["row"], cell["column"])
        if place in cells:
            raise ValueError(
                f"{name}.json has two figures for {place}; give them different columns"
            )
        cells[place] = _cell(cell)
    rows = list(dict.fromkeys(row for row, _ in cells))
    columns = list(dict.fromkeys(column for _, column in cells))
    lines = [f"| {result['title']} | {' | '.join(columns)} |", f"| --- |{' ---: |' * len(columns)}"]
    lines += [
        f"| {row} | {' | '.join(cells.get((row, column), '–') for column in columns)} |"
        for row in rows
    ]
    return "\n".join([*lines, "", _source(name, result, link)])


def _filled(place: re.Match[str], results: Path, link: str) -> str:
    name = place["name"]
    file = results / f"{name}.json"
    if not file.exists():
        raise ValueError(
            f"a document has a table {name!r}, but there is no {file.name} in {results}"
        )
    return (
        place["head"]
        + render(name, json.loads(file.read_text(encoding="utf-8")), link)
        + "\n"
        + place["tail"]
    )


def _cell(cell: dict[str, Any]) -> str:
    unit = cell.get("unit", "%")
    value = _number(cell["value"], unit)
    if "low" not in cell:
        return value
    return f"{value} ({_number(cell['low'], unit)}–{_number(cell['high'], unit)})"


def _number(value: float, unit: str) -> str:
    """A share as whole per cent; anything else with three digits that count and its unit."""
    if unit == "%":
        return f"{100 * value:.0f}"
    return f"{value:,.0f} {unit}".strip() if abs(value) >= 100 else f"{value:.3g} {unit}".strip()


def _source(name: str, result: dict[str, Any], link: str) -> str:
    counts = sorted({cell["n"] for cell in result["figures"] if "n" in cell})
    units = {cell.get("unit", "%") for cell in result["figures"]}
    parts = ["per cent"] if units == {"%"} else []
    if any("low" in cell for cell in result["figures"]):
        parts.append("95 % intervals in brackets")
    if counts:
        parts.append(f"n = {' to '.join(str(count) for count in sorted({counts[0], counts[-1]}))}")
    seeds = result["seeds"]
    if seeds:
        plural = "s" if len(seeds) > 1 else ""
        parts.append(f"seed{plural} {', '.join(str(seed) for seed in seeds)}")
    parts += [
        f"`{result['command']}`",
        result["hardware"],
        f"{result['seconds']:.0f} s",
        result["date"],
    ]
    text = "; ".join(parts)
    text = text if text.startswith("`") else f"{text[0].upper()}{text[1:]}"
    return f"{text}. [{name}.json]({link}/{name}.json)"


def main() -> int:
    """Write, or with ``--check`` compare; the exit code is 1 when they differ."""
    different = 0
    for document in DOCUMENTS:
        before = document.read_text(encoding="utf-8")
        after = fill(before, link=link_from(document))
        if "--check" not in sys.argv[1:]:
            document.write_text(after, encoding="utf-8")
        elif before != after:
            print(f"{document.name} differs from the results: run python benchmarks/tables.py")
            different = 1
    return different


def link_from(document: Path) -> str:
    """The results folder as seen from a document."""
    return "../" * (len(document.relative_to(ROOT).parts) - 1) + "benchmarks/results"


if __name__ == "__main__":
    sys.exit(main())
