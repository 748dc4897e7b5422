"""The pictures of a world: drawn once, put into a store under ids, remembered with what they show.

glyph/7012/3      the fourth writing of glyph class 7012
kind/red circle/5 one thing on a ground          scene/17      several things
pair/4/0          frame 0 of a pair, clip or story
digit/3/41        a handwritten digit
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from otter.nano.colour import Pixels, colour, jpeg
from otter.nano.digits import digits
from otter.nano.glyphs import writings
from otter.nano.scenes import (
    HELD_OUT,
    KINDS,
    TRAINED,
    Scene,
    Thing,
    difference,
    draw,
    draw_frames,
    motion,
    random_scene,
    story,
)
from otter.nano.wording import NUMBERS

Rng = np.random.Generator
AddImage = Callable[[str, bytes], object]


@dataclass(frozen=True)
class Shown:
    """A picture's id and the scene on it."""

    id: str
    scene: Scene


@dataclass(frozen=True)
class Clip:
    """The ids of its frames, the answer to its question, and the kind of the thing that moves.

    Only motions have a mover.
    """

    frames: tuple[str, ...]
    answer: str
    mover: tuple[str, str] = ("", "")


@dataclass(frozen=True)
class PictureCounts:
    """How many of each.

    ``glyph_classes`` are numbers of classes, so that parts of the world can be kept apart.
    """

    glyph_classes: range
    glyph_instances: int = 14
    per_kind: int = 40
    scenes: int = 6000
    pairs: int = 1500
    clips: int = 1000
    stories: int = 800
    digits: bool = False
    held_out_kinds: bool = False


@dataclass
class Pictures:
    """All pictures of one store, by what they show."""

    glyphs: list[list[str]] = field(default_factory=list)
    kinds: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    scenes: list[Shown] = field(default_factory=list)
    held_out_scenes: list[Shown] = field(default_factory=list)
    pairs: list[Clip] = field(default_factory=list)
    clips: list[Clip] = field(default_factory=list)
    stories: list[Clip] = field(default_factory=list)
    digits: list[list[str]] = field(default_factory=list)

    def scene(self, rng: Rng) -> Shown:
        """Any picture with several things."""
        return self.scenes[rng.integers(len(self.scenes))]

    def telling(self, mark: str, rng: Rng, *, held_out: bool = False) -> tuple[Shown, Thing]:
        """A picture, and one of its things that its ``mark`` tells from the others.

        Args:
            mark: "shape" or "colour".
            rng: where choices come from.
            held_out: whether the thing is of a kind that no training picture shows.
        """
        scenes = self.held_out_scenes if held_out else self.scenes
        while True:
            shown = scenes[rng.integers(len(scenes))]
            things = shown.scene.things
            thing = things[0 if held_out else rng.integers(len(things))]
            if sum(getattr(other, mark) == getattr(thing, mark) for other in things) == 1:
                return shown, thing

    def by_colour(self) -> list[list[str]]:
        """Pictures of single things, grouped by colour."""
        return _grouped(self.kinds, 1)

    def by_shape(self) -> list[list[str]]:
        """Pictures of single things, grouped by shape."""
        return _grouped(self.kinds, 0)


def draw_pictures(counts: PictureCounts, add: AddImage, seed: int, workers: int = 2) -> Pictures:
    """Draw what ``counts`` asks for and hand each picture to ``add(id, jpeg)``.

    The same counts and seed give the same bytes, whatever the number of workers.

    Raises:
        ModuleNotFoundError: digits are asked for, and scikit-learn is missing.
    """
    # Read before anything is drawn: where scikit-learn is missing, that is said at once.
    scans = digits() if counts.digits else None
    pictures = Pictures()
    for number, drawn in _glyphs(counts, seed, workers):
        ids = [f"glyph/{number}/{n}" for n in range(len(drawn))]
        for picture, data in zip(ids, drawn, strict=True):
            add(picture, data)
        pictures.glyphs.append(ids)
    rng = np.random.default_rng((seed, 1))
    for kind in KINDS if counts.held_out_kinds else TRAINED:
        ids = [f"kind/{kind[1]} {kind[0]}/{n}" for n in range(counts.per_kind)]
        for picture in ids:
            add(picture, jpeg(draw(random_scene(rng, 1, kind), rng)))
        pictures.kinds[kind] = ids
    for n in range(counts.scenes):
        pictures.scenes.append(_shown(f"scene/{n}", random_scene(rng), add, rng))
    for n in range(counts.scenes // 4 if counts.held_out_kinds else 0):
        scene = random_scene(rng, kind=HELD_OUT[rng.integers(len(HELD_OUT))])
        pictures.held_out_scenes.append(_shown(f"held-out/{n}", scene, add, rng))
    _draw_clips(pictures, counts, add, np.random.default_rng((seed, 2)))
    if scans is not None:
        pictures.digits = _add_digits(*scans, add)
    return pictures


def _draw_clips(pictures: Pictures, counts: PictureCounts, add: AddImage, rng: Rng) -> None:
    for n in range(counts.pairs):
        before, after, words = difference(rng)
        frames = _frames(f"pair/{n}", draw_frames([before, after], rng), add)
        pictures.pairs.append(Clip(frames, words))
    for n in range(counts.clips):
        scenes, mover, direction = motion(rng)
        frames = _frames(f"clip/{n}", draw_frames(scenes, rng), add)
        pictures.clips.append(Clip(frames, direction, mover.kind))
    for n in range(counts.stories):
        scenes, following = story(rng)
        frames = _frames(f"story/{n}", [draw(scene, rng) for scene in scenes], add)
        pictures.stories.append(Clip(frames, NUMBERS[following]))


def _glyphs(counts: PictureCounts, seed: int, workers: int) -> list[tuple[int, list[bytes]]]:
    numbers = list(counts.glyph_classes)
    blocks = [
        (numbers[i : i + 50], counts.glyph_instances, seed) for i in range(0, len(numbers), 50)
    ]
    if workers < 2 or len(blocks) < 4:
        return [item for block in blocks for item in _glyph_block(block)]
    with ProcessPoolExecutor(workers) as pool:
        return [item for items in pool.map(_glyph_block, blocks) for item in items]


def _glyph_block(block: tuple[list[int], int, int]) -> list[tuple[int, list[bytes]]]:
    numbers, instances, seed = block
    masks = writings(numbers, instances)
    drawn = []
    for number, mask in zip(numbers, masks, strict=True):
        coloured = colour(mask, np.random.default_rng((seed, 3, number)))
        drawn.append((number, [jpeg(picture) for picture in coloured]))
    return drawn


def _grouped(kinds: dict[tuple[str, str], list[str]], part: int) -> list[list[str]]:
    groups: dict[str, list[str]] = {}
    for kind, ids in kinds.items():
        if kind in TRAINED:
            groups.setdefault(kind[part], []).extend(ids)
    return list(groups.values())


def _shown(picture: str, scene: Scene, add: AddImage, rng: Rng) -> Shown:
    add(picture, jpeg(draw(scene, rng)))
    return Shown(picture, scene)


def _frames(name: str, frames: Sequence[Pixels], add: AddImage) -> tuple[str, ...]:
    ids = tuple(f"{name}/{n}" for n in range(len(frames)))
    for picture, pixels in zip(ids, frames, strict=True):
        add(picture, jpeg(pixels))
    return ids


def _add_digits(pixels: Pixels, values: NDArray[np.int64], add: AddImage) -> list[list[str]]:
    ids: list[list[str]] = [[] for _ in range(10)]
    for picture, value in zip(pixels, values, strict=True):
        name = f"digit/{value}/{len(ids[value])}"
        add(name, jpeg(picture))
        ids[value].append(name)
    return ids
