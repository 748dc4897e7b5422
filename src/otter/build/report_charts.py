"""Small charts as SVG for the pages about data: bars, histograms, a sunburst of pairs.

As everywhere in this package colours are CSS classes (``series-0``, ...) that the page decides for
light and dark, and every chart says in its title and description what it shows.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_LINE = 26
_CHARACTER = 7.0


@dataclass(frozen=True)
class Bar:
    """A horizontal bar: its label, its length, and what is written behind it."""

    label: str
    value: float
    text: str


@dataclass(frozen=True)
class Series:
    """A histogram's series: a share for each bin."""

    label: str
    shares: tuple[float, ...]


def draw_bars(title: str, bars: Sequence[Bar], *, width: int, most: float | None = None) -> str:
    """Bars one below the other, the labels at the left.

    Args:
        title: what is shown.
        bars: at least one.
        width: in pixels at the natural size.
        most: the value of a bar of full length; the greatest by default.
    """
    full = most or max((bar.value for bar in bars), default=0) or 1.0
    longest = max(len(bar.label) for bar in bars)
    left = min(longest * _CHARACTER + 12, 0.42 * width)
    room = width - left - max(len(bar.text) for bar in bars) * _CHARACTER - 16
    parts = []
    for place, bar in enumerate(bars):
        y, length = place * _LINE, max(1.5, room * min(1.0, bar.value / full))
        label = _cut(bar.label, int((left - 12) / _CHARACTER))
        parts += [
            f"<g><title>{escape(f'{bar.label}: {bar.text}')}</title>",
            _text("label-text", left - 10, y + 17, "end", label),
            f'<rect class="bar-shape" x="{left:.1f}" y="{y + 5}" width="{length:.1f}" '
            'height="16"/>',
            _text("tick", left + length + 8, y + 17, "start", bar.text),
            "</g>",
        ]
    words = "; ".join(f"{bar.label}: {bar.text}" for bar in bars)
    return _svg(title, words, width, len(bars) * _LINE, parts, "series-0")


def draw_histogram(
    title: str,
    edges: Sequence[float],
    series: Sequence[Series],
    *,
    x_label: str,
    width: int,
    height: int = 230,
    open_end: bool = False,
) -> str:
    """Shares by bins; one series as bars, a second one as a line of steps over them.

    Args:
        title: what is shown.
        edges: the bounds of the bins, one more than there are bins.
        series: one or two.
        x_label: below the axis.
        width: in pixels at the natural size.
        height: likewise.
        open_end: the last bin also holds all that is greater.
    """
    left, right, top, bottom = 44, width - 12, 12, height - 44
    greatest = max((share for s in series for share in s.shares), default=0) or 1.0
    count = len(edges) - 1
    step = (right - left) / count

    def y(share: float) -> float:
        return bottom - share / greatest * (bottom - top)

    parts = []
    for tick in _round_ticks(greatest, 4):
        line = "axis" if tick == 0 else "grid"
        parts.append(f'<path class="{line}" d="M{left} {y(tick):.1f}H{right}"/>')
        parts.append(_text("tick", left - 8, y(tick) + 4, "end", f"{100 * tick:g} %"))
    bars = [
        f'<rect class="bar-shape" x="{left + i * step + 0.5:.1f}" y="{y(share):.1f}" '
        f'width="{max(step - 1, 0.8):.1f}" height="{bottom - y(share):.1f}"/>'
        for i, share in enumerate(series[0].shares)
    ]
    parts.append(f'<g class="series-0">{"".join(bars)}</g>')
    for number, other in enumerate(series[1:], start=1):
        steps = [
            f"{left + i * step:.1f} {y(share):.1f}H{left + (i + 1) * step:.1f}"
            for i, share in enumerate(other.shares)
        ]
        path = f"M{'L'.join(steps)}"
        parts.append(f'<g class="series-{number}"><path class="line" d="{path}"/></g>')
    every = max(1, math.ceil(count / (width / 80)))
    for place in range(0, count + 1, every):
        more = "+" if open_end and place == count else ""
        text = f"{edges[place]:g}{more}"
        parts.append(_text("tick", left + place * step, bottom + 18, "middle", text))
    parts.append(_text("axis-label", (left + right) / 2, bottom + 38, "middle", x_label))
    words = "; ".join(f"{s.label}: most between {_mode(edges, s)}" for s in series)
    return _svg(title, words, width, height, parts)


def draw_sunburst(
    title: str, groups: Sequence[tuple[str, Sequence[tuple[str, int]]]], *, size: int = 560
) -> str:
    """Pairs as two rings: inside the first words, outside the words that follow them.

    Args:
        title: what is shown.
        groups: first word and its (second word, count), each list with the most frequent first.
        size: width and height in pixels at the natural size.
    """
    total = sum(count for _, pairs in groups for _, count in pairs) or 1
    centre, inner, middle, outer = size / 2, size * 0.16, size * 0.31, size * 0.49
    parts, angle = [], -math.pi / 2
    for number, (word, pairs) in enumerate(groups):
        first, colour = angle, f"series-{number % 5}"
        sector = 2 * math.pi * sum(count for _, count in pairs) / total
        parts.append(f'<g class="{colour}">')
        parts.append(_ring(centre, inner, middle, first, first + sector, "inner", word))
        parts.append(
            _ring_label(centre, (inner + middle) / 2, first, sector, word, middle - inner, "on")
        )
        for second, count in pairs:
            part = 2 * math.pi * count / total
            label = f"{word} {second}: {count:,}"
            parts.append(_ring(centre, middle, outer, angle, angle + part, "outer", label))
            parts.append(
                _ring_label(centre, (middle + outer) / 2, angle, part, second, outer - middle, "")
            )
            angle += part
        parts.append("</g>")
    words = "; ".join(f"{word} with {', '.join(s for s, _ in pairs[:3])}" for word, pairs in groups)
    return _svg(title, words, size, size, parts, "sunburst")


def _ring(
    centre: float, inner: float, outer: float, first: float, last: float, style: str, title: str
) -> str:
    last = min(last, first + 2 * math.pi - 1e-4)  # a whole circle would begin where it ends
    far = 1 if last - first > math.pi else 0

    def at(radius: float, angle: float) -> str:
        return f"{centre + radius * math.cos(angle):.2f} {centre + radius * math.sin(angle):.2f}"

    path = (
        f"M{at(outer, first)}A{outer:.2f} {outer:.2f} 0 {far} 1 {at(outer, last)}"
        f"L{at(inner, last)}A{inner:.2f} {inner:.2f} 0 {far} 0 {at(inner, first)}Z"
    )
    return f'<path class="ring {style}" d="{path}"><title>{escape(title)}</title></path>'


def _ring_label(
    centre: float, radius: float, first: float, sector: float, word: str, room: float, style: str
) -> str:
    """A word along the radius, where there is room for it."""
    if sector * radius < 11:
        return ""
    angle = first + sector / 2
    turn = math.degrees(angle)
    if 90 < turn % 360 < 270:
        turn += 180
    x, y = centre + radius * math.cos(angle), centre + radius * math.sin(angle)
    text = _cut(word, int(room / (_CHARACTER - 0.4)))
    return (
        f'<text class="ring-label {style}" x="{x:.1f}" y="{y:.1f}" text-anchor="middle" dy=".35em" '
        f'transform="rotate({turn:.1f} {x:.1f} {y:.1f})">{escape(text)}</text>'
    )


def _mode(edges: Sequence[float], series: Series) -> str:
    if not series.shares:
        return "nothing"
    place = max(range(len(series.shares)), key=series.shares.__getitem__)
    return f"{edges[place]:g} and {edges[place + 1]:g}"


def _round_ticks(greatest: float, most: int) -> list[float]:
    power = 10 ** math.floor(math.log10(greatest / most))
    step = next(power * f for f in (1, 2, 2.5, 5, 10) if greatest / (power * f) <= most)
    return [step * i for i in range(int(greatest / step + 1e-9) + 1)]


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: max(1, most - 1)]}…"


def _text(style: str, x: float, y: float, anchor: str, text: str) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text class="{style}" {place}>{escape(text)}</text>'


def _svg(
    title: str, description: str, width: int, height: int, parts: Sequence[str], style: str = ""
) -> str:
    return (
        f'<svg class="chart {style}" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" aria-label="{escape(title)}"><title>{escape(title)}</title>'
        f"<desc>{escape(description)}</desc>{''.join(parts)}</svg>"
    )
