"""The tower's school: it learns, and what it gives is centred and of one scale."""

import numpy as np
import pytest
import torch
from PIL import Image

from otter.model.stem_vision import StemVisionConfig, StemVisionModel
from otter.nano import tower as tower_module
from otter.nano.glyphs import SIZE, writings
from otter.nano.scenes import COLOURS, SHAPES, SIZES, Scene, Thing
from otter.nano.start import nano_processor
from otter.nano.tower import (
    TowerPlan,
    _labels,
    glyph_masks,
    nearest_neighbour,
    pooled,
    save_tower,
    to_tensor,
    train_tower,
)

PLAN = TowerPlan(
    classes=30, instances=4, scenes=60, steps=40, pairs=6, scenes_per_step=12, workers=1
)


class School:
    """A short training, its losses, and the pictures by which features were centred."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.steps: list[tuple[int, int]] = []
        coloured = []

        def colour(*args):
            coloured.append(original(*args))
            return coloured[-1]

        original = tower_module.colour
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tower_module, "colour", colour)
            self.tower = train_tower(PLAN, self.note)
        self.centred_on = coloured[-1]

    def note(self, step: int, steps: int, loss: float) -> None:
        self.losses.append(loss)
        self.steps.append((step, steps))


@pytest.fixture(scope="module")
def school() -> School:
    return School()


def test_the_tower_learns(school: School) -> None:
    assert school.steps == [(n, 40) for n in range(1, 41)]
    assert np.mean(school.losses[-5:]) < np.mean(school.losses[:5]) - 0.3


def test_its_features_are_centred_and_of_unit_scale(school: School) -> None:
    assert len(school.centred_on) == PLAN.classes
    features = pooled(school.tower, school.centred_on)
    assert features.shape == (PLAN.classes, 96)
    assert torch.allclose(features.mean(0), torch.zeros(96), atol=1e-4)
    assert torch.allclose(features.std(0), torch.ones(96), atol=1e-3)


def test_the_same_plan_gives_the_same_tower() -> None:
    plan = TowerPlan(classes=8, instances=2, scenes=8, steps=2, pairs=4, scenes_per_step=4)
    one, other = (train_tower(plan).state_dict() for _ in range(2))
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_pictures_reach_the_tower_as_the_processor_gives_them() -> None:
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (3, SIZE, SIZE, 3)).astype(np.uint8)
    images = [Image.fromarray(picture) for picture in pictures]
    given = nano_processor().image_processor(images, return_tensors="pt")["pixel_values"]
    assert torch.allclose(to_tensor(pictures), given, atol=1e-5)


def test_glyphs_drawn_by_several_processes_are_the_same() -> None:
    assert np.array_equal(glyph_masks(range(160), 1, workers=3), writings(range(160), 1))


def test_labels_say_what_is_in_each_place() -> None:
    things = (Thing("moon", "white", "large", 3), Thing("square", "red", "small", 0))
    labels = _labels(Scene(things))
    empty = [len(SHAPES), len(COLOURS), -1]
    assert labels.tolist() == [[1, 0, 0], empty, empty, [len(SHAPES) - 1, len(COLOURS) - 1, 1]]
    assert list(SIZES) == ["small", "large"]


def test_nearest_neighbour_finds_what_features_allow() -> None:
    classes = np.arange(40) % 4
    telling = torch.eye(4)[torch.tensor(classes)] + 0.01 * torch.randn(40, 4)
    assert nearest_neighbour(telling, classes, episodes=200) == 1.0
    assert 0.4 < nearest_neighbour(torch.randn(40, 4), classes, episodes=1000) < 0.6
    assert nearest_neighbour(torch.randn(40, 4), classes, episodes=1000, ways=4) < 0.4


def test_a_saved_tower_is_an_ordinary_checkpoint(tmp_path) -> None:
    tower = StemVisionModel(StemVisionConfig(hidden_size=16, num_attention_heads=2))
    save_tower(tower, tmp_path / "tower")
    back = StemVisionModel.from_pretrained(tmp_path / "tower")
    assert all(torch.equal(v, back.state_dict()[name]) for name, v in tower.state_dict().items())
