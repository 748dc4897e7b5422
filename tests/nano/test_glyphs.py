"""Glyph classes: a number is a class for ever, and its writings differ."""

import numpy as np
import pytest

from otter.nano.glyphs import POINTS, SIZE, glyph_class, write, writings


def test_a_number_always_means_the_same_strokes() -> None:
    alone, among_others = writings([7012], 3), writings([7011, 7012], 3)
    assert np.array_equal(alone[0], among_others[1])
    assert not np.array_equal(among_others[0], among_others[1])


@pytest.mark.parametrize("seed", range(20))
def test_a_class_is_one_to_four_strokes_centred_and_one_long(seed: int) -> None:
    strokes = glyph_class(np.random.default_rng(seed))
    assert 1 <= len(strokes) <= 4
    assert strokes.shape[1:] == (POINTS, 2)
    low, high = strokes.min((0, 1)), strokes.max((0, 1))
    assert (high - low).max() == pytest.approx(1)
    assert low + high == pytest.approx(np.zeros(2), abs=1e-9)


def test_every_writing_is_another_and_all_are_legible() -> None:
    masks = write(glyph_class(np.random.default_rng(7)), 20, np.random.default_rng(1))
    assert masks.shape == (20, SIZE, SIZE)
    assert masks.dtype == np.uint8
    assert len({mask.tobytes() for mask in masks}) == 20
    ink = (masks > 127).mean((1, 2))
    assert (ink > 0.02).all()
    assert (ink < 0.8).all()


def test_a_careless_hand_strays_further() -> None:
    strokes = glyph_class(np.random.default_rng(3))

    def spread(hand: float) -> float:
        masks = write(strokes, 60, np.random.default_rng(0), hand)
        return float(masks.astype(float).std(0).mean())

    assert spread(1.9) > spread(1.0)
