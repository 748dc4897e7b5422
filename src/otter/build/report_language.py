"""Which languages a store speaks: what its records declare, and what their letters and words say.

The script is counted by letters and is certain; the language of Latin letters is guessed from the
most frequent small words, which needs a sentence and knows eight languages.
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

_SCRIPTS = (
    ("Latin", ((0x41, 0x5B), (0x61, 0x7B), (0xC0, 0x250), (0x1E00, 0x1F00))),
    ("Cyrillic", ((0x400, 0x530),)),
    ("Greek", ((0x370, 0x400),)),
    ("Hebrew", ((0x590, 0x600),)),
    ("Arabic", ((0x600, 0x780),)),
    ("Devanagari", ((0x900, 0x980),)),
    ("Thai", ((0xE00, 0xE80),)),
    ("Japanese", ((0x3040, 0x3100),)),
    ("Korean", ((0x1100, 0x1200), (0xAC00, 0xD7B0))),
    ("Chinese", ((0x4E00, 0xA000), (0x3400, 0x4DC0))),
)
_SMALL_WORDS = {
    "en": "the of and is in to are what this that how many does with you it on for a",
    "de": "der die das und ist in den von zu mit auf ein eine nicht was wie viele sind dem es",
    "fr": "le la les de des et est un une dans que sur pour avec qui ce il combien quelle sont",
    "es": "el la los las de que y en un una es por con para del cuántos qué está son se",
    "it": "il lo gli di che e è un una per con del della sono quanti cosa nel questa si dei",
    "pt": "o os as de que e em um uma é para com do da não quantos são na no está",
    "nl": "de het een van en is in op zijn dat wat met niet hoeveel er aan voor te deze wordt",
    "pl": "i w na z do nie to jest się co ile jak o po czy są ten ta od przez",
}
_WORDS = {language: frozenset(words.split()) for language, words in _SMALL_WORDS.items()}
_SCRIPT_OF = {
    "ru": "Cyrillic",
    "uk": "Cyrillic",
    "bg": "Cyrillic",
    "el": "Greek",
    "he": "Hebrew",
    "ar": "Arabic",
    "fa": "Arabic",
    "hi": "Devanagari",
    "th": "Thai",
    "ja": "Japanese",
    "ko": "Korean",
    "zh": "Chinese",
}
_MIN_WORDS = 5


def script_of(text: str) -> str:
    """The script of most letters, or "no letters"; one kana makes Han characters Japanese."""
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    counts = {
        name: sum(int(((codes >= low) & (codes < high)).sum()) for low, high in ranges)
        for name, ranges in _SCRIPTS
    }
    if counts["Japanese"]:
        counts["Japanese"] += counts.pop("Chinese")
    script = max(counts, key=lambda name: counts[name])
    return script if counts[script] else "no letters"


def guess(text: str) -> str | None:
    """The language of a text in Latin letters; None where too few small words tell."""
    words = re.findall(r"\w+", text.lower())
    if len(words) < _MIN_WORDS:
        return None
    hits = {language: sum(word in own for word in words) for language, own in _WORDS.items()}
    first, second = sorted(hits.values(), reverse=True)[:2]
    if first < 2 or first == second:
        return None
    return max(hits, key=lambda language: hits[language])


def languages(texts: Sequence[str], declared: Sequence[str], ids: Sequence[str]) -> dict[str, Any]:
    """Scripts and guessed languages of texts, and where they contradict what is declared.

    Args:
        texts: question and answer of each record.
        declared: the language that the record names.
        ids: of the records.
    """
    scripts: Counter[str] = Counter()
    guesses: Counter[str] = Counter()
    compared, wrong = 0, []
    for text, said, name in zip(texts, declared, ids, strict=True):
        script = script_of(text)
        scripts[script] += 1
        expected = _SCRIPT_OF.get(said.split("-")[0].lower(), "Latin")
        found = guess(text) if script == "Latin" else None
        guesses[found or "not guessed"] += 1
        if script == "no letters":
            continue
        by_words = found is not None and said[:2].lower() in _WORDS
        compared += 1
        if script != expected or (by_words and found != said[:2].lower()):
            wrong.append(
                {"id": name, "declared": said, "found": found or script, "text": text[:160]}
            )
    total = len(texts) or 1
    return {
        "records": len(texts),
        "scripts": [{"name": s, "share": n / total} for s, n in scripts.most_common()],
        "guesses": [{"name": g, "share": n / total} for g, n in guesses.most_common()],
        "contradicting": len(wrong) / (compared or 1),
        "contradictions": wrong[:8],
    }
