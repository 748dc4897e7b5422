"""A byte-level tokenizer of about a thousand pieces, trained on what the nano world says.

Every byte is a piece, so any word of any language can be read and written; frequent words are one
piece.
"""

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from otter.nano.names import SHORT, made_up
from otter.nano.scenes import COLOURS, DIRECTIONS, PLACES, SHAPES, SIZES
from otter.nano.wording import NAME_QUESTIONS, NUMBERS, WORDINGS
from otter.prompt import PAD, SPECIAL_TOKENS

BEGIN = "<|begin|>"
VOCABULARY = 1024
"""Pieces, with BEGIN before the trained ones, and SPECIAL_TOKENS and PAD after them."""


def nano_tokenizer(seed: int = 3) -> PreTrainedTokenizerFast:
    """Train the tokenizer; the same seed gives the same tokenizer."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(SPECIAL_TOKENS) - 1,
        special_tokens=[BEGIN],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_lines(np.random.default_rng(seed)), trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=BEGIN)
    fast.add_special_tokens({"additional_special_tokens": list(SPECIAL_TOKENS)})
    fast.add_special_tokens({"pad_token": PAD})
    return fast


def _lines(rng: np.random.Generator) -> list[str]:
    """What the world says, in about the shares in which it says it; held-out names are left out."""
    lines = [f"User:{question} GPT:" for question in NAME_QUESTIONS]
    colours, directions, sizes = list(COLOURS), list(DIRECTIONS), list(SIZES)
    for wording in (wording for wordings in WORDINGS.values() for wording in wordings):
        for _ in range(60):
            shape, colour = str(rng.choice(SHAPES)), str(rng.choice(colours))
            question = wording.format(shape=shape, colour=colour, place=rng.choice(PLACES))
            lines += [f"User:{question} GPT:", shape, colour]
            lines += [str(rng.choice(words)) for words in (NUMBERS, PLACES, directions)]
            thing = f"a {rng.choice(sizes)} {colour} {shape}"
            lines.append(f"{thing} at the {rng.choice(PLACES)} and it is {colour}")
    for change, words in (
        ("the {} {} moved to the {}", (colours, SHAPES, PLACES)),
        ("a {} {} was added", (colours, SHAPES)),
        ("the {} {} was removed", (colours, SHAPES)),
        ("the {} {} became {}", (colours, SHAPES, colours)),
    ):
        lines += [change.format(*(rng.choice(w) for w in words)) for _ in range(300)]
    lines += ["yes", "no", "yes.", "no."] * 100
    lines += [word for word in SHORT for _ in range(40)]
    return lines + [made_up(rng) for _ in range(4000)]
