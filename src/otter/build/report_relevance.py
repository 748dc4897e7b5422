"""Do the chosen examples fit their questions? Their similarity against that of random records.

Texts are compared by the cosine of their TF-IDF vectors, pictures by that of the vectors in the
``features`` folder of the store, where a choice by similar media has left them. Against chance
means: against records of the same split, and against records of the same task and split.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from otter.data import Store, StoredRecord

Rows = npt.NDArray[np.int64]
Similarity = Callable[[StoredRecord, StoredRecord], float]

FEATURES = "features"
MAX_EXAMPLES = 8
"""Of a question's examples so many are looked at, the first ones."""
_BINS = 20
"""From 0 to 1."""


def relevance(
    store: Store, questions: Rows, background: Rows, generator: np.random.Generator
) -> dict[str, Any] | None:
    """Similarity of examples to their questions, beside that of random records.

    Args:
        store: where they are.
        questions: int64[...], rows of which those with examples are looked at.
        background: int64[...], rows that say how frequent a word is.
        generator: draws the random records.

    Returns:
        None where no question has examples.
    """
    has_examples = np.asarray(
        pc.greater(pc.list_value_length(store.column("related").take(pa.array(questions))), 0)
    )
    questions = questions[has_examples]
    if not len(questions):
        return None
    pools = _Pools(store)
    chosen, split_pairs, task_pairs = [], [], []
    for row in questions.tolist():
        question = store.record(row)
        examples = [store.record(other) for other in question.related[:MAX_EXAMPLES]]
        for example in examples:
            chosen.append((question, example))
            split_pairs.append((question, pools.draw(question, generator, same_task=False)))
            task_pairs.append((question, pools.draw(question, generator, same_task=True)))
    groups = {"chosen": chosen, "same split": split_pairs, "same task": task_pairs}
    measures: dict[str, Similarity] = {}
    for field in ("instruction", "answer"):
        frequency = WordFrequencies(store.column(field).take(pa.array(background)).to_pylist())
        measures[field] = _text_similarity(frequency, field)
    for name, similarity in _picture_similarities(store):
        measures[f"pictures ({name})"] = similarity
    return {
        "questions": len(questions),
        "pairs": len(chosen),
        "measures": [_measure(name, similarity, groups) for name, similarity in measures.items()],
        "facts": _facts(chosen, split_pairs, questions, store),
    }


class WordFrequencies:
    """TF-IDF vectors of texts, as dictionaries of their words."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = len(texts)
        self._in_texts = Counter(word for text in texts for word in set(_words(text)))

    def vector(self, text: str) -> dict[str, float]:
        """Word to weight; the vector has the length 1, or no words."""
        weights = {
            word: (1 + math.log(count))
            * (1 + math.log((1 + self._texts) / (1 + self._in_texts[word])))
            for word, count in Counter(_words(text)).items()
        }
        length = math.sqrt(sum(weight**2 for weight in weights.values())) or 1.0
        return {word: weight / length for word, weight in weights.items()}

    def cosine(self, text: str, other: str) -> float:
        """1 for texts of the same words, 0 for texts without a common one."""
        first, second = self.vector(text), self.vector(other)
        return sum(weight * second.get(word, 0.0) for word, weight in first.items())


class _Pools:
    """Random records of a question's split and task."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._rows: dict[tuple[str | None, str], Rows] = {}

    def draw(
        self, question: StoredRecord, generator: np.random.Generator, *, same_task: bool
    ) -> StoredRecord:
        key = (question.task if same_task else None, question.split)
        if key not in self._rows:
            self._rows[key] = self.store.rows(split=key[1], tasks=key[0])
        pool = self._rows[key]
        row = int(pool[generator.integers(len(pool))])
        if row == question.row and len(pool) > 1:
            row = int(pool[generator.integers(len(pool))])
        return self.store.record(row)


def _words(text: str) -> list[str]:
    # Scripts without spaces have one long word each; their letters are compared instead.
    return re.findall(
        r"[^\W\u3040-\u30ff\u3400-\u9fff]+|[\u3040-\u30ff\u3400-\u9fff]", text.lower()
    )


def _text_similarity(frequency: WordFrequencies, field: str) -> Similarity:
    return lambda record, other: frequency.cosine(getattr(record, field), getattr(other, field))


def _picture_similarities(store: Store) -> list[tuple[str, Similarity]]:
    """A measure for every file of picture vectors that belongs to the pictures of the store."""
    found = []
    for path in sorted((store.folder / FEATURES).glob("*.npy")):
        vectors = _vectors(path, store.image_count + store.video_count)
        if vectors is not None:
            found.append((path.stem, _vector_similarity(vectors, store.image_count)))
    return found


def _vectors(path: Path, rows: int) -> npt.NDArray[np.floating] | None:
    try:
        made = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        vectors: npt.NDArray[np.floating] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        return None
    fits = isinstance(made, dict) and made.get("of") == "pictures" and len(vectors) == rows
    return vectors if fits and vectors.ndim == 2 else None


def _vector_similarity(vectors: npt.NDArray[np.floating], images: int) -> Similarity:
    def mean(record: StoredRecord) -> npt.NDArray[np.float32] | None:
        rows = [row if row >= 0 else images + ~row for medium in record.media for row in medium]
        if not rows:
            return None
        total = np.asarray(vectors[rows], dtype=np.float32).mean(axis=0)
        length = float(np.linalg.norm(total))
        return total / length if length else None

    def similarity(record: StoredRecord, other: StoredRecord) -> float:
        first, second = mean(record), mean(other)
        return math.nan if first is None or second is None else float(first @ second)

    return similarity


def _measure(
    name: str,
    similarity: Similarity,
    groups: dict[str, list[tuple[StoredRecord, StoredRecord]]],
) -> dict[str, Any]:
    values = {
        group: np.array([similarity(*pair) for pair in pairs]) for group, pairs in groups.items()
    }
    values = {group: own[~np.isnan(own)] for group, own in values.items()}
    every = np.concatenate(list(values.values()))
    # Cosines of pictures may be negative; bins of 0.05 from a round number on are read easily.
    low = math.floor(4 * float(every.min(initial=0.0))) / 4
    edges = np.linspace(low, 1.0, round((1 - low) * _BINS) + 1)
    result: dict[str, Any] = {"name": name, "edges": edges.round(4).tolist(), "groups": []}
    for group, own in values.items():
        counts, _ = np.histogram(np.clip(own, low, 1.0), edges)
        entry = {
            "name": group,
            "pairs": len(own),
            "mean": float(own.mean()) if len(own) else None,
            "shares": (counts / (len(own) or 1)).tolist(),
        }
        if group != "chosen":
            entry["chosen_is_nearer"] = _chance_to_win(values["chosen"], own)
        result["groups"].append(entry)
    return result


def _chance_to_win(chosen: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float | None:
    """How probable it is that a chosen pair is nearer than another; ties count half."""
    if not len(chosen) or not len(other):
        return None
    ranked = np.sort(other)
    below = np.searchsorted(ranked, chosen, side="left")
    ties = np.searchsorted(ranked, chosen, side="right") - below
    return float((below + ties / 2).mean() / len(other))


def _facts(
    chosen: list[tuple[StoredRecord, StoredRecord]],
    random: list[tuple[StoredRecord, StoredRecord]],
    questions: Rows,
    store: Store,
) -> list[dict[str, Any]]:
    """Shares among the chosen pairs and among random ones of the split."""

    def share(pairs: list[tuple[StoredRecord, StoredRecord]], holds: Any) -> float:
        return sum(bool(holds(*pair)) for pair in pairs) / (len(pairs) or 1)

    def pictures(record: StoredRecord) -> set[int]:
        return {row for medium in record.media for row in medium}

    tests: list[tuple[str, Any]] = [
        ("same task", lambda q, e: q.task == e.task),
        ("same instruction, word for word", lambda q, e: q.instruction == e.instruction),
        ("same answer, word for word", lambda q, e: q.answer == e.answer),
        ("a picture in common", lambda q, e: not pictures(q).isdisjoint(pictures(e))),
    ]
    facts = [
        {"name": name, "chosen": share(chosen, holds), "random": share(random, holds)}
        for name, holds in tests
    ]
    by_question: dict[int, list[tuple[StoredRecord, StoredRecord]]] = {}
    for pair in chosen:
        by_question.setdefault(pair[0].row, []).append(pair)
    # What a model would score that only repeats its examples.
    hits = [
        Counter(example.answer for _, example in pairs).most_common(1)[0][0] == pairs[0][0].answer
        for pairs in by_question.values()
    ]
    name = "the examples' most frequent answer is right"
    facts.append({"name": name, "chosen": sum(hits) / (len(hits) or 1), "random": None})
    return facts
