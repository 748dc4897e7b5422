"""The tokenizer: any text comes back, and what the world says often is short."""

import numpy as np
import pytest
from transformers import PreTrainedTokenizerFast

from otter.nano.names import FAMOUS, SHORT, is_held_out, made_up
from otter.nano.scenes import COLOURS, SHAPES
from otter.nano.tokenizer import BEGIN, VOCABULARY, _lines, nano_tokenizer
from otter.nano.wording import NAME_QUESTIONS, NUMBERS
from otter.prompt import PAD, SPECIAL_TOKENS


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return nano_tokenizer()


def ids(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False)["input_ids"]


TEXTS = [
    "",
    " ",
    "\n\t  two  spaces ",
    "Straße, naïve, Ωmega",
    "狐は速い",
    "🦦👩‍👩‍👧",
    "e\u0301 is not \u00e9",
    "\x00\x7f\u200b\ufeff",
    "{}[]<|x|> <imagine>",
    'he said "is this it?"',
]


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_comes_back(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    assert tokenizer.decode(ids(tokenizer, text), clean_up_tokenization_spaces=False) == text


def test_any_string_of_characters_comes_back(tokenizer: PreTrainedTokenizerFast) -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        points = rng.integers(0, 0x10FFFF, rng.integers(1, 12))
        text = "".join(chr(p) for p in points if not 0xD800 <= p < 0xE000)
        back = tokenizer.decode(ids(tokenizer, text), clean_up_tokenization_spaces=False)
        assert back == text


def test_special_tokens_stand_in_their_order_at_the_end(tokenizer: PreTrainedTokenizerFast) -> None:
    assert len(tokenizer) == VOCABULARY == 1024
    assert tokenizer.convert_tokens_to_ids([BEGIN]) == [0]
    last = [*SPECIAL_TOKENS, PAD]
    assert tokenizer.convert_tokens_to_ids(last) == [1020, 1021, 1022, 1023]
    assert [ids(tokenizer, token) for token in last] == [[1020], [1021], [1022], [1023]]
    assert (tokenizer.bos_token, tokenizer.pad_token) == (BEGIN, PAD)
    assert tokenizer.eos_token is None


def test_a_short_name_is_one_piece(tokenizer: PreTrainedTokenizerFast) -> None:
    assert {len(ids(tokenizer, name)) for name in SHORT} == {1}


def test_what_answers_are_made_of_is_one_piece_each(tokenizer: PreTrainedTokenizerFast) -> None:
    for word in (*COLOURS, *SHAPES, *NUMBERS[1:7], "yes", "no"):
        assert len(ids(tokenizer, word)) == 1, word


def test_a_held_out_name_is_of_several_pieces_and_fits_into_an_answer(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    rng = np.random.default_rng(0)
    lengths = [len(ids(tokenizer, made_up(rng, held_out=True))) for _ in range(1500)]
    assert 2 < np.mean(lengths) < 5
    assert max(lengths) < 12  # with the end of the chunk, what the quickstart lets a model say


def test_no_held_out_name_was_in_what_the_tokenizer_learned_from() -> None:
    lines = _lines(np.random.default_rng(3))
    names = lines[-4000:]
    assert not any(map(is_held_out, names))
    assert all(name.isalpha() for name in names)
    words = {word.strip(".?!") for line in lines for word in line.split()}
    assert not words & set(FAMOUS)
    assert all(f"User:{question} GPT:" in lines for question in NAME_QUESTIONS)


def test_the_same_seed_gives_the_same_tokenizer(tokenizer: PreTrainedTokenizerFast) -> None:
    assert nano_tokenizer().get_vocab() == tokenizer.get_vocab()
