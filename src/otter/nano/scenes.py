"""Scenes of coloured shapes, and what is built of them: pairs with one difference, clips, stories.

A scene is data (:class:`Scene`), drawing it is :func:`draw`; so every question about a picture has
a true answer. Eight of the 64 pairs of shape and colour (:data:`HELD_OUT`) appear in no training
picture of any stage.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from otter.nano.colour import Pixels
from otter.nano.glyphs import SIZE

COLOURS = {
    "red": (220, 40, 40),
    "green": (40, 180, 60),
    "blue": (50, 80, 230),
    "yellow": (235, 220, 50),
    "purple": (150, 50, 190),
    "orange": (245, 140, 30),
    "cyan": (60, 210, 220),
    "white": (240, 240, 240),
}
SHAPES = ("circle", "square", "triangle", "diamond", "cross", "ring", "star", "moon")
SIZES = {"small": 5.0, "large": 9.2}
PLACES = ("top left", "top right", "bottom left", "bottom right")
TEXTURES = ("plain", "stripes", "dots", "grain")
DIRECTIONS = {"right": (1, 0), "left": (-1, 0), "down": (0, 1), "up": (0, -1)}

FRAMES = 4
"""Of the longest clip, one in which something moves."""

KINDS = tuple((shape, colour) for shape in SHAPES for colour in COLOURS)
HELD_OUT = tuple((shape, list(COLOURS)[(3 * n + 1) % 8]) for n, shape in enumerate(SHAPES))
TRAINED = tuple(kind for kind in KINDS if kind not in HELD_OUT)

_FINE = 4  # drawn this many times larger and reduced, so that edges are smooth


@dataclass(frozen=True)
class Thing:
    """One shape. ``place`` indexes PLACES; ``shift`` moves it from there, in pixels."""

    shape: str
    colour: str
    size: str
    place: int
    shift: tuple[float, float] = (0.0, 0.0)

    @property
    def kind(self) -> tuple[str, str]:
        """Shape and colour."""
        return self.shape, self.colour

    @property
    def centre(self) -> tuple[float, float]:
        """Pixels from the left and from the top."""
        row, column = divmod(self.place, 2)
        return 12 + 24 * column + self.shift[0], 12 + 24 * row + self.shift[1]


@dataclass(frozen=True)
class Scene:
    """Up to four things on a ground."""

    things: tuple[Thing, ...]
    texture: str = "plain"


def random_scene(
    rng: np.random.Generator, count: int | None = None, kind: tuple[str, str] | None = None
) -> Scene:
    """Things of different kinds in different places; the first of ``kind`` where one is given."""
    count = int(rng.integers(1, 5)) if count is None else count
    chosen = [TRAINED[i] for i in rng.choice(len(TRAINED), count, replace=False)]
    if kind is not None:
        chosen = [kind, *[k for k in chosen if k != kind]][:count]
    places = rng.permutation(4)
    things = tuple(
        Thing(shape, colour, list(SIZES)[rng.integers(2)], int(place), _jitter(rng))
        for (shape, colour), place in zip(chosen, places, strict=False)
    )
    return Scene(things, TEXTURES[rng.integers(4)])


def difference(rng: np.random.Generator) -> tuple[Scene, Scene, str]:
    """Two scenes that differ in one thing, and the difference in words."""
    before = random_scene(rng, int(rng.integers(2, 4)))
    n = int(rng.integers(len(before.things)))
    thing, rest = before.things[n], before.things[:n] + before.things[n + 1 :]
    free = [p for p in range(4) if p not in {t.place for t in before.things}]
    known = f"the {thing.colour} {thing.shape}"
    change = rng.integers(4)
    if change == 0:
        others = [c for c in COLOURS if c != thing.colour and (thing.shape, c) not in HELD_OUT]
        colour = others[rng.integers(len(others))]
        after, words = (*rest, replace(thing, colour=colour)), f"{known} became {colour}"
    elif change == 1:
        kinds = [k for k in TRAINED if k not in {t.kind for t in before.things}]
        shape, colour = kinds[rng.integers(len(kinds))]
        new = Thing(shape, colour, thing.size, free[rng.integers(len(free))], _jitter(rng))
        after, words = (*before.things, new), f"a {colour} {shape} was added"
    elif change == 2:
        after, words = rest, f"{known} was removed"
    else:
        place = free[rng.integers(len(free))]
        after, words = (*rest, replace(thing, place=place)), f"{known} moved to the {PLACES[place]}"
    return before, replace(before, things=after), words


def motion(rng: np.random.Generator, frames: int = FRAMES) -> tuple[list[Scene], Thing, str]:
    """A clip in which one thing moves, that thing, and the name of the direction."""
    scene = random_scene(rng, int(rng.integers(1, 3)))
    mover, *others = scene.things
    direction = list(DIRECTIONS)[rng.integers(4)]
    dx, dy = DIRECTIONS[direction]
    across = rng.uniform(12, 36)
    start = rng.uniform(8, 14)
    clip = []
    for frame in range(frames):
        along = start + frame * (SIZE - 20) / (frames - 1)
        along = along if dx + dy > 0 else SIZE - along
        x, y = (along, across) if dx else (across, along)
        moved = replace(mover, place=0, shift=(x - 12, y - 12))
        clip.append(replace(scene, things=(*others, moved)))
    return clip, mover, direction


def story(rng: np.random.Generator, pictures: int = 3) -> tuple[list[Scene], int]:
    """Pictures whose number of things goes up or down by one, and the number that comes next."""
    rising = bool(rng.integers(2))
    counts = list(range(1, pictures + 1)) if rising else list(range(4, 4 - pictures, -1))
    if rising and rng.random() < 0.5 and counts[-1] < 4:
        counts = [c + 1 for c in counts]
    return [random_scene(rng, count) for count in counts], counts[-1] + (1 if rising else -1)


def draw(scene: Scene, rng: np.random.Generator) -> Pixels:
    """A picture of the scene, uint8[SIZE, SIZE, 3]; ``rng`` tilts, tints and adds grain."""
    pixels = _ground(scene.texture, rng)
    for thing in scene.things:
        cover = _cover(thing, rng)[..., None]
        tint = np.asarray(COLOURS[thing.colour], np.float32)
        tint = tint + rng.normal(0, 10, 3).astype(np.float32)
        pixels = pixels * (1 - cover) + tint * cover
    pixels += rng.standard_normal(pixels.shape, dtype=np.float32) * 4
    return np.clip(pixels, 0, 255).astype(np.uint8)


def draw_frames(scenes: list[Scene], rng: np.random.Generator) -> list[Pixels]:
    """The frames of one clip: every frame is drawn with the same tilts and tints."""
    seed = int(rng.integers(2**32))
    return [draw(scene, np.random.default_rng(seed)) for scene in scenes]


def _jitter(rng: np.random.Generator) -> tuple[float, float]:
    x, y = rng.uniform(-2, 2, 2)
    return float(x), float(y)


def _ground(texture: str, rng: np.random.Generator) -> NDArray[np.float32]:
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
    shade = rng.uniform(40, 100) + rng.normal(0, 8, 3)
    ground = np.broadcast_to(shade, (SIZE, SIZE, 3)).astype(np.float32)
    phase = rng.uniform(0, 2 * np.pi)
    angle = rng.uniform(0, np.pi)
    frequency = rng.uniform(0.8, 1.3)
    if texture == "stripes":
        pattern = np.sin((x * np.cos(angle) + y * np.sin(angle)) * frequency + phase) * 22
    elif texture == "dots":
        pattern = (np.sin(x * frequency + phase) * np.sin(y * frequency + phase) > 0.45) * 40.0
    elif texture == "grain":
        pattern = rng.normal(0, 18, (SIZE, SIZE))
    else:
        pattern = np.zeros((SIZE, SIZE))
    return ground + pattern[..., None].astype(np.float32)


def _cover(thing: Thing, rng: np.random.Generator) -> NDArray[np.float32]:
    """How much of each pixel the thing covers, float[SIZE, SIZE] in 0..1."""
    page = Image.new("L", (SIZE * _FINE, SIZE * _FINE))
    pen = ImageDraw.Draw(page)
    x, y = (c * _FINE for c in thing.centre)
    r = (SIZES[thing.size] + rng.uniform(-0.5, 0.5)) * _FINE
    tilt = rng.normal(0, 0.12)
    if thing.shape in ("circle", "ring", "moon"):
        pen.ellipse((x - r, y - r, x + r, y + r), fill=255)
    if thing.shape == "ring":
        pen.ellipse((x - r * 0.5, y - r * 0.5, x + r * 0.5, y + r * 0.5), fill=0)
    elif thing.shape == "moon":
        mx, my = x + 0.55 * r * np.cos(tilt), y + 0.55 * r * np.sin(tilt)
        pen.ellipse((mx - r * 0.8, my - r * 0.8, mx + r * 0.8, my + r * 0.8), fill=0)
    elif thing.shape != "circle":
        cos, sin = np.cos(tilt), np.sin(tilt)
        corners = [
            (x + r * (u * cos - v * sin), y + r * (u * sin + v * cos))
            for u, v in OUTLINES[thing.shape]
        ]
        pen.polygon(corners, fill=255)
    small = page.resize((SIZE, SIZE), Image.Resampling.BOX)
    return np.asarray(small, np.float32) / np.float32(255)


def _star() -> list[tuple[float, float]]:
    angles = np.arange(10) * np.pi / 5 - np.pi / 2
    radii = np.where(np.arange(10) % 2 == 0, 1.05, 0.42)
    rays = zip(radii, angles, strict=True)
    return [(float(r * np.cos(a)), float(r * np.sin(a))) for r, a in rays]


_ARM = 0.33
OUTLINES: dict[str, list[tuple[float, float]]] = {
    "square": [(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)],
    "triangle": [(0, -1.0), (0.95, 0.72), (-0.95, 0.72)],
    "diamond": [(0, -1.1), (1.1, 0), (0, 1.1), (-1.1, 0)],
    "cross": [
        (-_ARM, -1), (_ARM, -1), (_ARM, -_ARM), (1, -_ARM), (1, _ARM), (_ARM, _ARM),
        (_ARM, 1), (-_ARM, 1), (-_ARM, _ARM), (-1, _ARM), (-1, -_ARM), (-_ARM, -_ARM),
    ],
    "star": _star(),
}  # fmt: skip
