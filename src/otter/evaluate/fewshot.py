"""Ask a model every question of every task at every number of examples, and under the controls.

    results = evaluate(otter.load("otter-nano"), tasks, model="otter-nano",
                       predictions_path=Path("run/predictions.jsonl"))
    results.cell("otter-nano", "names", shots=4).accuracy    # Interval(0.91, 0.87, 0.94)

Predictions come first and go to disk as they come; the figures are made from them afterwards.
Nothing here knows how a model works: it is something that answers episodes.
"""

import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from otter.evaluate.controls import ANSWERS_SHUFFLED, CONTROLS, PICTURES_SWAPPED
from otter.evaluate.predictions import Prediction, PredictionLog, prediction_key, prompt_hash
from otter.evaluate.results import Results, Run, TaskInfo, score
from otter.evaluate.tasks import FewShotTask
from otter.prompt import Episode, Example

OnProgress = Callable[[int, int, str], None]
"""Called before every batch and at the end: predictions made, to be made, the task's title."""


class Answerer(Protocol):
    """Anything that answers episodes; :class:`otter.model.answer.Otter` is one.

    Answers must depend on the episode alone (greedy decoding): equal prompts are asked once.
    """

    def answer_all(
        self, episodes: Sequence[Episode], max_new_tokens: int = ..., batch_size: int = ...
    ) -> list[str]:
        """One answer per episode, in their order, without the end-of-chunk marker."""
        ...


def evaluate(
    answerer: Answerer,
    tasks: Sequence[FewShotTask],
    *,
    model: str,
    shots: Sequence[int] = (0, 1, 2, 4, 8),
    controls: Sequence[str] = (PICTURES_SWAPPED, ANSWERS_SHUFFLED),
    control_shots: Sequence[int] | None = None,
    limit: int | None = 300,
    seed: int = 0,
    max_new_tokens: int = 32,
    batch_size: int = 16,
    on_progress: OnProgress | None = None,
    predictions_path: Path | None = None,
) -> Results:
    """Answer the tasks' questions and score the answers.

    Args:
        answerer: what answers.
        tasks: what is asked; a number of examples that some question of a task does not have is
            left out there.
        model: the name under which the answers are kept. Give changed weights another name, or a
            run that is resumed will take the old answers for theirs.
        shots: numbers of examples.
        controls: names of ``controls.CONTROLS``.
        control_shots: at which numbers of examples the controls run; None: at all that are at
            least 2.
        limit: at most so many questions of each task, drawn by the seed; None for all.
        seed: which questions are drawn, and how the controls shuffle.
        max_new_tokens: where an answer is cut off.
        batch_size: how many episodes run together; it changes the speed, not the answers.
        on_progress: told before every batch how far it is.
        predictions_path: a JSON-lines file to append to; one that exists is gone on with.

    Raises:
        ValueError: an unknown control, a task without questions, two tasks of one name, a
            question without an answer, a damaged predictions file, or an answerer that returns
            too few answers.
    """
    started = time.perf_counter()
    _check(tasks, shots, controls)
    at = [k for k in shots if k >= 2] if control_shots is None else control_shots
    variants = [(k, control) for k in shots for control in ("", *(controls if k in at else ()))]
    settings = _Settings(model, tuple(variants), limit, seed, max_new_tokens, batch_size)
    plan = [question for task in tasks for question in _plan(task, settings)]
    log = PredictionLog(predictions_path)
    computed = _answer(plan, answerer, log, settings, on_progress)
    predictions = [log.by_key[question.wanted.key] for question in plan]
    seconds = time.perf_counter() - started
    run = Run(model, seed, limit, max_new_tokens, len(plan), computed, seconds)
    return score(predictions, [_info(task, settings) for task in tasks], [run])


@dataclass(frozen=True)
class _Settings:
    """What holds for all tasks; ``variants`` are numbers of examples with controls."""

    model: str
    variants: tuple[tuple[int, str], ...]
    limit: int | None
    seed: int
    max_new_tokens: int
    batch_size: int


@dataclass(frozen=True)
class _Question:
    """A prediction that is wanted, its text still empty; ``length`` is that of the prompt."""

    task: FewShotTask
    wanted: Prediction
    length: int


def _plan(task: FewShotTask, settings: _Settings) -> list[_Question]:
    """Every question of a task; the longest prompts first, so that batches hardly need padding."""
    rows = task.questions(settings.limit, settings.seed)
    most = max(shots for shots, _ in settings.variants)
    available = min(len(task.store.episode(row, most).examples) for row in rows)
    plan = []
    for row in rows:
        for shots, control in settings.variants:
            episode = _episode(task, row, shots, control, settings.seed)
            if shots <= available and episode is not None:
                plan.append(_question(task, row, shots, control, episode, settings))
    # Longest first also means that a time left judged from the first batches is not too short.
    return sorted(plan, key=lambda question: -question.length)


def _episode(task: FewShotTask, row: int, shots: int, control: str, seed: int) -> Episode | None:
    """The episode as it is asked; None where the control does not apply.

    It is made for the plan and once more to be asked: keeping all would keep all pictures.
    """
    episode = task.store.episode(row, shots)
    if not control:
        return episode
    # Of its own for every question: a limit or a further task changes no other question's draw.
    name = zlib.crc32(f"{task.name} {control}".encode())
    return CONTROLS[control](episode, np.random.default_rng([seed, name, row, shots]))


def _question(
    task: FewShotTask, row: int, shots: int, control: str, episode: Episode, settings: _Settings
) -> _Question:
    expected = task.store.episode(row, 0).answer
    if expected is None:
        raise ValueError(
            f"task {task.name!r}, row {row}: "
            "the question has no answer to score against; leave it out"
        )
    prompt = prompt_hash(episode, model=settings.model, max_new_tokens=settings.max_new_tokens)
    wanted = Prediction(
        model=settings.model,
        task=task.name,
        row=row,
        shots=shots,
        control=control,
        prediction="",
        expected=expected,
        implied=expected if episode.answer is None else episode.answer,
        example_answers=tuple(example.answer for example in episode.examples),
        key=prediction_key(
            task=task.name, row=row, shots=shots, control=control, expected=expected, prompt=prompt
        ),
        prompt=prompt,
    )
    turns: list[Example | Episode] = [*episode.examples, episode]
    length = sum(len(turn.question) + len(turn.answer or "") + len(turn.media) for turn in turns)
    return _Question(task, wanted, length)


def _answer(
    plan: Sequence[_Question],
    answerer: Answerer,
    log: PredictionLog,
    settings: _Settings,
    on_progress: OnProgress | None,
) -> int:
    """Fill the log with what is not in it yet; how many prompts were run."""
    waiting: dict[str, list[_Question]] = defaultdict(list)
    for question in plan:
        if question.wanted.key not in log.by_key:
            waiting[question.wanted.prompt].append(question)
    done = len(plan) - sum(len(questions) for questions in waiting.values())
    for prompt in [prompt for prompt in waiting if prompt in log.by_prompt]:
        known = waiting.pop(prompt)
        log.add(replace(question.wanted, prediction=log.by_prompt[prompt]) for question in known)
        done += len(known)
    distinct = list(waiting.values())
    size = settings.batch_size
    for start in range(0, len(distinct), size):
        batch = distinct[start : start + size]
        if on_progress is not None:
            on_progress(done, len(plan), batch[0][0].task.title or batch[0][0].task.name)
        episodes = [_asked(questions[0], settings.seed) for questions in batch]
        answers = answerer.answer_all(
            episodes, max_new_tokens=settings.max_new_tokens, batch_size=size
        )
        if len(answers) != len(episodes):
            raise ValueError(
                f"the model returned {len(answers)} answers to {len(episodes)} questions: "
                "expected one each"
            )
        log.add(
            replace(question.wanted, prediction=answer)
            for questions, answer in zip(batch, answers, strict=True)
            for question in questions
        )
        done += sum(len(questions) for questions in batch)
    if on_progress is not None:
        on_progress(done, len(plan), "")
    return len(distinct)


def _asked(question: _Question, seed: int) -> Episode:
    """The episode for the model, without its answer."""
    wanted = question.wanted
    episode = _episode(question.task, wanted.row, wanted.shots, wanted.control, seed)
    if episode is None:
        raise ValueError(
            f"task {wanted.task!r}, row {wanted.row}: the episode is not the one that was planned; "
            "do not write to a store while it is evaluated"
        )
    return replace(episode, answer=None)


def _info(task: FewShotTask, settings: _Settings) -> TaskInfo:
    asked = len(task.questions(settings.limit, settings.seed))
    title = task.title or task.name
    return TaskInfo(task.name, title, asked, task.chance, task.copy_level, task.description)


def _check(tasks: Sequence[FewShotTask], shots: Sequence[int], controls: Sequence[str]) -> None:
    names, titles = [task.name for task in tasks], {task.title or task.name for task in tasks}
    if not names or len(set(names)) < len(names) or len(titles) < len(names):
        raise ValueError(
            f"tasks {names}: expected at least one task, each with a name and a title of its own"
        )
    if not shots or min(shots) < 0:
        raise ValueError(
            f"shots={tuple(shots)}: expected numbers of examples such as (0, 1, 2, 4, 8)"
        )
    unknown = [name for name in controls if name not in CONTROLS]
    if unknown:
        raise ValueError(f"unknown controls {unknown}: expected names from {sorted(CONTROLS)}")
