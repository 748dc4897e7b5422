"""Cleaning texts as the training code of 2023 did, for those who want to repeat its results.

>>> clean_question(" describe  the image -- please")
'describe the image please'
"""

import re
from dataclasses import replace

from otter.data.records import Record

_SYMBOLS = re.compile(r"[^\w\s.,?!()\"']")
_SPACES = re.compile(r"\s{2,}")


def clean_question(text: str, *, keep_symbols: bool = False) -> str:
    """A question without symbols but the common punctuation, and without repeated spaces."""
    if not keep_symbols:
        text = _SPACES.sub(" ", _SYMBOLS.sub("", text)).strip("\n")
    return text.strip(" ").strip("\n")


def clean_answer(text: str, *, keep_symbols: bool = False) -> str:
    """An answer likewise; what remains of Windows line ends becomes plain ones."""
    text = text.strip()
    if not keep_symbols:
        text = _SPACES.sub(" ", _SYMBOLS.sub("", text)).strip("\n")
    return text.replace("\r\n", "\n")


def clean_record(record: Record) -> Record:
    """The record with both texts cleaned, as with the defaults of 2023."""
    question, answer = clean_question(record.instruction), clean_answer(record.answer)
    return replace(record, instruction=question, answer=answer)


def trim_record(record: Record) -> Record:
    """The record with both texts trimmed, as in 2023 with ``--keep_symbols``."""
    return replace(
        record,
        instruction=clean_question(record.instruction, keep_symbols=True),
        answer=clean_answer(record.answer, keep_symbols=True),
    )


CLEANINGS = {"2023": clean_record, "2023-symbols": trim_record}
"""By name on the command line."""
