"""Charts: valid SVG, values where they belong, nothing unescaped."""

import re
from xml.etree import ElementTree

import pytest

from otter.evaluate.charts import Chart, Line, Point, _apart, _round_ticks, draw, thinned


def chart(**values: object) -> Chart:
    lines = (
        Line("with examples", (Point(0, 0.1, 0.05, 0.2), Point(8, 0.9, 0.8, 0.95)), 0),
        Line("<b>without</b>", (Point(0, 0.0), Point(8, 0.05)), 1),
    )
    default = {
        "title": "Accuracy & <more>",
        "description": "two lines",
        "x_label": "examples",
        "y_label": "right, %",
        "lines": lines,
        "percent": True,
        "even": True,
        "references": (("copying", 0.5),),
    }
    return Chart(**{**default, **values})


def test_the_chart_is_well_formed_and_says_what_it_shows() -> None:
    svg = draw(chart(), width=600, height=300)
    root = ElementTree.fromstring(svg)
    assert root.attrib["role"] == "img"
    assert root.find("title").text == "Accuracy & <more>"
    assert root.find("desc").text == "two lines"
    texts = ["".join(node.itertext()) for node in root.iter("text")]
    assert {"0", "25", "50", "75", "100", "8", "with examples", "copying"} <= set(texts)
    assert "<b>without</b>" in texts


def test_a_value_lies_at_its_height() -> None:
    svg = draw(chart(references=()), width=600, height=300)
    heights = dict(re.findall(r'y="([\d.]+)" text-anchor="end">(\d+)<', svg))
    at = {label: float(y) - 4 for y, label in heights.items()}
    markers = re.findall(r'<circle class="marker" cx="[\d.]+" cy="([\d.]+)"', svg)
    assert float(markers[0]) == pytest.approx(at["0"] + 0.1 * (at["100"] - at["0"]), abs=0.1)
    assert float(markers[1]) == pytest.approx(at["0"] + 0.9 * (at["100"] - at["0"]), abs=0.1)


def test_lines_are_told_apart_by_shape_as_well_as_colour() -> None:
    svg = draw(chart(), width=600, height=300)
    assert 'class="series-0"' in svg
    assert 'class="series-1"' in svg
    assert svg.count("<circle") == 2
    assert len(re.findall(r'<path class="marker"', svg)) == 2


def test_one_point_and_equal_values_can_be_drawn() -> None:
    for points in ((Point(3, 0.0),), (Point(1, 2.5), Point(2, 2.5))):
        svg = draw(
            chart(lines=(Line("one", points),), percent=False, even=False), width=300, height=200
        )
        assert "nan" not in svg


def test_a_chart_without_points_is_refused() -> None:
    with pytest.raises(ValueError, match="has no points: leave it out"):
        draw(chart(lines=(Line("none", ()),)), width=300, height=200)


def test_long_lines_are_drawn_as_means() -> None:
    line = thinned(Line("loss", tuple(Point(x, 2.0 * x) for x in range(1000))), most=100)
    assert len(line.points) == 100
    assert line.points[0] == Point(4.5, 9.0)
    assert thinned(line, most=100) is line


def test_labels_do_not_overlap_nor_leave_the_chart() -> None:
    heights = [20, 40, 20]
    tops = _apart([100, 101, 102], heights, lowest=130)
    assert tops[-1] + heights[-1] <= 130
    assert all(b - a >= h for a, b, h in zip(tops, tops[1:], heights, strict=False))


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 64_000, [0, 20_000, 40_000, 60_000]), (0, 2.4, [0, 0.5, 1, 1.5, 2]), (0, 0, [0])],
)
def test_ticks_are_round_numbers(low: float, high: float, ticks: list[float]) -> None:
    assert _round_ticks(low, high, 5) == pytest.approx(ticks)
