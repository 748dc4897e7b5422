"""Exact match: the answer is the expected text, character for character."""


def exact_match(prediction: str, expected: str) -> bool:
    """Whether the two texts are equal once the white space around them is dropped.

    ``" dax"`` matches ``"dax"``; ``"Dax"`` and ``"dax."`` do not. Case and punctuation count on
    purpose: in an answer-format task they are what the examples teach.
    """
    return prediction.strip() == expected.strip()
