"""A nano world of a few hundred pictures, drawn once."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from otter.data import Store
from otter.nano import exam as exam_module
from otter.nano import pictures as pictures_module
from otter.nano.pictures import PictureCounts, Pictures, draw_pictures
from otter.nano.scenes import Scene
from otter.nano.world import TUNING, Stage, write_world

TINY = PictureCounts(
    range(7000, 7012), glyph_instances=10, per_kind=3, scenes=60, pairs=40, clips=30, stories=30
)
MANY_CLASSES = PictureCounts(
    range(7000, 7160), glyph_instances=2, per_kind=1, scenes=3, pairs=2, clips=2, stories=2
)
"""Enough blocks of classes to be shared out among processes."""
TINY_STAGE = replace(TUNING, groups=200, pictures=TINY)


class Drawn:
    """Pictures, their bytes by id, and the scenes that the frames of clips were drawn from."""

    def __init__(self, counts: PictureCounts, seed: int = 5) -> None:
        self.jpegs: dict[str, bytes] = {}
        self.scenes_of: dict[tuple[str, ...], list[Scene]] = {}
        drawn: list[list[Scene]] = []

        def remember(scene: Scene, rng: np.random.Generator) -> pictures_module.Pixels:
            drawn.append([scene])
            return draw(scene, rng)

        def remember_frames(
            scenes: list[Scene], rng: np.random.Generator
        ) -> list[pictures_module.Pixels]:
            drawn.append(scenes)
            return draw_frames(scenes, rng)

        draw, draw_frames = pictures_module.draw, pictures_module.draw_frames
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pictures_module, "draw", remember)
            patch.setattr(pictures_module, "draw_frames", remember_frames)
            self.pictures: Pictures = draw_pictures(counts, self.jpegs.__setitem__, seed)
        # Stories are drawn last, three pictures each; before them pairs and clips, whole.
        stories = self.pictures.stories
        singles = [scene for [scene] in drawn[-3 * len(stories) :]]
        for n, story in enumerate(stories):
            self.scenes_of[story.frames] = singles[3 * n : 3 * n + 3]
        clips = [*self.pictures.pairs, *self.pictures.clips]
        whole = drawn[: -3 * len(stories)][-len(clips) :]
        for clip, scenes in zip(clips, whole, strict=True):
            self.scenes_of[clip.frames] = scenes


@pytest.fixture(scope="session")
def drawn() -> Drawn:
    """With kinds that are held out."""
    return Drawn(replace(TINY, held_out_kinds=True))


@pytest.fixture(scope="session")
def stage() -> Stage:
    """A stage of tuning in small."""
    return TINY_STAGE


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """What :func:`stage` makes."""
    folder = tmp_path_factory.mktemp("nano") / "world"
    write_world(folder, TINY_STAGE, workers=1)
    return Store(folder)


@contextmanager
def _small_exam() -> Iterator[PictureCounts]:
    counts = replace(
        exam_module.EXAM_PICTURES,
        glyph_classes=exam_module.TEST_CLASSES[:8],
        **{"glyph_instances": 10, "per_kind": 10, "scenes": 60},
        **{"pairs": 20, "clips": 20, "stories": 20},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exam_module, "EXAM_PICTURES", counts)
        yield counts


@pytest.fixture
def small_exam() -> Iterator[PictureCounts]:
    """Makes every exam a small one, but for the digits, of which there are all."""
    with _small_exam() as counts:
        yield counts


@pytest.fixture(scope="session")
def exam(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Four questions of each task."""
    folder = tmp_path_factory.mktemp("nano") / "exam"
    with _small_exam():
        exam_module.write_exam(folder, groups=4, workers=1)
    return Store(folder)


def groups(store: Store, task: str | None = None) -> list[list[int]]:
    """The rows of each group, in order, the question last."""
    rows = range(len(store)) if task is None else [int(row) for row in store.rows(tasks=task)]
    found = []
    for row in rows:
        record = store.record(row)
        if record.related:
            found.append([*(int(other) for other in record.related), row])
    return found
