"""Made-up words, so that what a word means is set within the episode and nowhere else.

    made_up(np.random.default_rng(0))        'tridoo', 'plesh', 'vo', ...

One word in ten is held out of training for good: by its checksum, so that the split needs no list.
The words of :data:`FAMOUS`, known from the literature on word learning, are held out as well.
"""

import zlib
from collections.abc import Sequence

import numpy as np

# fmt: off
ONSETS = (
    "b", "c", "d", "f", "g", "h", "j", "k", "l", "m", "n", "p", "r", "s", "t", "v", "w", "z",
    "bl", "br", "dr", "fl", "gl", "gr", "kl", "pl", "pr", "sk", "sl", "sn", "st", "tr",
    "sh", "ch", "th",
)
VOWELS = ("a", "e", "i", "o", "u", "a", "e", "i", "o", "u", "ai", "ee", "oo")
CODAS = (
    *[""] * 12, "n", "r", "s", "t", "k", "l", "m", "p", "x", "b", "d", "g", "sh", "nk", "ft",
)
FAMOUS = (
    "dax", "wug", "blicket", "toma", "fep", "zav", "modi", "gazzer", "tulver", "koba", "plim",
    "snorp", "quib", "vorp", "brillig", "otter", "mimic", "lemur", "kyoto", "zelda",
)
# fmt: on

SHORT = tuple(onset + vowel for onset in ONSETS[:18] for vowel in "aeiou")
"""Words of one piece each: the tokenizer is made to know them.

The foundation learns to name with these alone.
"""


def made_up(rng: np.random.Generator, *, held_out: bool = False) -> str:
    """A word of one to three syllables, from the part that is trained or the part that never is."""
    while True:
        syllables = rng.choice([1, 2, 3], p=[0.3, 0.5, 0.2])
        word = "".join(
            ONSETS[rng.integers(len(ONSETS))]
            + VOWELS[rng.integers(len(VOWELS))]
            + (CODAS[rng.integers(len(CODAS))] if n == syllables - 1 or rng.random() < 0.25 else "")
            for n in range(syllables)
        )
        if word not in SHORT and is_held_out(word) == held_out:
            return word


def is_held_out(word: str) -> bool:
    """Whether training never uses this word as a name."""
    if word in SHORT:
        return False
    return word in FAMOUS or zlib.crc32(word.encode()) % 10 == 0


def distinct_names(
    rng: np.random.Generator,
    count: int,
    *,
    short: bool = False,
    held_out: bool = False,
    among: Sequence[str] = (),
) -> list[str]:
    """Words that all begin with another letter: the first piece of a name says which it is.

    Args:
        rng: where choices come from.
        count: how many.
        short: words of one piece only.
        held_out: words that training never uses.
        among: draw from these words instead.

    Raises:
        ValueError: there are fewer first letters than names are asked for.
    """
    letters = {word[0] for word in among or (SHORT if short else ONSETS)}
    if count > len(letters):
        raise ValueError(
            f"{count} names that begin with different letters: expected at most {len(letters)}, "
            f"since the words begin with {', '.join(sorted(letters))}"
        )
    names: list[str] = []
    while len(names) < count:
        if among or short:
            word = str(rng.choice(among or SHORT))
        else:
            word = made_up(rng, held_out=held_out)
        if all(word[0] != other[0] for other in names):
            names.append(word)
    return names
