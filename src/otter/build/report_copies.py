"""Copies and near copies: of texts by MinHash over three-word shingles, of pictures by their look.

Exact copies are counted over everything by hashes. Near copies are looked for in a sample, and the
share found there is a lower bound: a larger sample finds more partners.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from PIL import Image

from otter.build.text_hashes import Hashes, list_hashes, mixed, repeated, text_hashes
from otter.data import Store
from otter.media import MediaError, open_image

SIMILAR_TEXT = 0.7
"""From so much overlap of their shingles (Jaccard) on two texts are near copies."""
SHINGLE = 3
_BANDS, _ROWS = 16, 4
_MIN_WORDS = 5

SIMILAR_BITS = 8
"""Pictures whose 64-bit perceptual hashes differ in at most so many bits are looked at closer,"""
SIMILAR_PIXELS, OTHER_PIXELS = 6.0, 2
"""and are near copies if their thumbnails differ by less than this on average, of 255, and at most
two of their 256 pixels by more than five times as much: one small thing more is another picture."""
_THUMB = 16
_FLAT = 4.0

Pairs = npt.NDArray[np.int64]


def exact_copies(store: Store) -> dict[str, Any]:
    """Shares of repeated instructions, answers, questions with media, and whole records."""
    instructions, answers = (
        text_hashes(store.column(field)) for field in ("instruction", "answer")
    )
    media = media_hashes(store)
    total = len(store) or 1
    questions = mixed(instructions) + media
    wholes = mixed(questions) + answers
    return {
        name: {"repeated": len(rows), "share": len(rows) / total}
        for name, rows in (
            ("instruction", repeated(instructions)),
            ("answer", repeated(answers)),
            ("question with media", repeated(questions)),
            ("record", repeated(wholes)),
        )
    }


def media_hashes(store: Store) -> Hashes:
    """uint64[records]: equal where two records show the same pictures in the same media."""
    parts = []
    for media in store.column("media").chunks:
        frames = media.flatten()
        lengths = frames.value_lengths().to_numpy()
        images = frames.flatten().to_numpy().astype(np.int64)
        ends = np.zeros(len(images), dtype=np.int64)
        ends[np.cumsum(lengths)[lengths > 0] - 1] = 1
        bounds = np.concatenate([[0], np.cumsum(lengths)])
        media_bounds = np.concatenate([[0], np.cumsum(media.value_lengths().to_numpy())])
        parts.append(list_hashes(images * 2 + ends, bounds[media_bounds]))
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.uint64)


def near_texts(texts: Sequence[str]) -> dict[str, Any]:
    """Near copies among different texts.

    Args:
        texts: each once; those of fewer than five words are passed over.
    """
    words = [re.findall(r"\w+", text.lower()) for text in texts]
    kept = [place for place, own in enumerate(words) if len(own) >= _MIN_WORDS]
    shingles, starts = _shingles([words[place] for place in kept])
    pairs = _similar_sets(shingles, starts)
    in_pairs = np.unique(pairs)
    examples = [[texts[kept[a]], texts[kept[b]]] for a, b in _spread_out(pairs, 5)]
    return {
        "compared": len(kept),
        "with_near_copy": len(in_pairs),
        "share": len(in_pairs) / (len(kept) or 1),
        "pairs": examples,
    }


def near_pictures(
    store: Store, rows: npt.NDArray[np.int64], on_progress: Callable[[int, int], None]
) -> dict[str, Any]:
    """Near copies among different pictures.

    Args:
        store: where they are.
        rows: int64[pictures], which ones are compared.
        on_progress: told (pictures decoded, pictures).
    """
    thumbs, kept, unreadable = [], [], 0
    for done, row in enumerate(rows.tolist(), start=1):
        try:
            picture = open_image(store.image_bytes(row))
        except MediaError:
            unreadable += 1
        else:
            thumbs.append(_thumb(picture))
            kept.append(row)
        on_progress(done, len(rows))
    stack = np.stack(thumbs) if thumbs else np.empty((0, 2 * _THUMB, 2 * _THUMB, 3), np.float32)
    grey = stack.mean(axis=-1)
    structured = np.flatnonzero(grey.std(axis=(1, 2)) >= _FLAT)
    pairs = structured[_similar_pictures(stack[structured])]
    in_pairs = np.unique(pairs)
    return {
        "compared": len(structured),
        "unreadable": unreadable,
        "without_structure": len(kept) - len(structured),
        "with_near_copy": len(in_pairs),
        "share": len(in_pairs) / (len(structured) or 1),
        "pairs": [[kept[a], kept[b]] for a, b in _spread_out(pairs, 6)],
    }


def _shingles(words: Sequence[Sequence[str]]) -> tuple[Hashes, npt.NDArray[np.int64]]:
    """Hashes of the shingles of all texts, and where those of each text start."""
    joined: list[str] = []
    starts = [0]
    for own in words:
        joined += {" ".join(own[i : i + SHINGLE]) for i in range(len(own) - SHINGLE + 1)}
        starts.append(len(joined))
    return text_hashes(pa.array(joined, pa.string())), np.array(starts, dtype=np.int64)


def _similar_sets(shingles: Hashes, starts: npt.NDArray[np.int64]) -> Pairs:
    """int64[pairs, 2]: sets that overlap by at least SIMILAR_TEXT, each with its first partner."""
    count = len(starts) - 1
    if count < 2:
        return np.empty((0, 2), dtype=np.int64)
    found = set()
    sets: dict[int, frozenset[int]] = {}

    def members(place: int) -> frozenset[int]:
        if place not in sets:
            sets[place] = frozenset(shingles[starts[place] : starts[place + 1]].tolist())
        return sets[place]

    for band in range(_BANDS):
        key = np.zeros(count, dtype=np.uint64)
        for row in range(_ROWS):
            seed = mixed(np.array([band * _ROWS + row + 1], dtype=np.uint64))
            key = mixed(key + np.minimum.reduceat(mixed(shingles ^ seed), starts[:-1]))
        order = np.argsort(key, kind="stable")
        same = np.flatnonzero(key[order][1:] == key[order][:-1])
        # Neighbours in a bucket stand for all of it: a copy of many needs only one partner.
        for place in same.tolist():
            found.add((int(order[place]), int(order[place + 1])))
    pairs = [
        pair
        for pair in sorted(found)
        if len(members(pair[0]) & members(pair[1]))
        >= SIMILAR_TEXT * len(members(pair[0]) | members(pair[1]))
    ]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _thumb(picture: Image.Image) -> npt.NDArray[np.float32]:
    side = 2 * _THUMB
    small = picture.resize((side, side), Image.Resampling.BILINEAR, reducing_gap=2.0)
    return np.asarray(small, dtype=np.float32)


def _similar_pictures(thumbs: npt.NDArray[np.float32]) -> Pairs:
    """int64[pairs, 2]: pictures that look the same but for compression, size or small edits."""
    if len(thumbs) < 2:
        return np.empty((0, 2), dtype=np.int64)
    hashes = perceptual_hashes(thumbs.mean(axis=-1))
    small = thumbs.reshape(len(thumbs), _THUMB, 2, _THUMB, 2, 3).mean(axis=(2, 4))
    pairs = []
    for first in range(0, len(hashes), 512):
        bits = np.bitwise_count(hashes[first : first + 512, None] ^ hashes[None])
        for a, b in np.argwhere(bits <= SIMILAR_BITS):
            a += first
            if a < b and _look_the_same(small[a], small[b]):
                pairs.append((int(a), int(b)))
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _look_the_same(thumb: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> bool:
    difference = np.abs(thumb - other).max(axis=-1)
    others = int((difference > 5 * SIMILAR_PIXELS).sum())
    return bool(difference.mean() < SIMILAR_PIXELS and others <= OTHER_PIXELS)


def perceptual_hashes(grey: npt.NDArray[np.float32]) -> Hashes:
    """64 bits for each picture: which of its low frequencies are above their median.

    Args:
        grey: float[pictures, side, side].

    Returns:
        uint64[pictures].
    """
    side = grey.shape[-1]
    place = np.arange(side)
    cosines = np.cos(np.pi * (2 * place + 1) * np.arange(8)[:, None] / (2 * side))
    low = (cosines @ grey @ cosines.T).reshape(len(grey), 64)
    low[:, 0] = 0  # the mean brightness, which a change of exposure moves
    bits = low > np.median(low, axis=1, keepdims=True)
    packed: Hashes = np.packbits(bits, axis=1).view(np.uint64)[:, 0]
    return packed


def _spread_out(pairs: Pairs, count: int) -> list[tuple[int, int]]:
    """Some of the pairs, from the first to the last."""
    chosen = np.linspace(0, len(pairs) - 1, min(count, len(pairs))).astype(int)
    return [(int(a), int(b)) for a, b in pairs[chosen]]
