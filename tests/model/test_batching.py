"""Distinct pictures and their index, however the media are given."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from otter.media import MediaError
from otter.model import batching
from otter.model.batching import distinct_images


def test_the_example_of_the_docstring(tmp_path: Path) -> None:
    a, b = tmp_path / "a.png", tmp_path / "b.png"
    for path in (a, b):
        Image.new("RGB", (4, 4)).save(path)
    images, index = distinct_images([[a, str(b)], [str(a)]])
    assert len(images) == 2
    assert index.tolist() == [[[0], [1]], [[0], [-1]]]


def test_nothing_at_all_is_an_empty_index() -> None:
    images, index = distinct_images([[], []])
    assert images == []
    assert index.shape == (2, 0, 0)


def test_a_video_shown_twice_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []

    def open_clip(path: str, frames: int) -> list[Image.Image]:
        opened.append((path, frames))
        return [Image.new("RGB", (4, 4), (shade, 0, 0)) for shade in range(frames)]

    monkeypatch.setattr(batching, "open_clip", open_clip)
    images, index = distinct_images([["a.mp4"], [Path("a.mp4")]], num_frames=3)
    assert opened == [("a.mp4", 3)]
    assert len(images) == 3
    assert index.tolist() == [[[0, 1, 2]], [[0, 1, 2]]]


def test_frames_that_exist_only_while_they_are_looked_at_are_kept_apart() -> None:
    class Lazy(Sequence[Image.Image]):
        """Makes a frame anew whenever it is asked for, where the last one may have lain."""

        def __len__(self) -> int:
            return 5

        def __getitem__(self, place: Any) -> Any:
            if place >= 5:
                raise IndexError(place)
            return Image.new("RGB", (4, 4), (place, 0, 0))

    images, index = distinct_images([[Lazy()]])
    assert index.tolist() == [[[0, 1, 2, 3, 4]]]
    assert [image.getpixel((0, 0))[0] for image in images] == [0, 1, 2, 3, 4]


def test_an_array_of_four_dimensions_is_a_clip() -> None:
    images, index = distinct_images([[np.zeros((3, 4, 4, 3), np.uint8), np.zeros((4, 4))]])
    assert len(images) == 4
    assert index.tolist() == [[[0, 1, 2], [3, -1, -1]]]
    with pytest.raises(MediaError) as error:
        distinct_images([[np.zeros((0, 4, 4, 3), np.uint8)]])
    assert str(error.value) == "a clip is an array without frames: expected at least one"
