"""Which worked examples accompany a question: the heuristics of MIMIC-IT, by name.

Every policy is a function of the candidates, the row of the question, how many examples are wanted,
and a random generator; it gives rows for ``store.episode(row, examples=rows)``:

    candidates = Candidates(store, store.rows("train"))
    examples = same_instruction(candidates, row, 4, np.random.default_rng(0))

    same-media            other instructions about the same picture
    same-instruction      the same instruction about other pictures
    similar-instruction   the same or a similar instruction about other pictures
    similar-media         anything about pictures that look alike
    image-then-text       of the pictures that look most alike, what asks the most similar
    neighbours-in-time    other clips of the same video, the nearest first
    label-balanced        every answer as often as any other
    random                anything about other pictures
    related               what the record names already

Two things hold for all of them. A question is never among its own examples, neither itself nor a
copy of it (the same instruction about the same pictures, under another id). And a record that is
held out never goes before a question that is learned from. All but ``same-media`` and ``related``
also refuse whatever has a picture or a frame in common with the question. Where there are too few
candidates, fewer examples come back. What is most similar comes first.
"""

from collections.abc import Callable
from itertools import islice
from typing import TypeAlias

import numpy as np

from otter.data.in_context_candidates import Candidates
from otter.data.in_context_index import Groups, Rows
from otter.data.in_context_similar import (
    image_then_text,
    one_of_each,
    similar_instruction,
    similar_media,
)

__all__ = [
    "POLICIES",
    "Candidates",
    "Policy",
    "image_then_text",
    "label_balanced",
    "neighbours_in_time",
    "random_records",
    "related",
    "same_instruction",
    "same_media",
    "similar_instruction",
    "similar_media",
]

Policy: TypeAlias = Callable[[Candidates, int, int, np.random.Generator], Rows]


def related(
    candidates: Candidates, question: int, count: int, generator: np.random.Generator
) -> Rows:
    """The first of the related records that the store carries, as far as they are candidates."""
    rows = candidates.among(_rows(list(candidates.store.record(question).related)))
    return _rows([row for row in rows.tolist() if candidates.may_follow(row, question)][:count])


def same_media(
    candidates: Candidates, question: int, count: int, generator: np.random.Generator
) -> Rows:
    """Other instructions about a picture of the question: "how many?" before "what colour?"."""
    rows = candidates.with_media_and_other_instruction(question)
    return _draw(candidates, rows, count, question, generator, other_media=False)


def same_instruction(
    candidates: Candidates, question: int, count: int, generator: np.random.Generator
) -> Rows:
    """The same instruction, word for word, about other pictures: none in common."""
    rows = candidates.with_instruction_of(question)
    return _draw(candidates, rows, count, question, generator)


def random_records(
    candidates: Candidates, question: int, count: int, generator: np.random.Generator
) -> Rows:
    """Any records that have no picture in common with the question."""
    return _draw(candidates, candidates.rows, count, question, generator)


def label_balanced(
    candidates: Candidates, question: int, count: int, generator: np.random.Generator
) -> Rows:
    """Every answer as often as any other, in random order, no picture in common with the question.

    Meant for tasks with few answers: of 4 examples for yes or no, two are "yes" and two are "no",
    so that counting answers tells nothing. Where there are more answers than examples, all answers
    differ.
    """
    answers = candidates.by_answer
    # Some answers may turn out to have no allowed record, so more are drawn than are needed.
    keys = generator.choice(
        answers.keys, size=min(len(answers.keys), 4 * count + 16), replace=False
    )
    each = count if len(keys) <= count else 1
    groups: list[list[int]] = []
    for key in keys.tolist():
        if len(groups) == count:
            break
        members = _draw(candidates, answers.members(key), each, question, generator)
        if len(members):
            groups.append(members.tolist())
    chosen = [group[turn] for turn in range(count) for group in groups if turn < len(group)][:count]
    return _rows(generator.permutation(np.array(chosen, dtype=np.int64)).tolist())


def neighbours_in_time(
    candidates: Candidates, question: int, count: int, generator: np.random.Generator
) -> Rows:
    """Clips of the same video that have no frame in common with the question, the nearest first.

    One record for each clip, further ones only where there are too few clips. Nothing for a
    question without a clip.
    """
    videos, times = candidates.index.clip_times
    video = int(videos[question])
    if video < 0 or count < 1:
        return np.empty(0, dtype=np.int64)
    rows = candidates.by_video.members(video)
    clips = Groups(candidates.index.media[rows], rows)
    gaps = [abs(times[clips.members(clip)[0]] - times[question]) for clip in clips.keys]
    near = (clips.members(clip) for clip in clips.keys[np.argsort(gaps, kind="stable")])
    return one_of_each(
        (candidates.draw(group, count, question, generator, other_media=True) for group in near),
        count,
    )


POLICIES: dict[str, Policy] = {
    "related": related,
    "same-media": same_media,
    "same-instruction": same_instruction,
    "similar-instruction": similar_instruction,
    "similar-media": similar_media,
    "image-then-text": image_then_text,
    "neighbours-in-time": neighbours_in_time,
    "random": random_records,
    "label-balanced": label_balanced,
}
"""The policies by the names that commands and recipes use."""


def _draw(
    candidates: Candidates,
    rows: Rows,
    count: int,
    question: int,
    generator: np.random.Generator,
    *,
    other_media: bool = True,
) -> Rows:
    """Up to ``count`` different allowed rows in random order."""
    drawn = candidates.draw(rows, count, question, generator, other_media=other_media)
    return _rows(list(islice(drawn, count)))


def _rows(rows: list[int]) -> Rows:
    return np.array(rows, dtype=np.int64)
