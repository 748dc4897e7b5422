"""The page: every figure comes from the data, everything is escaped, nothing is fetched."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from otter.evaluate.charts import Point
from otter.evaluate.fewshot import evaluate
from otter.evaluate.report import (
    Arm,
    Curve,
    CurveLine,
    Headline,
    NextStep,
    ReportData,
    render,
    write_report,
)
from otter.evaluate.results import join
from otter.evaluate.samples import choose_samples, selection_rule
from otter.evaluate.tasks import FewShotTask

from .conftest import Names, Rule, bind, copy_last

EVIL = "<script>alert('x')</script>\"&"


class Reader(HTMLParser):
    """Visible text, and the tags and addresses that occur; complains of tags that do not match."""

    VOID = frozenset({"meta", "img", "br", "link"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text: list[str] = []
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [v or "" for k, v in attrs if k in ("src", "href", "xlink:href")]
        assert not any(k.startswith("on") for k, _ in attrs)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


@pytest.fixture(scope="module")
def data() -> ReportData:
    tasks = [
        FewShotTask("names", Names(), range(16), title="New names", copy_level=0.5),
        FewShotTask("few", Names(), range(8), title=f"Fewer {EVIL}", description=f"About {EVIL}"),
    ]
    arms = [Arm("binder", "with examples"), Arm("copier", f"without {EVIL}", f"copies {EVIL}")]
    rules = {"binder": bind, "copier": lambda episode: copy_last(episode) or EVIL}
    results = join(
        [evaluate(Rule(rules[a.model]), tasks, model=a.model, shots=(0, 1, 2, 4)) for a in arms]
    )
    lines = (
        CurveLine("binder", (Point(0, 2.0), Point(1000, 0.5))),
        CurveLine("copier", tuple(Point(x, 1.0) for x in range(400))),
    )
    return ReportData(
        title=f"Two rules {EVIL}",
        compared="A rule that binds and one that copies.",
        arms=arms,
        results=results,
        headline=Headline("New names for pictures", ("names",)),
        curves=[Curve("Training loss", "pairs seen", "loss", lines, note=f"A note {EVIL}")],
        samples=choose_samples(results, tasks, shots=4),
        samples_rule=selection_rule(arms[0].label),
        run=[("command", f"otter {EVIL}"), ("seed", "7")],
        next_steps=[NextStep(f"otter ask {EVIL}", "ask it")],
        remarks=[f"One seed {EVIL}"],
    )


def test_the_page_is_one_file_that_fetches_nothing_and_runs_nothing(
    data: ReportData, tmp_path: Path
) -> None:
    path = tmp_path / "run" / "report.html"
    write_report(path, data)
    page = Reader(path.read_text(encoding="utf-8"))
    assert page.open == []
    assert not page.tags & {"script", "link", "iframe", "object"}
    assert page.addresses
    assert all(address.startswith("data:image/") for address in page.addresses)
    assert "url(" not in path.read_text(encoding="utf-8")


def test_nothing_that_is_written_by_a_model_or_a_person_is_markup(data: ReportData) -> None:
    page = render(data)
    assert "<script" not in page
    assert page.count("&lt;script&gt;") > 10
    assert EVIL in Reader(page).words


def test_the_figures_are_on_the_page(data: ReportData) -> None:
    words = Reader(render(data)).words
    cell = data.results.cell("copier", "names", 4)
    assert cell is not None
    low, high = 100 * cell.accuracy.low, 100 * cell.accuracy.high
    assert f"50 {low:.0f}–{high:.0f}" in words
    assert "100 %" in words  # the binder's headline
    assert "repeating an example’s answer 50 %" in words
    assert "pictures swapped: wug0 , the other answer" in words
    assert "Ahead" not in words
    assert "How far “with examples” is ahead with 4 examples, in points" in words


def test_the_parts_stand_in_their_order(data: ReportData) -> None:
    headings = re.findall(r"<h2[^>]*>([^<]*)</h2>", render(data))
    assert headings == [
        "New names for pictures",
        "During training",
        "Every task, every number of examples",
        "Are the examples used, and their pictures?",
        "Questions to look at",
        "How it was run",
        "What to type next",
    ]


def test_what_was_not_measured_has_no_place(data: ReportData) -> None:
    page = render(ReportData("Bare", "One model.", [Arm("binder", "binds")], data.results))
    headings = re.findall(r"<h2[^>]*>([^<]*)</h2>", page)
    assert headings == [
        "Every task, every number of examples",
        "Are the examples used, and their pictures?",
    ]
    assert "copies" not in Reader(page).words
    empty = replace(data, curves=[Curve("Loss", "x", "y", (CurveLine("binder", ()),))])
    assert "During training" not in render(empty)


def test_a_cell_that_was_not_measured_is_marked(data: ReportData) -> None:
    results = data.results
    kept = tuple(c for c in results.cells if (c.model, c.task, c.shots) != ("copier", "few", 2))
    page = render(replace(data, results=replace(results, cells=kept), samples=()))
    assert 'title="not measured"' in page


def test_right_and_wrong_are_words_and_not_only_colours(data: ReportData) -> None:
    words = Reader(render(data)).words
    assert "✓ right" in words
    assert "✗ wrong" in words


def test_thinned_curves_say_so(data: ReportData) -> None:
    assert "Drawn as means of 3 consecutive values." in Reader(render(data)).words


def test_the_page_is_the_same_every_time(data: ReportData) -> None:
    assert render(data) == render(data)


def test_arms_that_were_not_measured_are_refused(data: ReportData) -> None:
    with pytest.raises(ValueError, match=r"arms \['other'\]: expected models of the results"):
        render(replace(data, arms=[Arm("other", "x")]))
    with pytest.raises(ValueError, match="expected at least one, each model once"):
        render(replace(data, arms=[]))
    with pytest.raises(ValueError, match="expected a label of its own for each"):
        render(replace(data, arms=[Arm("binder", "x"), Arm("copier", "x")]))
    with pytest.raises(ValueError, match="curve 'c': line 'other': expected one of"):
        render(replace(data, curves=[Curve("c", "x", "y", (CurveLine("other", (Point(0, 1),)),))]))
    with pytest.raises(ValueError, match="task 'no' was not evaluated"):
        render(replace(data, headline=Headline("x", ("no",))))
