"""The loss: cross-entropy at the learned tokens, each with its weight, over the sum of all weights.

    text      <image> User : dogs ? GPT : <answer>  two  dogs  <|endofchunk|>
    labels       -     -   -   -  -  -  -    -      two  dogs  <|endofchunk|>
    weights      0     0   0   0  0  0  0    0       1    0.3       0.3

for an answer of weight 1 with ``rest_weight = 0.3``. The sum of the weights is taken over all that
is between two optimizer steps, on all devices: one batch of four gives the same gradient as two
batches of two.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

NOT_LEARNED = -100


class Targets(NamedTuple):
    """What is to be predicted, and where.

    Args:
        positions: long[kept], the text positions whose next token is learned in any row.
        labels: long[batch, kept], the next tokens there, -100 where the row learns nothing.
        weights: float[batch, kept], what each counts.
    """

    positions: Tensor
    labels: Tensor
    weights: Tensor


def weigh_tokens(labels: Tensor, label_weights: Tensor, rest_weight: float = 1.0) -> Tensor:
    """What each token counts: the weight of its turn; after an answer's first, a share of it.

    Args:
        labels: long[batch, text], -100 where nothing is learned.
        label_weights: float[batch, text], the weight of the turn.
        rest_weight: of every token of an answer but its first.

    Returns:
        float[batch, text], 0 where nothing is learned.
    """
    rest = torch.where(answer_starts(labels), 1.0, rest_weight)
    return label_weights * rest * (labels != NOT_LEARNED)


def answer_starts(labels: Tensor) -> Tensor:
    """bool[batch, text], true at the first token of each learned answer."""
    learned = labels != NOT_LEARNED
    starts = learned.clone()
    starts[:, 1:] &= ~learned[:, :-1]
    return starts


def next_tokens(labels: Tensor, weights: Tensor) -> Targets:
    """Shift labels to the positions that predict them, and drop positions that no row learns from.

    The vocabulary projection then runs at those positions alone: with 32,000 words it is the
    largest tensor of a step.
    """
    labels, weights = labels[:, 1:], weights[:, 1:]
    positions = (labels != NOT_LEARNED).any(0).nonzero().flatten()
    if not len(positions):
        positions = torch.zeros(1, dtype=torch.long)  # a model cannot compute no logits at all
    return Targets(positions, labels[:, positions], weights[:, positions])


def weighted_cross_entropy(
    logits: Tensor, labels: Tensor, weights: Tensor, total: Tensor | float
) -> Tensor:
    """The weighted sum of the cross-entropies of the learned tokens, divided by ``total``.

    Args:
        logits: float[batch, kept, vocabulary], at the positions of :class:`Targets`.
        labels: long[batch, kept], the tokens that they predict, -100 where nothing is learned.
        weights: float[batch, kept], of the labels.
        total: what the sum is divided by: the weights of the whole optimizer step.

    Returns:
        A scalar, 0 (and still with a gradient) where nothing is learned.
    """
    learned = labels != NOT_LEARNED
    losses = functional.cross_entropy(logits[learned].float(), labels[learned], reduction="none")
    return (losses * weights[learned]).sum() / total
