"""Ink on paper: masks become colour pictures whose colours say nothing about the class."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from otter.nano.glyphs import Mask

Pixels = NDArray[np.uint8]


def colour(masks: Mask, rng: np.random.Generator) -> Pixels:
    """Give each mask its own paper, ink, light and grain.

    Args:
        masks: uint8[pictures, height, width], 255 where there is ink.
        rng: where the colours come from.

    Returns:
        uint8[pictures, height, width, 3]. Ink is lighter than the paper as often as darker, and
        always at least 70 grey levels away from it.
    """
    n, height, width = masks.shape
    paper = rng.uniform(10, 240, (n, 1, 1, 1)) + rng.normal(0, 14, (n, 1, 1, 3))
    ink = rng.uniform(0, 255, (n, 1, 1, 3))
    grey = rng.random(n) < 0.5
    ink[grey] = ink[grey].mean(-1, keepdims=True)
    contrast = ink.mean(-1, keepdims=True) - paper.mean(-1, keepdims=True)
    away = np.where(paper.mean(-1, keepdims=True) < 128, 1, -1) * rng.uniform(70, 130, (n, 1, 1, 1))
    ink = np.where(np.abs(contrast) < 70, paper + away, ink)
    across, down = np.linspace(-1, 1, width), np.linspace(-1, 1, height)
    light = rng.normal(0, 7, (n, 1, 1, 1)) * across[None, None, :, None]
    light = light + rng.normal(0, 7, (n, 1, 1, 1)) * down[None, :, None, None]
    return _mix(masks, paper + light, ink, rng.uniform(1, 9, (n, 1, 1, 1)), rng)


def chalk(masks: Mask, rng: np.random.Generator) -> Pixels:
    """Light ink on a dark board, as scanned digits are shown. Shapes as in :func:`colour`."""
    n = len(masks)
    board = rng.uniform(40, 100, (n, 1, 1, 1)) + rng.normal(0, 8, (n, 1, 1, 3))
    ink = rng.uniform(200, 255, (n, 1, 1, 1)) * np.ones((1, 1, 1, 3))
    return _mix(masks, board, ink, np.full((n, 1, 1, 1), 4.0), rng)


def jpeg(pixels: Pixels) -> bytes:
    """One picture, uint8[height, width, 3], as JPEG bytes."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=90)
    return file.getvalue()


def _mix(
    masks: Mask,
    paper: NDArray[np.floating],
    ink: NDArray[np.floating],
    grain: NDArray[np.floating],
    rng: np.random.Generator,
) -> Pixels:
    """Ink over paper with noise of ``grain`` grey levels; in single precision, which is enough."""
    paper, ink, grain = (part.astype(np.float32) for part in (paper, ink, grain))
    cover = (masks.astype(np.float32) / 255)[..., None]
    pixels = paper * (1 - cover) + ink * cover
    pixels += rng.standard_normal(pixels.shape, dtype=np.float32) * grain
    return np.clip(pixels, 0, 255).astype(np.uint8)
