"""Hugging Face's trainer with our loss, our optimizer, our batches and our checkpoints.

Accumulation, mixed precision, several devices and resuming come from there; what is written here
is what differs, and what keeps its overhead per step in the low milliseconds.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import PrinterCallback, Trainer, TrainingArguments

from otter.data.mixture import Mixture
from otter.recipe import Recipe
from otter.train import checkpoint
from otter.train.loader import COUNTS, Collator, build_loader
from otter.train.loss import weighted_cross_entropy
from otter.train.optimizer import build_optimizer, build_schedule
from otter.train.parameters import Trainable
from otter.train.progress import Clock

COUNTERS = "counters.json"


class OtterTrainer(Trainer):
    """Trains the chosen parts of a model on a mixture.

    Args:
        recipe: with ``max_steps`` decided.
        trainable: the model and what of it learns, on the device already.
        mixture: the episodes in the order of training.
        collator: makes batches of them.
        after_step: called with the trainer and the number of finished steps, after each.
    """

    optimizer: Any
    lr_scheduler: Any

    def __init__(
        self,
        recipe: Recipe,
        trainable: Trainable,
        mixture: Mixture,
        collator: Collator,
        after_step: Callable[["OtterTrainer", int], None],
    ) -> None:
        self.recipe = recipe
        self.trainable = trainable
        self.mixture = mixture
        self.collator = collator
        self.seen = {"tokens": 0, "pairs": 0}
        self.clock = Clock()
        self._seconds_before = 0.0
        self.stop_requested = False
        self._stop_agreed = 0.0
        self.newest_loss: float | None = None
        self._after_step = after_step
        self._last_step = -1
        self._staging: Path | None = None
        self._log_path = Path(recipe.output, checkpoint.LOG)
        super().__init__(
            model=trainable.model,
            args=training_arguments(recipe),
        )
        self.remove_callback(PrinterCallback)
        # Our loss is divided by the weights of the whole step: nothing is left to scale.
        self.loss_is_scaled_for_ga = True

    def get_train_dataloader(self) -> DataLoader[Any]:
        """The recipe's batches, shared out among the devices."""
        self.clock = Clock(self._seconds_before)
        loader = build_loader(self.recipe, self.mixture, self.collator)
        return cast(DataLoader[Any], self.accelerator.prepare(loader))

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], Tensor]:
        """The batches of one optimizer step, and the sum of their weights over all devices."""
        batches = [batch for _, batch in zip(range(num_batches), epoch_iterator, strict=False)]
        counts = [sum(batch.pop(name) for batch in batches) for name in COUNTS]
        # All devices must stop after the same step, or they would wait for each other for ever.
        sums = torch.tensor([*counts, self.stop_requested], dtype=torch.float64)
        if self.args.world_size > 1:
            sums = self.accelerator.reduce(sums.to(device), reduction="sum")
        weight, tokens, pairs, self._stop_agreed = sums.tolist()
        self.seen["tokens"] += int(tokens)
        self.seen["pairs"] += int(pairs)
        # A step of unanswerable questions has weight 0 and a loss of 0, not of 0/0.
        return batches, torch.tensor(weight or 1.0, dtype=torch.float32, device=device)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | None = None,
    ) -> Any:
        """The weighted loss of one batch, as its share of the whole optimizer step."""
        self.trainable.quiet_frozen()
        total = torch.tensor(1.0) if num_items_in_batch is None else num_items_in_batch
        outputs, loss = batch_loss(model, inputs, total)
        # Gradients are averaged over devices, ours are to be summed.
        loss = loss * self.accelerator.num_processes
        return (loss, outputs) if return_outputs else loss

    def create_optimizer(self, model: nn.Module | None = None) -> Any:
        """AdamW over what learns."""
        if self.optimizer is None:
            self.optimizer = build_optimizer(self.trainable, self.recipe.optimizer)
        return self.optimizer

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> Any:
        """The recipe's schedule."""
        if self.lr_scheduler is None:
            factor = build_schedule(self.recipe.optimizer, num_training_steps)
            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(
                optimizer or self.optimizer, factor
            )
            self._created_lr_scheduler = True
        return self.lr_scheduler

    def _maybe_log_save_evaluate(self, *args: Any, **kwargs: Any) -> None:
        """Between two steps: log, save, and tell whoever watches. Called once more at the end."""
        step, control = self.state.global_step, self.control
        if step != self._last_step:
            alone = self.args.world_size == 1
            stop = self.stop_requested if alone else self._stop_agreed > 0
            stop = stop and step < self.state.max_steps
            save = self.recipe.save_every is not None and step % self.recipe.save_every == 0
            control.should_save = stop or save
            control.should_training_stop = control.should_training_stop or stop
            # A line before every checkpoint: what is summed up between two lines is not saved.
            control.should_log = control.should_save or step % self.recipe.log_every == 0
            super()._maybe_log_save_evaluate(*args, **kwargs)
            self._last_step = step
            self._after_step(self, step)

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Not counted: Hugging Face's estimate knows nothing of pictures."""
        return 0

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Append a line to the log.

        Raises:
            FloatingPointError: the loss is not a number any more.
        """
        if "loss" not in logs:
            return
        step, loss = self.state.global_step, logs["loss"]
        factor = build_schedule(self.recipe.optimizer, self.state.max_steps)(step - 1)
        line = {
            "step": step,
            "loss": loss,
            "lr": self.recipe.optimizer.lr * factor,
            "grad_norm": logs.get("grad_norm"),
            **self.seen,
            "seconds": round(self.clock.seconds, 3),
        }
        self.newest_loss = loss
        if self.is_world_process_zero():
            with self._log_path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        if not loss == loss or abs(loss) == float("inf"):
            raise FloatingPointError(
                f"the loss is {loss} at step {step}: lower optimizer.lr (now "
                f"{self.recipe.optimizer.lr:g}) or add optimizer.warmup_steps; the newest "
                f"checkpoint in {self.args.output_dir} is from before"
            )

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Write a checkpoint beside the others under a hidden name, then move it into place."""
        staging = Path(self.args.output_dir, ".partial")
        with self.clock.paused():
            if self.is_world_process_zero():
                shutil.rmtree(staging, ignore_errors=True)
            self.accelerator.wait_for_everyone()
            self._staging = staging
            super()._save_checkpoint(model, trial)
            self._staging = None
            self.accelerator.wait_for_everyone()
            if self.is_world_process_zero():
                checkpoint.publish_checkpoint(staging / f"checkpoint-{self.state.global_step}")
                shutil.rmtree(staging, ignore_errors=True)
            self.accelerator.wait_for_everyone()

    def _get_output_dir(self, trial: Any) -> str:
        return str(self._staging or self.args.output_dir)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """Only what learns; the rest stands in the model that the recipe names."""
        folder = Path(output_dir or self.args.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        checkpoint.save_weights(self.trainable.state(), folder)
        counters = {**self.seen, "seconds": self.clock.seconds}
        (folder / COUNTERS).write_text(json.dumps(counters), encoding="utf-8")

    def _load_from_checkpoint(
        self, resume_from_checkpoint: str, model: nn.Module | None = None
    ) -> None:
        folder = Path(resume_from_checkpoint)
        self.trainable.load_state(checkpoint.load_weights(folder))
        counters = json.loads((folder / COUNTERS).read_text(encoding="utf-8"))
        self._seconds_before = counters.pop("seconds")
        self.seen.update(counters)


def batch_loss(
    model: nn.Module, inputs: dict[str, Any], total: Tensor | float
) -> tuple[Any, Tensor]:
    """The model's output for a batch of :class:`Collator`, and its loss over ``total``."""
    inputs = {name: value for name, value in inputs.items() if name not in COUNTS}
    labels, weights = inputs.pop("labels"), inputs.pop("label_weights")
    outputs = model(**inputs, use_cache=False)
    return outputs, weighted_cross_entropy(outputs.logits, labels, weights, total)


def training_arguments(recipe: Recipe) -> TrainingArguments:
    """Hugging Face's arguments: everything that we do ourselves is switched off there."""
    return TrainingArguments(
        output_dir=str(Path(recipe.output, checkpoint.CHECKPOINTS)),
        max_steps=recipe.max_steps or 1,
        per_device_train_batch_size=recipe.batch_size,
        gradient_accumulation_steps=recipe.accumulate,
        max_grad_norm=recipe.optimizer.clip,
        bf16=recipe.precision == "bf16",
        seed=recipe.seed,
        use_cpu=not torch.cuda.is_available(),
        # We say when to log and save: a resumed trainer would go by what was said before.
        logging_strategy="no",
        save_strategy="no",
        # The filter would wait for the device at every step, and hide what must stop the run.
        logging_nan_inf_filter=False,
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_num_workers=recipe.workers,
        # A batch without pictures leaves the resampler without a gradient.
        ddp_find_unused_parameters=True,
    )


def own_random_numbers(model: nn.Module) -> AbstractContextManager[None]:
    """Inside, random numbers may be drawn without changing those of the training."""
    device = next(model.parameters()).device
    return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])
