"""How relevant chosen examples are: nearer to the question than others that might have been taken.

    measured = relevance(index, questions, chosen, others, text_vectors, media_vectors)
    measured["instruction"]     Relevance(chosen=0.81, random=0.12, pairs=4000)

A similarity by itself says little, since pictures of one store all look somewhat alike; so it
stands beside that of records drawn at random under the same rules.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from otter.data.in_context_index import RecordIndex, Rows
from otter.data.in_context_similar import INSTRUCTION, MEDIA

SAME_ANSWER = "same answer"

Vectors: TypeAlias = npt.NDArray[np.floating]
VectorsOf: TypeAlias = Callable[[Rows], Vectors]
"""Gives float[keys, dim] for some keys, each vector of length 1, or 0."""


class Relevance(NamedTuple):
    """A mean over pairs of a question and an example.

    Args:
        chosen: of the examples that were chosen.
        random: of records that were drawn at random instead.
        pairs: how many of the chosen ones were measured.
    """

    chosen: float
    random: float
    pairs: int


def relevance(
    index: RecordIndex,
    questions: Rows,
    chosen: Sequence[Rows],
    others: Sequence[Rows],
    *,
    instructions: VectorsOf,
    media: VectorsOf | None = None,
) -> dict[str, Relevance]:
    """Mean similarities of examples to their questions.

    Args:
        index: of the store.
        questions: int64[n].
        chosen: for each question int64[...], its examples.
        others: for each question int64[...], random records in their place.
        instructions: vectors of codes of ``index.instructions``.
        media: vectors of codes of ``index.media``; None leaves the media out.

    Returns:
        ``"instruction"`` and ``"media"`` as mean cosines, ``"same answer"`` as the share of
        examples whose answer is that of the question. A mean is left out where there is no pair,
        such as of media in a store of texts.
    """
    pairs = _pairs(questions, chosen), _pairs(questions, others)
    measured = {}
    kinds: list[tuple[str, Callable[[Rows, Rows], npt.NDArray[np.float32]]]] = [
        (INSTRUCTION, lambda q, e: _cosines(index.instructions, instructions, q, e)),
        (SAME_ANSWER, lambda q, e: (index.answers[q] == index.answers[e]).astype(np.float32)),
    ]
    if media is not None:
        kinds.insert(1, (MEDIA, lambda q, e: _cosines(index.media, media, q, e)))
    for kind, measure in kinds:
        ours, theirs = (measure(*one) for one in pairs)
        if len(ours) and len(theirs):
            measured[kind] = Relevance(float(ours.mean()), float(theirs.mean()), len(ours))
    return measured


def _pairs(questions: Rows, examples: Sequence[Rows]) -> tuple[Rows, Rows]:
    counts = [len(some) for some in examples]
    flat = np.concatenate([*examples, np.empty(0, dtype=np.int64)]).astype(np.int64)
    return np.repeat(questions, counts), flat


def _cosines(
    codes: npt.NDArray[np.int32], vectors_of: VectorsOf, questions: Rows, examples: Rows
) -> npt.NDArray[np.float32]:
    """float32[pairs]: of those pairs of which both have a code."""
    both = (codes[questions] >= 0) & (codes[examples] >= 0)
    ours, theirs = codes[questions][both], codes[examples][both]
    known, places = np.unique(np.concatenate([ours, theirs]), return_inverse=True)
    if not len(known):
        return np.empty(0, dtype=np.float32)
    vectors = np.asarray(vectors_of(known.astype(np.int64)), dtype=np.float32)
    cosines: npt.NDArray[np.float32] = np.einsum(
        "pd,pd->p", vectors[places[: len(ours)]], vectors[places[len(ours) :]]
    )
    return cosines
