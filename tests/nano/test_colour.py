"""Colours: legible, of either polarity, and without a word about the class."""

import io

import numpy as np
import pytest
from PIL import Image

from otter.nano.colour import chalk, colour, jpeg

MASKS = np.zeros((400, 12, 12), np.uint8)
MASKS[:, 3:9, 3:9] = 255


def contrasts(pixels: np.ndarray) -> np.ndarray:
    """Grey level of the ink minus that of the paper around it, for each picture."""
    grey = pixels.astype(float).mean(-1)
    return grey[MASKS > 0].reshape(400, -1).mean(1) - grey[MASKS == 0].reshape(400, -1).mean(1)


def test_ink_can_be_told_from_paper_and_is_lighter_or_darker() -> None:
    found = contrasts(colour(MASKS, np.random.default_rng(0)))
    assert np.abs(found).min() > 45  # 70 before noise, and before what is cut off at white
    assert 0.3 < (found > 0).mean() < 0.7


def test_digits_are_chalk_on_a_board() -> None:
    assert contrasts(chalk(MASKS, np.random.default_rng(0))).min() > 70


def test_colours_depend_on_the_generator_alone() -> None:
    one, other, third = (colour(MASKS, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(one, other)
    assert not np.array_equal(one, third)


@pytest.mark.parametrize("make", [colour, chalk])
def test_a_picture_survives_as_jpeg(make) -> None:
    [pixels] = make(MASKS[:1], np.random.default_rng(0))
    read = np.asarray(Image.open(io.BytesIO(jpeg(pixels))))
    assert read.shape == pixels.shape == (12, 12, 3)
    assert np.abs(read.astype(float) - pixels).mean() < 12
