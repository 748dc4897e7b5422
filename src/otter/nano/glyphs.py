"""Glyph classes by the thousand: a class is a few strokes, a picture of it one way to write them.

Like letters of an unknown script (Lake et al. 2015, "Omniglot"), but drawn by code, so that there
is no end of them and every split is exact: class ``n`` is always the same strokes.

    strokes = glyph_class(np.random.default_rng(7))       # float[strokes, 14, 2] of side 1
    masks = write(strokes, 20, np.random.default_rng(1))  # uint8[20, 48, 48], 255 is ink
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

SIZE = 48
"""Width and height of every nano picture, in pixels."""
POINTS = 14
"""Points of a stroke's polyline."""

Floats = NDArray[np.float64]
Mask = NDArray[np.uint8]


def glyph_class(rng: np.random.Generator) -> Floats:
    """A new class: one to four strokes, most of them starting on an earlier one.

    Returns:
        float[strokes, POINTS, 2], centred on zero, its longest side 1.
    """
    strokes: list[Floats] = []
    for _ in range(rng.choice([1, 2, 3, 4], p=[0.25, 0.4, 0.25, 0.1])):
        if strokes and rng.random() < 0.65:
            other = strokes[rng.integers(len(strokes))]
            start = other[(0, -1, int(rng.integers(POINTS)))[rng.integers(3)]].copy()
        else:
            start = rng.uniform(0.05, 0.95, 2)
        strokes.append(_stroke(start, rng))
    points = np.stack(strokes)
    low, high = points.min((0, 1)), points.max((0, 1))
    return (points - (low + high) / 2) / max((high - low).max(), 0.3)


def write(strokes: Floats, count: int, rng: np.random.Generator, hand: float = 1.0) -> Mask:
    """Write a class ``count`` times, each time a little differently.

    Args:
        strokes: float[strokes, POINTS, 2] from :func:`glyph_class`.
        count: how many pictures.
        rng: where the differences come from.
        hand: how unsteady the hand is; 1 is careful, 2 careless.

    Returns:
        uint8[count, SIZE, SIZE], 255 where there is ink. Four in ten were blurred through a smaller
        picture, as scans often are.
    """
    lines = _unsteady(strokes, count, rng, hand)
    widths = rng.integers(4, 13, count) + (1 if hand > 1.5 else 0)
    blurred = np.where(rng.random(count) < 0.4, rng.integers(8, 15, count), 0)
    return np.stack([_ink(*args) for args in zip(lines, widths, blurred, strict=True)])


def writings(numbers: Sequence[int], instances: int) -> Mask:
    """Glyph classes by number, every second in a careless hand.

    A number always means the same strokes, so that a split is a range of numbers.

    Returns:
        uint8[classes, instances, SIZE, SIZE].
    """
    masks = []
    for number in numbers:
        rng = np.random.default_rng((0, number))
        masks.append(write(glyph_class(rng), instances, rng, hand=1.0 if number % 2 else 1.9))
    return np.stack(masks)


def _stroke(start: Floats, rng: np.random.Generator) -> Floats:
    """A line, an arc or loop, a corner, or a Bezier curve; float[POINTS, 2] in about [0, 1].

    ``start`` is its first point, float[2].
    """
    t = np.linspace(0, 1, POINTS)[:, None]
    kind = rng.random()
    if kind < 0.28:
        end = rng.uniform(0, 1, 2)
        while np.hypot(*(end - start)) < 0.35:
            end = rng.uniform(0, 1, 2)
        return start + (end - start) * t
    if kind < 0.62:
        sweep = 2 * np.pi if rng.random() < 0.3 else rng.uniform(0.5, 1.7) * np.pi
        angle = rng.uniform(0, 2 * np.pi) + rng.choice([1, -1]) * sweep * t[:, 0]
        arc = rng.uniform(0.15, 0.42, 2) * np.stack([np.cos(angle), np.sin(angle)], 1)
        return arc - arc[0] + start
    if kind < 0.74:
        corner, end = rng.uniform(0, 1, 2), rng.uniform(0, 1, 2)
        half = POINTS // 2
        first = start + (corner - start) * np.linspace(0, 1, half, endpoint=False)[:, None]
        return np.concatenate([first, corner + (end - corner) * np.linspace(0, 1, half)[:, None]])
    a, b, c = (rng.uniform(-0.1, 1.1, 2) for _ in range(3))
    return (1 - t) ** 3 * start + 3 * (1 - t) ** 2 * t * a + 3 * (1 - t) * t**2 * b + t**3 * c


def _unsteady(strokes: Floats, count: int, rng: np.random.Generator, hand: float) -> Floats:
    """Jitter strokes one by one, then warp, tilt and place the whole.

    Returns:
        float[count, strokes, POINTS, 2], in pixels of a picture twice as large.
    """
    n = len(strokes)
    centre = strokes.mean(1)[None, :, None]
    offset = strokes[None] - centre
    turned = _rotate(offset, rng.normal(0, 0.09 * hand, (count, n)))
    turned = turned * np.exp(rng.normal(0, 0.08 * hand, (count, n, 1, 2)))
    points = centre + turned + rng.normal(0, 0.028 * hand, (count, n, 1, 2))
    frequency = rng.uniform(2, 5, (count, 1, 1, 2))
    phase = rng.uniform(0, 2 * np.pi, (count, 1, 1, 2))
    wave = np.sin(frequency * points[..., ::-1] + phase)
    points = points + rng.normal(0, 0.033 * hand, (count, 1, 1, 2)) * wave
    x, y = points[..., 0], points[..., 1]
    shear = rng.normal(0, 0.12 * hand**0.6, (count, 1, 1))
    slanted = x * rng.uniform(0.72, 1.1, (count, 1, 1)) + shear * y
    points = np.stack([slanted, y * rng.uniform(0.8, 1.1, (count, 1, 1))], -1)
    points = _rotate(points, rng.normal(0, 0.13 * hand**0.4, (count, 1)))
    scale = rng.uniform(26, 36, (count, 1, 1, 1)) * 2
    return points * scale + SIZE + rng.uniform(-7, 7, (count, 1, 1, 2))


def _rotate(points: Floats, angle: Floats) -> Floats:
    """float[count, strokes, POINTS, 2] turned by float[count, strokes], or [count, 1] for all."""
    cos, sin = np.cos(angle)[..., None], np.sin(angle)[..., None]
    x, y = points[..., 0], points[..., 1]
    return np.stack([x * cos - y * sin, x * sin + y * cos], -1)


def _ink(lines: Floats, width: int, blurred: int) -> Mask:
    """Draw at double size and halve, so that edges are smooth."""
    page = Image.new("L", (2 * SIZE, 2 * SIZE))
    pen = ImageDraw.Draw(page)
    for line in lines:
        pen.line([(float(x), float(y)) for x, y in line], fill=255, width=int(width), joint="curve")
    page = page.resize((SIZE, SIZE), Image.Resampling.BOX)
    if blurred:
        small = page.resize((int(blurred), int(blurred)), Image.Resampling.BOX)
        page = small.resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    return np.asarray(page)
