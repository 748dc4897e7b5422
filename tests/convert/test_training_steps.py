"""A converted model learns as the original did: the same gradients, the same weights after them."""

import copy
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

import pytest
import torch
from safetensors.torch import load_file
from tests.convert.originals import OPENFLAMINGO_NAMES, OTTER_NAMES, Converted
from torch import Tensor

Convert = Callable[[str], Converted]

NEAR = 1e-5
DECAY = 0.1
STRIDE, WHOLE = 11, 512
"""Of a tensor with more than WHOLE numbers the fixtures hold every STRIDE-th."""


class Learner:
    """A copy of a converted model in which just the original's trainable tensors can be trained.

    Args:
        converted: the model to copy.
        trainable: names of those tensors in the original.
        decayed: of these, the ones with weight decay.
        rate: of learning.
    """

    def __init__(
        self, converted: Converted, trainable: Iterable[str], decayed: Collection[str], rate: float
    ) -> None:
        model = copy.deepcopy(converted.model).train().requires_grad_(False)
        self.converted = Converted(converted.original, converted.folder, model)
        self.model = model
        self.parameters = dict(model.named_parameters())
        names = converted.original_names(list(self.parameters))
        self.parts = {name: names[name] for name in trainable}
        groups: dict[bool, list[Tensor]] = {True: [], False: []}
        for name, parts in self.parts.items():
            groups[name in decayed] += [self.parameters[p].requires_grad_(True) for p in parts]
        self.trained = groups[True] + groups[False]
        self.optimizer = torch.optim.AdamW(
            [{"params": p, "weight_decay": DECAY * with_it} for with_it, p in groups.items()],
            lr=rate,
        )

    def loss(self, case: str) -> Tensor:
        """Of a case with labels."""
        loss = self.converted.forward(case).loss
        assert loss is not None
        return loss

    def step(self) -> float:
        """Clip the gradients to a norm of 1, take a step, and give the norm as it was."""
        norm = torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return float(norm)

    def weight(self, name: str) -> Tensor:
        """A tensor of the original, put together from ours."""
        return torch.cat([self.parameters[part].detach() for part in self.parts[name]]).float()

    def gradient(self, name: str) -> Tensor:
        """The gradient of one."""
        return torch.cat([_grad(self.parameters[part]) for part in self.parts[name]]).float()


def _grad(parameter: Tensor) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad


def _keep_rows(table: Tensor, rows: list[int]) -> None:
    """Forget the gradients of all rows of a table but some."""
    gradient = _grad(table)
    kept = gradient[rows].clone()
    gradient.zero_()
    gradient[rows] = kept


@dataclass(frozen=True)
class Step:
    """One step of OpenFlamingo, as recorded and as ours.

    Args:
        recorded: ``grad/NAME`` and ``after/NAME``; of the embeddings the rows that learn.
        ours: the same.
        norms: of the gradients before clipping, recorded and ours.
        others: how far the rows of the embeddings that must not learn have moved.
    """

    recorded: dict[str, Tensor]
    ours: dict[str, Tensor]
    norms: tuple[float, float]
    others: float

    def differences(self, kind: str) -> dict[str, float]:
        """The largest difference of each gradient ("grad") or weight ("after")."""
        wanted = {n: t for n, t in self.recorded.items() if n.startswith(f"{kind}/")}
        return {n: float((self.ours[n] - t).abs().max()) for n, t in wanted.items()}


@pytest.fixture(scope="module", params=OPENFLAMINGO_NAMES)
def step(request: pytest.FixtureRequest, converted: Convert) -> Step:
    flamingo = converted(request.param)
    meta = flamingo.original.meta
    recorded = load_file(flamingo.original.folder / "step.safetensors")
    trainable = [n.removeprefix("grad/") for n in recorded if n.startswith("grad/")]
    decayed = [name for name in trainable if "gated_cross_attn_layer" in name]
    learner = Learner(flamingo, trainable, decayed, meta["train"]["lr"])
    for case in ("train_laion", "train_mmc4"):
        weight = meta["train"][case.replace("train", "loss_multiplier")]
        (learner.loss(case) * weight).backward()
    table = learner.model.get_input_embeddings().weight
    before, rows = table.detach().clone(), [meta["eoc_token_id"], meta["media_token_id"]]
    _keep_rows(table, rows)

    def sample(name: str, tensor: Tensor) -> Tensor:
        if tensor.shape == table.shape:
            return tensor[rows]
        if tensor.numel() <= WHOLE:
            return tensor.view(recorded[name].shape)
        return tensor.flatten()[::STRIDE]

    ours = {f"grad/{n}": sample(f"grad/{n}", learner.gradient(n)) for n in trainable}
    norm = learner.step()
    ours |= {f"after/{n}": sample(f"after/{n}", learner.weight(n)) for n in trainable}
    moved = (table.detach() - before).abs()
    moved[rows] = 0
    norms = (meta["train"]["grad_norm_before_clip"], norm)
    return Step(recorded, ours, norms, float(moved.max()))


def test_the_gradients_are_those_of_openflamingo(step: Step) -> None:
    assert max(step.differences("grad").values()) <= NEAR
    assert step.norms[1] == pytest.approx(step.norms[0], abs=NEAR)


def test_the_weights_after_a_step_are_those_of_openflamingo(step: Step) -> None:
    assert max(step.differences("after").values()) <= NEAR


def test_rows_of_words_do_not_learn(step: Step) -> None:
    assert step.others == 0


@pytest.mark.parametrize("mode", ["plain", "mask_lm_head"])
@pytest.mark.parametrize("name", OTTER_NAMES)
def test_four_steps_are_those_of_the_2023_otter(converted: Convert, name: str, mode: str) -> None:
    otter = converted(name)
    training = otter.original.meta["training"]
    recorded = training[mode]
    # Adam's steps are as long for gradients that are nothing but rounding as for any other, and
    # four of them add up. In double precision only the original's rounding is left.
    double = Converted(otter.original, otter.folder, copy.deepcopy(otter.model).double())
    learner = Learner(double, recorded["final_param_norms"], training["decay_group"], 1e-3)
    answer = otter.original.meta["special_token_ids"]["<answer>"]
    # LLaMA's output layer was trained, and restricted, as the embeddings were.
    ends = {learner.model.get_input_embeddings().weight}
    ends |= {learner.model.get_output_embeddings().weight}
    losses, norms = [], []
    gradients: dict[str, float] = {}
    for _ in recorded["losses"]:
        loss = learner.loss("train_right_padded")
        loss.backward()
        gradients = gradients or {n: float(learner.gradient(n).norm()) for n in learner.parts}
        for table in ends if mode == "mask_lm_head" else ():
            _keep_rows(table, [answer])
        losses.append(float(loss.detach()))
        norms.append(learner.step())
    assert gradients == pytest.approx(otter.original.meta["gradient_norms"], abs=NEAR)
    assert losses == pytest.approx(recorded["losses"], abs=NEAR)
    assert norms == pytest.approx(recorded["grad_norm_before_clip"], abs=NEAR)
    final = {name: float(learner.weight(name).norm()) for name in recorded["final_param_norms"]}
    assert final == pytest.approx(recorded["final_param_norms"], abs=NEAR)
