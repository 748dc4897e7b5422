"""The page of ``otter data report``: the figures of ``report.measure`` as charts and tables.

    write_report(store, Path("store-report"))     writes report.html and report.json

The page holds its charts and pictures itself and needs nothing else.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from otter.build.report import OnProgress, SampleSizes, measure
from otter.build.report_charts import Bar, Series, draw_bars, draw_histogram, draw_sunburst
from otter.build.show import page_file, write_page
from otter.build.show_pictures import Frame, PictureShelf
from otter.data import Store

WIDE, NARROW = 880, 372
_BESIDE = 430


def write_report(
    store: Store,
    folder: Path,
    sizes: SampleSizes | None = None,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Measures a store and writes ``report.json`` and ``report.html``.

    Args:
        store: not empty.
        folder: for the two files; made where it does not exist.
        sizes: of the samples.
        on_progress: told (what is done, how much, of how much) now and then.

    Returns:
        The figures of ``report.json``.

    Raises:
        ValueError: the store has no records.
    """
    figures = measure(store, sizes, on_progress)
    text = json.dumps(figures, ensure_ascii=False, indent=1, allow_nan=False)
    write_page(folder / "report.json", text + "\n")
    write_page(folder / "report.html", draw_page(store, figures))
    return figures


def draw_page(store: Store, figures: dict[str, Any]) -> str:
    """The page as HTML."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"percent": percent, "number": _number}
    return environment.from_string(page_file("report.html")).render(
        figures=figures,
        sizes=figures["sample_sizes"],
        tiles=_tiles(figures),
        composition=_composition_charts(figures["composition"]),
        lengths=_length_charts(figures["lengths"]),
        sunburst=_sunburst(figures["wording"]),
        relevance=_relevance_charts(figures["relevance"]),
        bias=_bias_chart(figures["answers"]),
        near_pictures=_near_pictures(store, figures["copies"]["near_pictures"]["pairs"]),
        css=Markup(page_file("page.css") + page_file("report.css")),  # our own files
    )


def percent(share: float | None) -> str:
    """A share for people: 0.0334 is "3.3 %", and what is not nothing never reads as 0."""
    if share is None:
        return "–"
    value = 100 * share
    if 0 < value < 0.1:
        return "< 0.1 %"
    if 99.9 < value < 100:
        return "> 99.9 %"
    return f"{value:.0f} %" if value >= 9.95 or not value else f"{value:.1f} %"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) or value >= 100 else f"{value:.1f}"


def _tiles(figures: dict[str, Any]) -> list[dict[str, str]]:
    """The figures that the page leads with."""
    made, copies = figures["composition"], figures["copies"]
    records = made["records"]
    tiles = [
        {"big": f"{records:,}", "label": "records", "about": _media_words(made)},
        {
            "big": percent(made["distinct"]["instruction"] / records),
            "label": "different instructions",
            "about": f"{made['distinct']['instruction']:,} of them",
        },
        {
            "big": percent(copies["exact"]["record"]["share"]),
            "label": "repeated records",
            "about": "question, media and answer as in another",
        },
        {
            "big": percent(made["examples"]["records_with"] / records),
            "label": "have worked examples",
            "about": f"{made['examples']['mean_where_any']:.1f} each on average",
        },
    ]
    return tiles


def _media_words(made: dict[str, Any]) -> str:
    words = f"about {made['pictures']:,} different pictures"
    return words + (f" and {made['videos']:,} videos" if made["videos"] else "")


def _both(draw: Callable[[int], str], wide: int = WIDE) -> dict[str, Markup]:
    """A chart twice: for a wide window and for a phone. The drawing escapes its texts."""
    return {"wide": Markup(draw(wide)), "narrow": Markup(draw(NARROW))}


def _shares(title: str, entries: Sequence[dict[str, Any]], wide: int = _BESIDE) -> dict[str, Any]:
    bars = [
        Bar(
            entry["name"] or "(none)",
            entry["share"],
            f"{percent(entry['share'])} · {entry.get('records', 0):,}"
            if "records" in entry
            else percent(entry["share"]),
        )
        for entry in entries
    ]
    return {"title": title, **_both(lambda width: draw_bars(title, bars, width=width), wide)}


def _composition_charts(made: dict[str, Any]) -> list[dict[str, Any]]:
    charts = [
        _shares(title, made[key])
        for title, key in (
            ("Tasks", "by_task"),
            ("Media", "by_media"),
            ("Sources", "by_source"),
            ("Splits", "by_split"),
            ("Declared languages", "by_language"),
        )
        if made[key]
    ]
    records = made["records"]
    examples = [
        {
            "name": f"{entry['examples']}{' or more' if entry['examples'] == 32 else ''}",
            "records": entry["records"],
            "share": entry["records"] / records,
        }
        for entry in made["examples"]["by_number"]
    ]
    return [*charts, _shares("Worked examples of a record", examples)]


def _length_charts(lengths: dict[str, Any]) -> list[dict[str, Any]]:
    charts = []
    for field in ("instruction", "answer"):
        drawn = lengths[field]["histogram"]
        title = f"Words of an {field}"

        def draw(width: int, drawn: dict[str, Any] = drawn, title: str = title) -> str:
            return draw_histogram(
                title,
                drawn["edges"],
                [Series("records", tuple(drawn["shares"]))],
                x_label="words",
                width=width,
                open_end=drawn["open_end"],
            )

        charts.append({"title": title, "field": field, **_both(draw, _BESIDE)})
    return charts


def _sunburst(wording: dict[str, Any]) -> Markup | None:
    groups = []
    for entry in wording["verbs"]:
        listed = [(noun["noun"], noun["count"]) for noun in entry["nouns"]]
        rest = entry["count"] - sum(count for _, count in listed)
        groups.append((entry["verb"], [*listed, ("…", rest)] if rest else listed))
    title = "Leading verbs and question words, with their nouns"
    return Markup(draw_sunburst(title, groups)) if groups else None


def _relevance_charts(relevance: dict[str, Any] | None) -> list[dict[str, Any]]:
    charts = []
    for measured in relevance["measures"] if relevance else ():
        groups = {group["name"]: group for group in measured["groups"]}
        if not groups["chosen"]["pairs"]:
            continue
        series = [Series(name, tuple(group["shares"])) for name, group in groups.items()]
        title = f"Similarity of the {measured['name']}"

        def draw(
            width: int,
            edges: list[float] = measured["edges"],
            series: list[Series] = series,
            title: str = title,
        ) -> str:
            return draw_histogram(title, edges, series, x_label="cosine", width=width)

        charts.append({"title": title, "groups": measured["groups"], **_both(draw)})
    return charts


def _bias_chart(answers: dict[str, Any]) -> dict[str, Any]:
    title = "Share of the most frequent answer, by task"
    bars = [
        Bar(
            entry["task"] or "(none)",
            entry["majority_share"],
            f"{percent(entry['majority_share'])} of {entry['different_answers']:,} answers",
        )
        for entry in answers["by_task"]
    ]
    return {"title": title, **_both(lambda width: draw_bars(title, bars, width=width, most=1.0))}


def _near_pictures(store: Store, pairs: Sequence[Sequence[int]]) -> list[list[Frame]]:
    shelf = PictureShelf(store, max_side=160)
    return [
        [shelf.media([[row]])[0].frames[0] for row in pair if row < store.image_count]
        for pair in pairs
    ]
