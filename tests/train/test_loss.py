"""Which tokens count how much, and the loss over them."""

import math

import torch
from torch import Tensor

from otter.train.loss import answer_starts, next_tokens, weigh_tokens, weighted_cross_entropy

NO = -100
#                       two answers of 2 and 3 tokens,   one of 1 token
LABELS = torch.tensor([[NO, 7, 8, NO, NO, 3, 4, 5], [NO, NO, NO, NO, NO, 9, NO, NO]])


def test_the_first_token_of_each_answer_is_found() -> None:
    assert answer_starts(LABELS).nonzero().tolist() == [[0, 1], [0, 5], [1, 5]]


def test_tokens_after_the_first_of_an_answer_count_less() -> None:
    turns = torch.tensor([[0, 1, 1, 0, 0, 2, 2, 2], [0, 0, 0, 0, 0, 1, 0, 0]])
    weights = weigh_tokens(LABELS, turns, rest_weight=0.5)
    assert weights.tolist() == [[0, 1, 0.5, 0, 0, 2, 1, 1], [0, 0, 0, 0, 0, 1, 0, 0]]


def test_only_positions_that_predict_a_learned_token_are_kept() -> None:
    positions, labels, weights = next_tokens(LABELS, torch.ones(2, 8))
    assert positions.tolist() == [0, 1, 4, 5, 6]
    assert labels.tolist() == [[7, 8, 3, 4, 5], [NO, NO, 9, NO, NO]]
    assert weights.shape == labels.shape


def test_a_batch_without_anything_to_learn_keeps_one_position() -> None:
    positions, labels, _ = next_tokens(torch.full((2, 5), NO), torch.zeros(2, 5))
    assert positions.tolist() == [0]
    assert labels.tolist() == [[NO], [NO]]


def naive(logits: Tensor, weights: Tensor, total: float) -> float:
    """The definition, token by token."""
    summed = 0.0
    for row, t in (LABELS != NO).nonzero().tolist():
        scores = logits[row, t - 1].tolist()
        log_sum = math.log(sum(math.exp(score) for score in scores))
        summed += weights[row, t].item() * (log_sum - scores[LABELS[row, t]])
    return summed / total


def test_the_loss_equals_its_definition_token_by_token() -> None:
    logits, turns = torch.randn(2, 8, 11), torch.rand(2, 8)
    weights = weigh_tokens(LABELS, turns, rest_weight=0.3)
    positions, labels, kept = next_tokens(LABELS, weights)
    loss = weighted_cross_entropy(logits[:, positions], labels, kept, total=2.5)
    assert math.isclose(loss.item(), naive(logits, weights, 2.5), rel_tol=1e-5)


def test_two_halves_of_a_batch_add_up_to_the_whole() -> None:
    logits = torch.randn(2, 5, 11, requires_grad=True)
    _, labels, weights = next_tokens(LABELS, weigh_tokens(LABELS, torch.rand(2, 8)))
    total = weights.sum()
    whole = weighted_cross_entropy(logits, labels, weights, total)
    (expected,) = torch.autograd.grad(whole, logits)
    for row in (slice(0, 1), slice(1, 2)):
        weighted_cross_entropy(logits[row], labels[row], weights[row], total).backward()
    torch.testing.assert_close(logits.grad, expected)


def test_nothing_learned_is_a_loss_of_zero_with_a_gradient() -> None:
    logits = torch.randn(1, 2, 11, requires_grad=True)
    loss = weighted_cross_entropy(logits, torch.full((1, 2), NO), torch.zeros(1, 2), total=1.0)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()
