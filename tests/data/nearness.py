"""Neighbours by brute force: what vectors of random numbers say, without any search."""

import numpy as np
import numpy.typing as npt

from otter.data import Candidates, Store
from otter.data.in_context_index import RecordIndex, Rows


class BruteNeighbours:
    """Compares a key with every key of the candidates."""

    def __init__(self, vectors: npt.NDArray[np.float32], keys: Rows) -> None:
        self.vectors = vectors
        self.keys = keys
        self.asked: list[int] = []

    def nearest(self, key: int, count: int) -> Rows:
        self.asked.append(count)
        order = np.argsort(-self.similarities(key, self.keys), kind="stable")
        nearest: Rows = self.keys[order[:count]]
        return nearest

    def similarities(self, key: int, keys: Rows) -> npt.NDArray[np.float32]:
        similarities: npt.NDArray[np.float32] = self.vectors[keys] @ self.vectors[key]
        return similarities


def near_candidates(store: Store, rows: Rows | None = None, seed: int = 0) -> Candidates:
    """Candidates with neighbours of both kinds, near to each other at random."""
    candidates = Candidates(store, rows)
    index: RecordIndex = candidates.index
    generator = np.random.default_rng(seed)
    for kind, codes, groups in (
        ("instruction", index.instructions, candidates.by_instruction),
        ("media", index.media, candidates.by_media),
    ):
        vectors = generator.normal(size=(int(codes.max(initial=0)) + 1, 6)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        candidates.neighbours[kind] = BruteNeighbours(vectors, groups.keys.astype(np.int64))
    return candidates
