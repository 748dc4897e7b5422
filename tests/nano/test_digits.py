"""The handwritten digits: all of them, in ten classes, and a helpful error without scikit-learn."""

import sys
from pathlib import Path

import numpy as np
import pytest

from otter.nano.digits import digits
from otter.nano.exam import write_exam
from otter.nano.glyphs import SIZE


def test_there_are_1797_pictures_in_ten_classes() -> None:
    pictures, values = digits()
    assert pictures.shape == (1797, SIZE, SIZE, 3)
    assert pictures.dtype == np.uint8
    assert sorted(set(values.tolist())) == list(range(10))
    assert np.bincount(values).min() > 170


def test_they_are_the_same_every_time() -> None:
    (one, _), (other, _), (third, _) = digits(), digits(), digits(seed=78)
    assert np.array_equal(one, other)
    assert not np.array_equal(one, third)


def test_without_scikit_learn_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    message = "^the handwritten digits need scikit-learn: pip install 'scikit-learn'$"
    with pytest.raises(ModuleNotFoundError, match=message):
        digits()
    with pytest.raises(ModuleNotFoundError, match=message):
        write_exam(tmp_path / "exam")
    assert not list(tmp_path.iterdir())
