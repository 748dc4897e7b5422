"""One training run, from a recipe to a checkpoint folder.

    result = train(recipe.load("recipes/nano-tune.toml"), on_progress=bar)
    otter.load(result.model_folder).answer("cat.png", "What is this?")

The run folder is described in :mod:`otter.train.checkpoint`.
"""

import json
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from otter.model.answer import load
from otter.model.modeling import OtterForConditionalGeneration
from otter.model.processor import OtterProcessor
from otter.recipe import Recipe, check
from otter.train import checkpoint
from otter.train.budget import steps_in
from otter.train.loader import Collator, TokenCount, build_mixture
from otter.train.parameters import Trainable, freeze_precision
from otter.train.progress import OnProgress, TimeLeft
from otter.train.trainer import OtterTrainer, own_random_numbers, training_arguments

OnEvaluate = Callable[[OtterForConditionalGeneration, OtterProcessor, int], None]


class TrainingInterruptedError(RuntimeError):
    """A run was stopped from outside after a step; its folder holds all that is needed to go on."""


@dataclass(frozen=True)
class RunResult:
    """What a finished run leaves.

    Args:
        model_folder: the trained model, an ordinary checkpoint.
        log: the file with a line for every logged step; :func:`read_log` reads it.
        seconds: of training, evaluation left out.
        steps: optimizer steps.
        pairs: question-answer pairs that were learned from.
        tokens: without padding.
    """

    model_folder: Path
    log: Path
    seconds: float
    steps: int
    pairs: int
    tokens: int


def train(
    recipe: Recipe,
    *,
    resume: bool = False,
    on_progress: OnProgress | None = None,
    on_evaluate: OnEvaluate | None = None,
    evaluate_every: float | None = None,
) -> RunResult:
    """Train what a recipe says.

    Args:
        recipe: the run.
        resume: go on where the run of the same folder stopped; from the start where it never saved.
        on_progress: called after every step; see :class:`otter.train.OnProgress`.
        on_evaluate: called with the model in eval mode, the processor and the number of finished
            steps; it may generate. Its time does not count and its random numbers are its own.
        evaluate_every: steps between these calls, or, below 1, a share of the run. The last step
            always has one; absent, only that.

    Raises:
        FileNotFoundError: there is no such model.
        RecipeError: the recipe cannot be run, or is not the one of the run to resume.
        FileExistsError: the output folder holds a run, and ``resume`` was not asked for.
        TrainingInterruptedError: Ctrl-C was pressed; a checkpoint was saved after the step.
        FloatingPointError: the loss is not a number any more.
    """
    recipe = check(recipe)
    begun = checkpoint.recipe_of_run(recipe) if resume else None
    if begun is not None:
        recipe = replace(recipe, max_steps=begun.max_steps)
    with _threads(recipe.threads):
        processor, trainable = _prepare(recipe)
        recipe = _with_steps(recipe, begun, processor, trainable)
        if begun is None and training_arguments(recipe).process_index == 0:
            checkpoint.begin_run(recipe)
        watch = _Watch(recipe, processor, on_progress, on_evaluate, evaluate_every)
        return _run(recipe, processor, trainable, watch, resume)


def read_log(path: str | Path) -> list[dict[str, Any]]:
    """The lines of a run's log, each a step with its loss, lr, tokens, pairs and seconds.

    No lines where there is no file: a run of fewer steps than ``log_every`` writes none.
    """
    if not Path(path).exists():
        return []
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def _prepare(recipe: Recipe) -> tuple[OtterProcessor, Trainable]:
    """The model on its device with everything but the trainable parts frozen, and its processor."""
    in_full = recipe.precision == "fp32"
    start = load(
        recipe.model,
        device=training_arguments(recipe).device,
        dtype=torch.float32 if in_full else None,
    )
    trainable = Trainable(start.model, recipe.trainable)
    if not in_full:
        freeze_precision(trainable, torch.bfloat16)
    return start.processor, trainable


def _with_steps(
    recipe: Recipe, begun: Recipe | None, processor: OtterProcessor, trainable: Trainable
) -> Recipe:
    """The recipe with ``max_steps`` decided: by itself, by its minutes, or by how the run began."""
    if recipe.minutes is None or begun is not None:
        return recipe
    steps = steps_in(recipe, recipe.minutes * 60, processor, trainable)
    agreed = [min(steps, recipe.max_steps or steps)]
    if torch.distributed.is_initialized():
        # Processes time differently, and must stop after the same step.
        torch.distributed.broadcast_object_list(agreed)
    return replace(recipe, max_steps=agreed[0])


def _run(
    recipe: Recipe, processor: OtterProcessor, trainable: Trainable, watch: "_Watch", resume: bool
) -> RunResult:
    model, output = trainable.model, Path(recipe.output)
    arguments = training_arguments(recipe)
    steps = arguments.max_steps
    length = steps * recipe.batch_size * recipe.accumulate * arguments.world_size
    mixture = build_mixture(recipe, length, TokenCount(processor.tokenizer))
    settings = model.config.__dict__
    before = dict(settings)
    trainer = OtterTrainer(
        recipe, trainable, mixture, Collator(processor, recipe.loss), watch.after_step
    )
    newest = checkpoint.newest_checkpoint(output) if resume else None
    if trainer.is_world_process_zero():
        _shorten_log(output / checkpoint.LOG, newest)
    with _stop_at_step_boundary(trainer):
        trainer.train(resume_from_checkpoint=None if newest is None else str(newest))
    # Hugging Face's trainer writes a wish of its own, use_cache, into what is to be saved.
    settings.clear()
    settings.update(before)
    if trainer.state.global_step < steps:
        raise TrainingInterruptedError(
            f"stopped after step {trainer.state.global_step} of {steps}; {output} holds all that "
            "is needed to go on: start the same run again with resume"
        )
    model.eval()
    if recipe.precision == "bf16":
        model.to(torch.bfloat16)
    if trainer.is_world_process_zero():
        checkpoint.publish_model(model, processor, output / checkpoint.MODEL)
    trainer.accelerator.wait_for_everyone()
    return RunResult(
        model_folder=output / checkpoint.MODEL,
        log=output / checkpoint.LOG,
        seconds=watch.seconds,
        steps=steps,
        pairs=trainer.seen["pairs"],
        tokens=trainer.seen["tokens"],
    )


class _Watch:
    """What happens after each step beside training: progress, and evaluation from time to time."""

    def __init__(
        self,
        recipe: Recipe,
        processor: OtterProcessor,
        on_progress: OnProgress | None,
        on_evaluate: OnEvaluate | None,
        evaluate_every: float | None,
    ) -> None:
        self.max_steps = recipe.max_steps or 0
        self.processor = processor
        self.on_progress = on_progress
        self.on_evaluate = on_evaluate
        share = evaluate_every if evaluate_every is not None and evaluate_every < 1 else None
        steps = evaluate_every if share is None else max(1, round(share * self.max_steps))
        self.evaluate_every = None if steps is None else int(steps)
        self.time_left = TimeLeft()
        self.seconds = 0.0

    def after_step(self, trainer: OtterTrainer, step: int) -> None:
        """Called by the trainer."""
        self.seconds = trainer.clock.seconds
        self.time_left.step(self.seconds)
        if self.on_progress is not None and trainer.is_world_process_zero():
            left = self.time_left.seconds(self.max_steps - step)
            self.on_progress(step, self.max_steps, trainer.newest_loss, left)
        due = step == self.max_steps or (self.evaluate_every and step % self.evaluate_every == 0)
        if self.on_evaluate is not None and due:
            model = trainer.trainable.model
            with trainer.clock.paused(), own_random_numbers(model):
                model.eval()
                self.on_evaluate(model, self.processor, step)


@contextmanager
def _stop_at_step_boundary(trainer: OtterTrainer) -> Iterator[None]:
    """Ctrl-C and a polite kill let the step end, then save; pressed again, they stop at once."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals reach the main thread alone
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop(number: int, _: Any) -> None:
        trainer.stop_requested = True
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _shorten_log(path: Path, newest: Path | None) -> None:
    """Drop what a killed run logged after its newest checkpoint: those steps are done again."""
    if not path.exists():
        return
    last = 0 if newest is None else int(newest.name.rpartition("-")[2])
    lines = path.read_text(encoding="utf-8").splitlines()
    # A line that was being written when the process died is no JSON.
    kept = [line for line in lines if line.endswith("}") and json.loads(line)["step"] <= last]
    checkpoint.write_whole(path, "".join(f"{line}\n" for line in kept))
