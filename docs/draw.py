"""Draws the pictures of the README and the how-tos: ``python docs/draw.py`` writes docs/images.

The same seeds give the same files, so a change of the drawing shows up as a change of the files.
"""

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from otter.nano.colour import colour
from otter.nano.glyphs import glyph_class, write

IMAGES = Path(__file__).parent / "images"
CLASSES = {"dax": 9020, "wug": 9028}
"""The glyph class behind each made-up name; the nano models learn from classes below 9000 only."""

INK, PAPER, LINE, ACCENT = "#1f2933", "#f7f4ec", "#c9c2b2", "#0f766e"
FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, monospace"


def samples() -> None:
    """The files that the how-tos ask about: one of each class, and a new one of the first."""
    for name, (label, seed) in {"dax": ("dax", 4), "wug": ("wug", 3), "new": ("dax", 9)}.items():
        rng = np.random.default_rng(seed)
        masks = write(strokes_of(label), 1, rng)
        Image.fromarray(colour(masks, rng)[0]).save(IMAGES / f"{name}.png")


def strokes_of(label: str) -> NDArray[np.float64]:
    """The strokes of a made-up name, float[strokes, points, 2] around zero."""
    return glyph_class(np.random.default_rng((0, CLASSES[label])))


def episode() -> str:
    """The head of the README: two examples, a question, and where the pictures enter."""
    turns = [("dax", 0.0, "dax", False), ("wug", 0.0, "wug", False), ("dax", -0.35, "dax", True)]
    parts = [_turn(20 + 280 * n, *turn) for n, turn in enumerate(turns)]
    parts.append(_path())
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 860 330" width="860" height="330" '
        'role="img" aria-label="Two worked examples, dax and wug, and a new picture: dax">'
        f'<rect width="860" height="330" rx="12" fill="#ffffff"/>{"".join(parts)}</svg>\n'
    )


def _turn(left: int, label: str, angle: float, answer: str, asked: bool) -> str:
    border = ACCENT if asked else LINE
    head = "the question" if asked else "a worked example"
    said = f'<tspan fill="{ACCENT}" font-weight="bold">{answer}</tspan>' if asked else answer
    return (
        f'<rect x="{left}" y="20" width="260" height="186" rx="10" fill="{PAPER}" stroke="{border}"'
        f' stroke-width="{3 if asked else 1.5}"/>'
        f"{_text(left + 14, 42, head, 13, ACCENT if asked else '#6b6455')}"
        f'<g fill="none" stroke="{INK}" stroke-width="7" stroke-linecap="round" '
        'stroke-linejoin="round">'
        f"{_strokes(label, left + 130, 106, angle)}</g>"
        f"{_text(left + 14, 176, 'User: what is this?', 14, INK)}"
        f"{_text(left + 14, 196, f'GPT: {said}', 14, INK)}"
    )


def _strokes(label: str, x: float, y: float, angle: float) -> str:
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    lines = strokes_of(label) @ turn.T * 86 + (x, y)
    return "".join(
        f'<polyline points="{" ".join(f"{px:.1f},{py:.1f}" for px, py in line)}"/>'
        for line in lines
    )


def _path() -> str:
    """The line below the turns: what a picture passes through on its way into the text."""
    stations = ["vision tower", "resampler", "gated cross-attention", "language model"]
    parts = []
    for n, station in enumerate(stations):
        left = 20 + 209 * n
        parts.append(
            f'<rect x="{left}" y="250" width="193" height="44" rx="8" fill="{INK}"/>'
            f'<text x="{left + 96.5}" y="277" fill="#ffffff" font-family="{FONT}" font-size="13" '
            f'text-anchor="middle">{station}</text>'
        )
        if n:
            parts.append(
                f'<path d="M{left - 14} 272h11m-5 -5l5 5l-5 5" fill="none" stroke="{INK}" '
                'stroke-width="2"/>'
            )
    return f"{''.join(parts)}{_text(20, 236, 'each picture, once:', 13, '#6b6455')}"


def _text(x: int, y: int, text: str, size: int, fill: str) -> str:
    return (
        f'<text x="{x}" y="{y}" fill="{fill}" font-family="{FONT}" font-size="{size}">{text}</text>'
    )


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    samples()
    (IMAGES / "episode.svg").write_text(episode(), encoding="utf-8")
