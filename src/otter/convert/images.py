"""The two ways in which the originals prepared a picture, as Hugging Face image processors.

``clip``
    Shortest edge to the size of the tower, centre crop, CLIP's mean and deviation: OpenFlamingo in
    training and use, the 2023 Otter in use.
``training-2023``
    Resized to a square whatever the shape, mean and deviation rounded to three digits: the 2023
    Otter in training, so what its weights know.
"""

from transformers import CLIPImageProcessorPil

TRANSFORMS = ("clip", "training-2023")

_ROUNDED_MEAN = [0.481, 0.458, 0.408]
_ROUNDED_STD = [0.269, 0.261, 0.276]


def image_processor(transform: str, size: int) -> CLIPImageProcessorPil:
    """An image processor.

    Args:
        transform: one of :data:`TRANSFORMS`.
        size: height and width that the tower takes, in pixels.

    Raises:
        ValueError: an unknown transform.
    """
    if transform not in TRANSFORMS:
        raise ValueError(
            f"image transform {transform!r}: expected one of {', '.join(map(repr, TRANSFORMS))}"
        )
    square = {"height": size, "width": size}
    if transform == "clip":
        return CLIPImageProcessorPil(size={"shortest_edge": size}, crop_size=square)
    return CLIPImageProcessorPil(
        size=square, do_center_crop=False, image_mean=_ROUNDED_MEAN, image_std=_ROUNDED_STD
    )
