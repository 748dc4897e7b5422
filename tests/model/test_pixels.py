"""The short cut past an image processor gives its numbers to the last bit."""

from typing import Any

import numpy as np
import pytest
from PIL import Image
from transformers import CLIPImageProcessorPil, SiglipImageProcessorPil, ViTImageProcessorPil

from otter.model import pixels
from otter.model.pixels import pixel_values

CLIP = CLIPImageProcessorPil(size={"shortest_edge": 24}, crop_size={"height": 24, "width": 24})
EVERY_VALUE = np.arange(3 * 24 * 24).reshape(24, 24, 3) % 256


def picture(width: int = 24, height: int = 24, seed: int = 0) -> Image.Image:
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    "processor",
    [
        CLIP,
        SiglipImageProcessorPil(size={"height": 24, "width": 24}),
        ViTImageProcessorPil(size={"height": 24, "width": 24}),
        CLIPImageProcessorPil(do_resize=False, do_center_crop=False),
        CLIPImageProcessorPil(do_resize=False, do_center_crop=False, do_normalize=False),
        CLIPImageProcessorPil(do_resize=False, do_center_crop=False, do_rescale=False),
    ],
    ids=["clip", "siglip", "vit", "as it is", "not normalized", "not rescaled"],
)
def test_pictures_of_the_right_size_are_exactly_what_the_image_processor_gives(
    processor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [Image.fromarray(EVERY_VALUE.astype(np.uint8)), picture(seed=1)]
    expected = processor(images, return_tensors="np")["pixel_values"]
    # What is not looked up would go through the image processor's own steps.
    monkeypatch.setattr(type(processor), "__call__", None)
    given = pixel_values(processor, images)
    assert given.dtype == np.float32
    assert np.array_equal(given, expected)


def test_pictures_of_all_sizes_keep_their_order() -> None:
    images = [picture(24, 24, 0), picture(30, 24, 1), picture(24, 24, 2), picture(24, 50, 3)]
    expected = CLIP(images, return_tensors="np")["pixel_values"]
    assert np.array_equal(pixel_values(CLIP, images), expected)


def test_options_reach_the_image_processor() -> None:
    images = [picture(), picture(seed=1)]
    expected = CLIP(images, return_tensors="np", do_normalize=False)["pixel_values"]
    assert np.array_equal(pixel_values(CLIP, images, do_normalize=False), expected)


def test_a_class_with_a_step_of_its_own_is_not_cut_short() -> None:
    class Inverting(CLIPImageProcessorPil):
        def rescale(self, image: Any, scale: float, **kwargs: Any) -> Any:
            return 1 - super().rescale(image, scale, **kwargs)

    own = Inverting(size={"shortest_edge": 24}, crop_size={"height": 24, "width": 24})
    assert not pixels._is_left_alone(own, 24, 24)
    assert np.array_equal(
        pixel_values(own, [picture()]), own([picture()], return_tensors="np")["pixel_values"]
    )


@pytest.mark.parametrize(("width", "height"), [(25, 24), (24, 25), (48, 48)])
def test_other_sizes_are_resized(width: int, height: int) -> None:
    assert not pixels._is_left_alone(CLIP, width, height)
    assert pixel_values(CLIP, [picture(width, height)]).shape == (1, 3, 24, 24)
