"""From the stores of a recipe to batches: the mixture, and the collator that makes tensors."""

import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pyarrow.compute as pc
import torch
from torch.utils.data import DataLoader, SequentialSampler

from otter.data.mixture import Mixture, Part, Shots
from otter.data.mixture_part import estimated_tokens
from otter.data.store import Store
from otter.model.processor import OtterProcessor
from otter.prompt import Episode
from otter.recipe import DataPart, Loss, Recipe
from otter.train.loss import answer_starts, next_tokens, weigh_tokens

COUNTS = ("weight", "tokens", "pairs")
"""Plain numbers beside the tensors of a batch, so that nobody waits for a device to count."""


class TokenCount:
    """Counts the tokens of a text as a model reads it; travels to the workers of a loader."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    def __call__(self, text: str) -> int:
        """Without the markers around a turn, which the mixture adds itself."""
        return len(self.tokenizer(text, add_special_tokens=False)["input_ids"])


def build_mixture(
    recipe: Recipe, length: int, text_length: Callable[[str], int] = estimated_tokens
) -> Mixture:
    """The first ``length`` episodes of a run: the p-th sequence trained on is at position p.

    Args:
        recipe: the run.
        length: how many episodes.
        text_length: counts the tokens of a text, for parts with ``max_tokens``.

    Raises:
        DataError: a folder is not a store.
        ValueError: a store has no such split or task.
    """
    stores: dict[str, Store] = {}
    for part in recipe.data:
        if part.store not in stores:
            stores[part.store] = Store(part.store)
    parts = [_part(part, stores[part.store], text_length) for part in recipe.data]
    return Mixture(parts, seed=recipe.seed, length=length, order=recipe.order)


class Collator:
    """Episodes to one batch, padded on the right.

    Returns the model's inputs, with ``logits_to_keep long[kept]`` and, at those positions,
    ``labels long[batch, kept]`` and ``label_weights float[batch, kept]``; and plain numbers:
    ``weight`` (the sum of the weights), ``tokens`` (without padding), ``pairs`` (learned answers).
    """

    def __init__(self, processor: OtterProcessor, loss: Loss) -> None:
        self.processor = processor
        self.loss = loss

    def __call__(self, episodes: Sequence[Episode]) -> dict[str, Any]:
        """One batch."""
        if self.loss.on == "question":
            episodes = [_question_only(episode) for episode in episodes]
        batch = dict(
            self.processor.from_episodes(episodes, with_answers=True, padding_side="right")
        )
        labels = batch.pop("labels")
        weights = weigh_tokens(labels, batch.pop("label_weights"), self.loss.rest_weight)
        targets = next_tokens(labels, weights)
        return batch | {
            "logits_to_keep": targets.positions,
            "labels": targets.labels,
            "label_weights": targets.weights,
            "weight": float(targets.weights.sum()),
            "tokens": int(batch["attention_mask"].sum()),
            "pairs": int(answer_starts(labels).sum()),
        }


def build_loader(recipe: Recipe, mixture: Mixture, collator: Collator) -> DataLoader[Any]:
    """Batches in the mixture's own order, which is shuffled already and knows its positions."""
    dataset: Any = mixture  # torch asks for nothing but len() and [], and data never imports torch
    return DataLoader(
        dataset,
        batch_size=recipe.batch_size,
        sampler=SequentialSampler(dataset),
        collate_fn=collator,
        num_workers=recipe.workers,
        worker_init_fn=_start_worker,
        persistent_workers=recipe.workers > 0,
        prefetch_factor=2 if recipe.workers else None,
        pin_memory=torch.cuda.is_available(),
    )


def _part(part: DataPart, store: Store, text_length: Callable[[str], int]) -> Part:
    shots: Shots = None if part.shots == "related" else 0
    if isinstance(part.shots, int):
        shots = (0, part.shots)
    elif isinstance(part.shots, tuple):
        shots = part.shots
    elif isinstance(part.shots, dict):
        shots = {int(count): chance for count, chance in part.shots.items()}
    name = f"{part.store}:{','.join(part.tasks)}" if part.tasks else part.store
    rows = store.rows(part.split, part.tasks)
    if part.questions == "with_examples":
        rows = rows[pc.list_value_length(store.column("related")).to_numpy()[rows] > 0]
    return Part(
        store,
        rows,
        part.weight,
        shots,
        name,
        example_order=part.example_order,
        max_images=part.max_images,
        max_tokens=part.max_tokens,
        text_length=text_length,
    )


def _question_only(episode: Episode) -> Episode:
    return replace(episode, examples=[replace(example, weight=0.0) for example in episode.examples])


def _start_worker(_: int) -> None:
    # A tokenizer that was used before the fork would warn about its threads; here there is one.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    # Ctrl-C in a terminal reaches every process; the trainer still needs its batches to stop well.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
