"""Do the examples matter, and their pictures? Episodes that are wrong on purpose.

A control takes an episode and returns one in which a single thing is broken. Two examples and a
question, each written picture→answer:

    true               A→dax  B→wug   A→?     dax
    pictures-swapped   B→dax  A→wug   A→?     wug: what the examples now say
    answers-shuffled   A→wug  B→dax   A→?
    pictures-removed    →dax   →wug   A→?
    order-reversed     B→wug  A→dax   A→?     dax

A model that reads the examples' pictures follows the swap; one that only reads their text does
not notice. ``episode.answer`` of what is returned is what the examples, as they are now, make
right: under the swap the *other* name, otherwise the old one. A control returns None where it has
nothing to break.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from otter.prompt import Episode, Example

Control: TypeAlias = Callable[[Episode, np.random.Generator], Episode | None]

PICTURES_SWAPPED = "pictures-swapped"
ANSWERS_SHUFFLED = "answers-shuffled"
PICTURES_REMOVED = "pictures-removed"
ORDER_REVERSED = "order-reversed"


def pictures_swapped(episode: Episode, rng: np.random.Generator) -> Episode | None:
    """Every example shows the pictures of an example that has another answer.

    Two answers exchange their pictures; of more answers, each takes those of the next on a random
    circle. Where an answer has fewer pictures than it must give (dax twice, wug once), they are
    shown again. None with fewer than two different answers, or without pictures.
    """
    answers = list(dict.fromkeys(example.answer for example in episode.examples))
    if len(answers) < 2 or not any(example.media for example in episode.examples):
        return None
    circle = [answers[index] for index in rng.permutation(len(answers))]
    donor_of = {answer: circle[(place + 1) % len(circle)] for place, answer in enumerate(circle)}
    pictures = {
        answer: [example.media for example in episode.examples if example.answer == answer]
        for answer in answers
    }
    for media in pictures.values():
        rng.shuffle(media)
    given: Counter[str] = Counter()
    examples: list[Example] = []
    for example in episode.examples:
        available = pictures[donor_of[example.answer]]
        examples.append(replace(example, media=available[given[example.answer] % len(available)]))
        given[example.answer] += 1
    # The question's pictures are those of its answer, which now stand beside the answer that took
    # them.
    taken_by = {donor: answer for answer, donor in donor_of.items()}
    implied = None if episode.answer is None else taken_by.get(episode.answer, episode.answer)
    return replace(episode, examples=tuple(examples), answer=implied)


def answers_shuffled(episode: Episode, rng: np.random.Generator) -> Episode | None:
    """The examples' answers in a random other order; None where all answers are the same."""
    answers = [example.answer for example in episode.examples]
    if len(set(answers)) < 2:
        return None
    shuffled = [answers[index] for index in rng.permutation(len(answers))]
    while shuffled == answers:
        shuffled = [*shuffled[1:], shuffled[0]]
    examples = tuple(
        replace(example, answer=answer)
        for example, answer in zip(episode.examples, shuffled, strict=True)
    )
    return replace(episode, examples=examples)


def pictures_removed(episode: Episode, rng: np.random.Generator) -> Episode | None:
    """The examples keep their text only; None where they had no pictures."""
    if not any(example.media for example in episode.examples):
        return None
    return replace(
        episode, examples=tuple(replace(example, media=()) for example in episode.examples)
    )


def order_reversed(episode: Episode, rng: np.random.Generator) -> Episode | None:
    """The last example first; None with fewer than two examples."""
    if len(episode.examples) < 2:
        return None
    return replace(episode, examples=tuple(reversed(episode.examples)))


CONTROLS: dict[str, Control] = {
    PICTURES_SWAPPED: pictures_swapped,
    ANSWERS_SHUFFLED: answers_shuffled,
    PICTURES_REMOVED: pictures_removed,
    ORDER_REVERSED: order_reversed,
}
"""The controls by the name under which predictions and tables know them."""


def majority_answer(answers: Sequence[str]) -> str | None:
    """The most frequent of the examples' answers, the earliest of equals; None without examples."""
    return Counter(answers).most_common(1)[0][0] if answers else None


def last_answer(answers: Sequence[str]) -> str | None:
    """The answer of the example right before the question; None without examples."""
    return answers[-1] if answers else None
