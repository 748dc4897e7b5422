"""What a training run is: the model, the mixture, what learns, and how.

Every field of these dataclasses is a key of a recipe file, under the field's standard name.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from otter.recipe.reading import limited, nearest

PARTS = ("resampler", "cross_attention", "language_model", "vision_tower", "new_tokens")
"""What of a model can learn; ``new_tokens`` are the embedding rows of the added markers."""


ShotsOption: TypeAlias = Literal["related", "none"] | int | tuple[int, int] | dict[str, float]


@dataclass(frozen=True)
class DataPart:
    """One store of the mixture.

    Args:
        store: the folder.
        tasks: only records of these tasks; all of them when absent.
        split: only records of this split.
        questions: ``"all"`` records, or only those ``"with_examples"`` of their own: where the loss
            is on the examples too, the others are learned within these.
        weight: how often it is drawn, relative to the other parts.
        shots: worked examples before the question. ``"related"``: all that the record names;
            ``"none"``: no example; a number: between none and so many, drawn evenly per episode,
            so that answering without examples is not forgotten; ``[2, 8]``: between two and eight;
            ``{0 = 0.2, 4 = 0.8}``: so many with these probabilities.
        example_order: ``"as-stored"``, which is the most similar example first where
            ``otter data context`` chose them; ``"most-similar-last"``: next to the question; or
            ``"shuffled"``, anew for every episode.
        max_images: at most so many pictures in an episode, each frame of a clip counted; examples
            are left out as if fewer had been asked for, never the question.
        max_tokens: at most so many tokens of text, likewise.
    """

    store: str
    tasks: tuple[str, ...] | None = None
    split: str = "train"
    questions: Literal["all", "with_examples"] = "all"
    weight: float = limited(1.0, above=0)
    shots: ShotsOption = limited("related", at_least=0)  # noqa: RUF009 - it is a field
    example_order: Literal["as-stored", "most-similar-last", "shuffled"] = "as-stored"
    max_images: int | None = limited(None, at_least=1)
    max_tokens: int | None = limited(None, at_least=1)

    def problems(self) -> Iterator[str]:
        """What is wrong beyond single values."""
        if isinstance(self.shots, tuple) and self.shots[0] > self.shots[1]:
            yield f"shots = {list(self.shots)}: expected [fewest, most]"
        if isinstance(self.shots, dict):
            for count in self.shots:
                if not (count.isascii() and count.isdigit()):
                    yield f"shots.{count}: expected a number of examples, such as shots.4 = 0.5"
            total = math.fsum(self.shots.values())
            if abs(total - 1) > 1e-6:
                yield f"shots: the probabilities sum to {total:g}: expected 1"


@dataclass(frozen=True)
class Optimizer:
    """AdamW and its learning rate over time.

    Args:
        lr: the peak.
        betas: as in AdamW.
        weight_decay: on matrices only; never on norms, gates, biases, latents or embeddings.
        clip: the largest gradient norm; 0 does not clip.
        warmup_steps: from 0 to the peak, linearly.
        schedule: what follows: ``cosine`` down, ``constant``, or ``flat-then-linear`` down.
        flat_share: of ``flat-then-linear``, the share of all steps that stays at the peak.
        final_share: the last learning rate, as a share of the peak.
        lr_scale: factors on the learning rate by part, such as ``embeddings = 3.0``.
    """

    lr: float = limited(1e-5, above=0)
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = limited(0.1, at_least=0)
    clip: float = limited(1.0, at_least=0)
    warmup_steps: int = limited(0, at_least=0)
    schedule: Literal["cosine", "flat-then-linear", "constant"] = "cosine"
    flat_share: float = limited(1 / 3, at_least=0, at_most=1)
    final_share: float = limited(0.0, at_least=0, at_most=1)
    lr_scale: dict[str, float] = field(default_factory=dict)

    def problems(self) -> Iterator[str]:
        """What is wrong beyond single values."""
        known = (*PARTS, "embeddings")
        for name, factor in self.lr_scale.items():
            if name not in known:
                yield f"lr_scale.{name}: unknown part{nearest(name, known)}"
            elif not factor > 0:
                yield f"lr_scale.{name} = {factor}: expected a number above 0"
        for index, beta in enumerate(self.betas):
            if not 0 <= beta < 1:
                yield f"betas[{index}] = {beta}: expected a number of at least 0 and below 1"


@dataclass(frozen=True)
class Loss:
    """Which answers are learned, and how much their tokens count.

    Args:
        on: ``"answers"``: those of the worked examples too, as the paper's data path does;
            ``"question"``: only the last one.
        rest_weight: what each token of an answer after its first counts, relative to the first.
    """

    on: Literal["answers", "question"] = "answers"
    rest_weight: float = limited(1.0, at_least=0)


@dataclass(frozen=True)
class Recipe:
    """One training run.

    Args:
        model: a checkpoint folder, or the name of a shipped one; where training starts.
        output: the run folder.
        data: the mixture.
        max_steps: optimizer steps. Absent, ``minutes`` decides; with both, the fewer.
        minutes: a budget of wall-clock time for the training steps. A few steps are timed before
            the first one and turned into ``max_steps``, so the schedule is exact and resuming too.
        seed: of everything that is drawn.
        save_every: steps between checkpoints to resume from; absent, only when interrupted.
        log_every: steps between lines of the log.
        order: ``"shuffled"``, or ``"written"``: as the records stand in their stores.
        trainable: the parts that learn, of ``otter.recipe.PARTS``; the rest is frozen.
        batch_size: sequences per device and forward pass.
        accumulate: forward passes per optimizer step.
        precision: ``"bf16"`` keeps what learns in float32 and computes in bfloat16.
        workers: processes that prepare batches; 0 prepares them between the steps.
        threads: of the training process on a CPU; absent, PyTorch's choice.
    """

    model: str
    output: str
    data: tuple[DataPart, ...]
    max_steps: int | None = limited(None, at_least=1)
    minutes: float | None = limited(None, above=0)
    seed: int = limited(0, at_least=0)
    save_every: int | None = limited(None, at_least=1)
    log_every: int = limited(1, at_least=1)
    order: Literal["shuffled", "written"] = "shuffled"
    trainable: tuple[
        Literal["resampler", "cross_attention", "language_model", "vision_tower", "new_tokens"], ...
    ] = ("resampler", "cross_attention", "new_tokens")
    batch_size: int = limited(4, at_least=1)
    accumulate: int = limited(1, at_least=1)
    precision: Literal["fp32", "bf16"] = "fp32"
    workers: int = limited(1, at_least=0)
    threads: int | None = limited(None, at_least=1)
    optimizer: Optimizer = Optimizer()
    loss: Loss = Loss()

    def problems(self) -> Iterator[str]:
        """What is wrong beyond single values."""
        if self.max_steps is None and self.minutes is None:
            yield "max_steps: missing; say how long to train, with max_steps or with minutes"
        if not self.data:
            yield "data = []: expected at least one [[data]] table with a store"
        if not self.trainable:
            yield f"trainable = []: expected at least one of {', '.join(PARTS)}"
