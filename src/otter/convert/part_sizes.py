"""How many parameters each part of an Otter has, counted from its config alone.

The model is built on PyTorch's meta device, where tensors have a shape and no values: eight billion
parameters are counted in about a second and in no memory.
"""

import copy
from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn

from otter.convert.skeleton import Skeleton
from otter.model.config import OtterConfig

TOKEN_EMBEDDINGS = "token_embeddings"
OUTPUT_PROJECTION = "output_projection"
DECODER = "decoder"
"""The language model is counted in three parts: its two ends, and what stands between them."""

TUNED = ("resampler", "cross_attention", TOKEN_EMBEDDINGS)
"""What a tuning in the manner of Flamingo trains.

Where the output projection is the embeddings once more (MPT), it learns with them. Where it is a
matrix of its own (LLaMA), it stays: so OpenFlamingo had it, and so one counts to the 1.3 billion of
the Otter paper. The code of 2023 trained it as well, but of LLaMA alone, by the name of its class.
"""


@dataclass(frozen=True)
class PartSize:
    """How many parameters a part has, and how many of them a tuning trains.

    Args:
        part: its name.
        parameters: in all.
        trainable: those in parts that :data:`TUNED` names.
    """

    part: str
    parameters: int
    trainable: int


def parameter_table(config: OtterConfig) -> list[PartSize]:
    """The parts of a model and their sizes, in the order of the model.

    The 2023 Otter on MPT-7B::

        vision_tower        303,179,776              0
        resampler            63,019,008     63,019,008
        token_embeddings    206,569,472    206,569,472
        decoder           6,442,717,184              0
        cross_attention   1,115,815,952  1,115,815,952

    Raises:
        ValueError: a backbone that cannot be used; the message names it.
    """
    return sizes_of(Skeleton(copy.deepcopy(config)))


def sizes_of(skeleton: Skeleton) -> list[PartSize]:
    """As :func:`parameter_table`, of a model that is built already."""
    parts = part_names(skeleton)
    named = skeleton.model.named_parameters()
    return summed((parts[name], p.numel()) for name, p in named if name in parts)


def part_names(skeleton: Skeleton) -> dict[str, str]:
    """The part that each tensor of the checkpoint belongs to."""
    model = skeleton.model
    ends = {
        **_of(model.get_output_embeddings(), OUTPUT_PROJECTION),
        **_of(model.get_input_embeddings(), TOKEN_EMBEDDINGS),
    }
    here = {name: ends[id(p)] for name, p in model.named_parameters() if id(p) in ends}
    inside = "language_model"
    firsts = {name: name.partition(".")[0] for name in skeleton.shapes}
    return {n: here.get(n, DECODER) if first == inside else first for n, first in firsts.items()}


def summed(parameters: Iterable[tuple[str, int]]) -> list[PartSize]:
    """Add up tensors, each given as its part and its number of parameters."""
    sizes: dict[str, int] = {}
    for part, size in parameters:
        sizes[part] = sizes.get(part, 0) + size
    return [PartSize(part, size, size if part in TUNED else 0) for part, size in sizes.items()]


def in_all(sizes: Iterable[PartSize]) -> PartSize:
    """The sum of all parts, under the name "total"."""
    table = list(sizes)
    return PartSize("total", sum(s.parameters for s in table), sum(s.trainable for s in table))


def _of(end: nn.Module | None, part: str) -> dict[int, str]:
    return {} if end is None else {id(parameter): part for parameter in end.parameters()}
