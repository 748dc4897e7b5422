"""Telling pictures like those of the training from others, by their features."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from otter.model.familiarity import FILE, Familiarity


def cloud(pictures: int = 2000, dim: int = 12, seed: int = 0) -> Any:
    """Features that lie in a long, thin cloud away from zero."""
    rng = np.random.default_rng(seed)
    shape = np.random.default_rng(9).normal(size=(dim, dim)) * np.geomspace(1, 0.3, dim)
    return 3 + rng.normal(size=(pictures, dim)) @ shape.T


def test_its_own_pictures_are_at_a_distance_of_about_one() -> None:
    known = Familiarity.fit(cloud())
    assert known.distances(cloud(seed=1)).mean() == pytest.approx(1, abs=0.1)


def test_as_many_new_pictures_exceed_the_threshold_as_the_quantile_says() -> None:
    known = Familiarity.fit(cloud(), quantile=0.9)
    exceed = (known.distances(cloud(seed=1)) > known.threshold).mean()
    assert exceed == pytest.approx(0.1, abs=0.03)


def test_pictures_outside_the_cloud_are_far_even_where_each_number_is_usual() -> None:
    features = cloud()
    known = Familiarity.fit(features)
    # Every number taken from a picture of its own: each is usual, but together they are not.
    rng = np.random.default_rng(0)
    mixed = np.stack([rng.permutation(column) for column in features.T], axis=1)
    assert (known.distances(mixed) > known.threshold).mean() > 0.9


def test_a_saved_one_comes_back_the_same(tmp_path: Path) -> None:
    known = Familiarity.fit(cloud(), quantile=0.95)
    assert known.save(tmp_path) == tmp_path / FILE
    again = Familiarity.find(tmp_path)
    assert again is not None
    assert (again.threshold, again.quantile) == (known.threshold, 0.95)
    assert np.array_equal(again.distances(cloud(seed=1)), known.distances(cloud(seed=1)))


def test_a_folder_without_one_has_none(tmp_path: Path) -> None:
    assert Familiarity.find(tmp_path) is None


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"\0" * 40)
    with pytest.raises(ValueError, match=r"familiarity\.safetensors cannot be read \(.*\); delete"):
        Familiarity.find(tmp_path)


@pytest.mark.parametrize("features", [cloud(3), np.ones((5, 4)), cloud(30, dim=40)])
def test_few_or_equal_pictures_still_give_finite_distances(features: Any) -> None:
    known = Familiarity.fit(features)
    assert np.isfinite(known.distances(features + 1)).all()


def test_the_warning_says_what_the_numbers_mean() -> None:
    known = Familiarity(np.zeros(2, np.float32), np.eye(2, dtype=np.float32), 2.04, 0.99)
    assert known.warning(4.13, "otter-nano") == (
        "this picture is unlike what otter-nano was trained on: distance 4.1, threshold 2.0, which "
        "1 % of its own pictures exceed"
    )


@pytest.mark.parametrize(
    ("features", "quantile", "message"),
    [
        (
            np.zeros(5),
            0.99,
            "features of shape (5,): expected [pictures, dim], at least 2 pictures",
        ),
        (
            np.zeros((1, 5)),
            0.99,
            "features of shape (1, 5): expected [pictures, dim], at least 2 pictures",
        ),
        (
            np.full((3, 2), np.nan),
            0.99,
            "features hold numbers that are not finite: check the vision tower",
        ),
        (cloud(9), 99, "quantile = 99: expected between 0 and 1, such as 0.99"),
    ],
    ids=["no pictures", "one picture", "not finite", "quantile"],
)
def test_what_cannot_be_learned_from_is_refused(
    features: Any, quantile: float, message: str
) -> None:
    with pytest.raises(ValueError) as error:
        Familiarity.fit(features, quantile)
    assert str(error.value) == message


def test_features_of_another_tower_are_refused() -> None:
    with pytest.raises(ValueError) as error:
        Familiarity.fit(cloud(dim=4)).distances(np.zeros((2, 5)))
    assert str(error.value) == (
        "features of shape (2, 5): expected [pictures, 4]; they must come from the tower whose "
        "pictures this was learned from"
    )
