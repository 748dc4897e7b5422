"""Which parameters learn: by the part that they belong to; everything else is frozen."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from otter.model.modeling import OtterForConditionalGeneration

NEW_TOKENS = "new_tokens"


@dataclass(frozen=True)
class PartSize:
    """How many parameters a part has, and how many of them learn."""

    part: str
    parameters: int
    trainable: int


class Trainable:
    """What of a model learns, chosen once before training; the rest is frozen and in eval mode.

    Args:
        model: its parameters are frozen or not, in place.
        parts: names among ``otter.recipe.PARTS``.

    Attributes:
        parameters: what the optimizer owns, by name; nothing frozen is among them.
        matrices: the names of those that are matrices of linear or convolution layers.
        embeddings: the names of those that are token embeddings or the output projection.
        rows: the rows of the new tokens, where they learn alone.
    """

    def __init__(self, model: OtterForConditionalGeneration, parts: Sequence[str]) -> None:
        self.model = model
        self.parts = tuple(parts)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(part_of(name) in parts)
        alone = NEW_TOKENS in parts and "language_model" not in parts
        tables = {id(table): name for name, table in _embedding_tables(model).items()}
        learned = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self.rows = NewTokenRows(model) if alone else None
        self.parameters: dict[str, nn.Parameter] = dict(learned)
        self.embeddings = {name for name, p in learned.items() if id(p) in tables}
        if self.rows is not None:
            self.parameters |= self.rows.rows
            self.embeddings |= set(self.rows.rows)
        self.matrices = _matrices(model) & set(learned)
        self._frozen = [module for name, module in model.named_children() if name not in parts]

    def quiet_frozen(self) -> None:
        """Put frozen parts back into eval mode: no dropout, no running statistics.

        Hugging Face's trainer says ``model.train()`` before each batch, which reaches them too.
        """
        for module in self._frozen:
            # A frozen language model that recomputes its activations does so in training mode only.
            if not getattr(module, "is_activation_checkpointing", False):
                module.eval()

    def state(self) -> dict[str, Tensor]:
        """All that training changes, by name: what learns, and the buffers beside it."""
        saved = self.model.state_dict().keys()
        return {name: p.detach() for name, p in self.parameters.items()} | {
            name: buffer
            for name, buffer in self.model.named_buffers()
            if name in saved and part_of(name) in self.parts
        }

    @torch.no_grad()
    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take back what :meth:`state` gave.

        Raises:
            ValueError: the names differ, as when the recipe trains other parts than before.
        """
        own = self.state()
        if different := sorted(own.keys() ^ state.keys()):
            raise ValueError(
                f"the checkpoint and the recipe train different parameters: {different[0]} and "
                f"{len(different) - 1} more are in one of them only; resume with the recipe that "
                "stands in the run folder"
            )
        for name, tensor in own.items():
            tensor.copy_(state[name])
        if self.rows is not None:
            self.rows.write_back()

    def sizes(self) -> list[PartSize]:
        """How much of each part learns, in the order of the model."""
        counted: dict[str, list[int]] = {}
        for name, parameter in self.model.named_parameters():
            both = counted.setdefault(part_of(name), [0, 0])
            both[0] += parameter.numel()
            both[1] += parameter.numel() if name in self.parameters else 0
        if self.rows is not None:
            new = sum(rows.numel() for rows in self.rows.rows.values())
            counted[NEW_TOKENS] = [new, new]
            counted["language_model"][0] -= new
        return [PartSize(part, *both) for part, both in counted.items()]


class NewTokenRows:
    """The embedding rows of ``<image>``, ``<answer>`` and ``<|endofchunk|>``, learned on their own.

    The optimizer owns a float32 copy of these rows alone, so there is no optimizer state for the
    rest of the vocabulary and not a bit of it changes. The gradient of the whole table exists for
    a moment in each step; only its new rows are kept.
    """

    def __init__(self, model: OtterForConditionalGeneration) -> None:
        config = model.config
        tokens = (config.end_of_chunk_token_id, config.image_token_id, config.answer_token_id)
        ids = [token for token in tokens if token is not None]
        self._ids = torch.tensor(ids, device=model.device)
        self._tables = _embedding_tables(model)
        self.rows: dict[str, nn.Parameter] = {}
        for name, table in self._tables.items():
            self.rows[f"{NEW_TOKENS}.{name}"] = nn.Parameter(table.detach()[self._ids].float())
            table.requires_grad_(True)
            # Before anything adds up or measures gradients: across devices, or the norm to clip.
            table.register_hook(self._only_new)

    def take_gradients(self) -> None:
        """Move the rows' gradients to what the optimizer owns; after clipping, before its step."""
        for rows, table in zip(self.rows.values(), self._tables.values(), strict=True):
            rows.grad = None if table.grad is None else table.grad[self._ids].to(rows.dtype)
            table.grad = None

    @torch.no_grad()
    def write_back(self) -> None:
        """Put the learned rows into the model."""
        for rows, table in zip(self.rows.values(), self._tables.values(), strict=True):
            table[self._ids] = rows.to(table.dtype)

    def _only_new(self, gradient: Tensor) -> Tensor:
        kept = torch.zeros_like(gradient)
        kept[self._ids] = gradient[self._ids]
        return kept


def part_of(name: str) -> str:
    """The part that a parameter belongs to: the first piece of its name."""
    return name.partition(".")[0]


def freeze_precision(trainable: Trainable, dtype: torch.dtype) -> None:
    """Keep what is frozen in ``dtype`` and what learns in float32.

    Small updates are lost in bfloat16; frozen weights are only read, so they need no second copy.
    """
    for name, parameter in trainable.model.named_parameters():
        if parameter.is_floating_point():
            wanted = torch.float32 if name in trainable.parameters else dtype
            parameter.data = parameter.data.to(wanted)


def _embedding_tables(model: OtterForConditionalGeneration) -> dict[str, nn.Parameter]:
    """Token embeddings and output projection by name; one entry where they are tied."""
    ends = [model.get_input_embeddings(), model.get_output_embeddings()]
    wanted = {id(end.weight) for end in ends if end is not None}
    return {name: p for name, p in model.named_parameters() if id(p) in wanted}


def _matrices(model: nn.Module) -> set[str]:
    """Names of the weights of linear and convolution layers, told by their owner."""
    names = set()
    for prefix, module in model.named_modules():
        weight = getattr(module, "weight", None)
        table_or_norm = isinstance(module, nn.Embedding) or "norm" in type(module).__name__.lower()
        if isinstance(weight, nn.Parameter) and weight.ndim >= 2 and not table_or_norm:
            names.add(f"{prefix}.weight")
    return names
