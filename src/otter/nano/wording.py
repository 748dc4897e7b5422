"""How questions and numbers are worded: many ways to ask the same, some kept for evaluation.

A question for a name is made of parts, so that there are hundreds; :func:`ask_name` draws one.
Every tenth, by its checksum, is held out of training.
"""

import zlib

import numpy as np

# fmt: off
NUMBERS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve",
)
# fmt: on

_OPENINGS = (
    "what is {it}",
    "what is {it} called",
    "what do you call {it}",
    "what would you call {it}",
    "what do they call {it}",
    "which word goes with {it}",
    "which name fits {it}",
    "what is the word for {it}",
    "what is the name of {it}",
    "name {it}",
    "say the name of {it}",
    "give the word for {it}",
    "tell me what {it} is",
    "how is {it} called",
    "and {it}",
)
_THINGS = (
    "this",
    "this one",
    "this thing",
    "this picture",
    "it",
    "the thing here",
    "the one you see",
)
_ENDINGS = ("?", ".", " please.", " now?")

NAME_QUESTIONS = tuple(
    opening.format(it=thing) + ending
    for opening in _OPENINGS
    for thing in _THINGS
    for ending in _ENDINGS
)

WORDINGS: dict[str, tuple[str, ...]] = {
    "count": ("how many shapes are there?", "how many things do you see?", "count the shapes."),
    "count_colour": (
        "how many {colour} shapes are there?",
        "count the {colour} ones.",
        "how many are {colour}?",
    ),
    "colour": (
        "what colour is the {shape}?",
        "which colour does the {shape} have?",
        "the {shape} is of what colour?",
    ),
    "shape": (
        "what shape is {colour}?",
        "which shape is the {colour} one?",
        "what is the {colour} thing?",
    ),
    "where": ("where is the {colour} {shape}?", "where do you see the {colour} {shape}?"),
    "at": ("what is at the {place}?", "what do you see at the {place}?"),
    "yes_no": ("is there a {colour} {shape}?", "do you see a {colour} {shape}?"),
    "describe": ("describe the picture.", "what does the picture show?", "say all that is there."),
    "difference": ("what changed between the two?", "what is the difference?", "what has changed?"),
    "motion": ("which way does the {colour} {shape} move?", "where does the {colour} {shape} go?"),
    "story": ("how many come next?", "what number of shapes comes next?"),
    "same": ("are these the same sign?", "do the two show the same sign?"),
    "rule": (
        "what number goes with this picture?",
        "which number belongs here?",
        "what is the number of this picture?",
    ),
    "format_colour": (
        "tell me the colour of the {shape}.",
        "colour of the {shape}, in your words?",
    ),
    "format_shape": ("tell me the shape that is {colour}.", "the {colour} shape, in your words?"),
}


def ask_name(rng: np.random.Generator, *, held_out: bool = False) -> str:
    """A question for a name, in words that are trained or in words that never are."""
    while True:
        question = NAME_QUESTIONS[rng.integers(len(NAME_QUESTIONS))]
        if is_held_out_question(question) == held_out:
            return question


def ask(task: str, rng: np.random.Generator, **words: str) -> str:
    """A question of a task with its blanks filled."""
    wordings = WORDINGS[task]
    return wordings[rng.integers(len(wordings))].format(**words)


def is_held_out_question(question: str) -> bool:
    """Whether training never asks for a name in these words."""
    return zlib.crc32(question.encode()) % 10 == 0
