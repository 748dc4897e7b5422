"""Real pictures: the 1,797 handwritten digits that come with scikit-learn.

UCI Optical Recognition of Handwritten Digits (Alpaydin & Kaynak 1998). They are for evaluation
only: no training stage of any nano model sees one of them, or any picture of a digit.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from otter.nano.colour import Pixels, chalk
from otter.nano.glyphs import SIZE

SIDE = 40
"""A scan's side, in pixels, once it is enlarged from 8 by 8."""


def digits(seed: int = 77) -> tuple[Pixels, NDArray[np.int64]]:
    """Every digit as a nano picture, and what it is.

    Returns:
        uint8[1797, SIZE, SIZE, 3] and int[1797] in 0..9.

    Raises:
        ModuleNotFoundError: scikit-learn is missing; the message says how to install it.
    """
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "the handwritten digits need scikit-learn: pip install 'scikit-learn'"
        ) from error
    scans = load_digits()
    rng = np.random.default_rng(seed)
    masks = np.zeros((len(scans.target), SIZE, SIZE), np.uint8)
    for mask, scan in zip(masks, scans.images, strict=True):
        small = Image.fromarray((scan / 16 * 255).astype(np.uint8))
        left, top = rng.integers(0, SIZE - SIDE + 1, 2)
        large = small.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        mask[top : top + SIDE, left : left + SIDE] = np.asarray(large)
    return chalk(masks, rng), np.asarray(scans.target)
