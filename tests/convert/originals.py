"""What the original code gave, read from tests/fixtures; each folder there has a README."""

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from otter.convert.names import OPENFLAMINGO, OTTER_2023, Naming, original
from otter.convert.skeleton import Skeleton
from otter.model import OtterForConditionalGeneration
from otter.model.modeling import OtterOutput

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
OPENFLAMINGO_NAMES = (
    "llama_every2_nano",
    "gptneox_every1_nano",
    "pythia_every2_nano",
    "opt_every1_nano",
    "mpt_every1_nano",
    "mosaicgpt_every2_nano",
)
OTTER_NAMES = ("llama_image", "mpt_image", "llama_video")

LOGITS = 1e-4
LOSS = 1e-5
MARGIN = 1e-3
"""How far ours may be from the original; a token is compared where its lead exceeds MARGIN."""


@dataclass(frozen=True)
class Original:
    """One fixture.

    Args:
        folder: where it lies.
        naming: how its code base calls its tensors.
    """

    folder: Path
    naming: Naming

    @cached_property
    def meta(self) -> dict[str, Any]:
        values: dict[str, Any] = json.loads((self.folder / "meta.json").read_text("utf-8"))
        return values

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        read = load_file(self.folder / "expected.safetensors")
        return {n: t.long() if t.dtype == torch.int32 else t for n, t in read.items()}

    def cases(self, what: str) -> list[str]:
        """The cases for which the original's ``what`` is known."""
        return sorted(n.removesuffix(f"/{what}") for n in self.tensors if n.endswith(f"/{what}"))

    def expected(self, case: str, what: str) -> Tensor:
        """``logits`` float[tokens with attention, columns], ``loss``, new tokens, ..."""
        return self.tensors[f"{case}/{what}"]

    def text(self, case: str) -> dict[str, Tensor]:
        """``input_ids``, and ``attention_mask`` where the original was given one."""
        names = ("input_ids", "attention_mask")
        return {n: self.tensors[f"{case}/{n}"] for n in names if f"{case}/{n}" in self.tensors}

    def dense(self, case: str) -> Tensor:
        """The pictures as the original got them: float[batch, media, frames, 3, height, width]."""
        return self.tensors["images"][self.tensors[f"{case}/media"]]

    def indexed(self, case: str, image_token_id: int) -> dict[str, Tensor]:
        """``pixel_values`` and ``media_index`` without the media that have no marker.

        Where no row has a marker there are no pictures: the original had to be given some.
        """
        index = self.tensors[f"{case}/media"].clone()
        markers = self.tensors[f"{case}/input_ids"].eq(image_token_id).sum(1)
        index[torch.arange(index.shape[1]) >= markers[:, None]] = -1
        if (index < 0).all():
            return {}
        return {"pixel_values": self.tensors["images"], "media_index": index}


@dataclass(frozen=True)
class Converted:
    """A fixture and what the converter made of it.

    Args:
        original: the fixture.
        folder: the native checkpoint.
        model: loaded from there; not to be changed.
    """

    original: Original
    folder: Path
    model: OtterForConditionalGeneration

    @property
    def image_token_id(self) -> int:
        return int(self.model.config.image_token_id or -1)

    def original_names(self, targets: Sequence[str]) -> dict[str, list[str]]:
        """The original's tensor to ours that together make it, in their order."""
        layout = Skeleton(self.model.config).layout
        found: dict[str, list[tuple[int, str]]] = {}
        for target in targets:
            origin = original(target, self.original.naming, layout)[0]
            found.setdefault(origin.name, []).append((origin.part, target))
        return {name: [target for _, target in sorted(parts)] for name, parts in found.items()}

    def forward(self, case: str) -> OtterOutput:
        """What ours makes of the very tensors that the original was given."""
        text = self.original.text(case)
        mask = text.get("attention_mask", torch.ones_like(text["input_ids"]))
        output: OtterOutput = self.model(
            **text,
            pixel_values=self.original.dense(case),
            labels=self.original.tensors.get(f"{case}/labels"),
            position_ids=self.positions(mask),
            # The original was given pictures without a marker, too.
            check_media=False,
        )
        return output

    def logits_difference(self, case: str) -> float:
        """The largest, over all tokens with attention."""
        theirs = self.original.expected(case, "logits")
        text = self.original.text(case)
        attended = text.get("attention_mask", torch.ones_like(text["input_ids"])).bool()
        with torch.no_grad():
            logits = self.forward(case).logits
        ours = logits[attended][:, self.original.tensors["columns"]]
        assert ours.shape == theirs.shape
        return float((ours - theirs).abs().max())

    def generate(self, case: str, **settings: Any) -> Tensor:
        """The new tokens, long[batch, tokens]; with a cache, as ours always has one."""
        pictures: dict[str, Any] = self.original.indexed(case, self.image_token_id)
        text: dict[str, Any] = self.original.text(case)
        tokens: Tensor = self.model.generate(**text, **pictures, do_sample=False, **settings)
        return tokens[:, text["input_ids"].shape[1] :]

    def positions(self, mask: Tensor, *, generating: bool = False) -> Tensor | None:
        """Those that the original used: the columns, padding included; to generate, without it.

        OPT alone counts from the mask, in the original as here, and ALiBi needs no positions.
        """
        text: Any = self.model.config.text_config
        if text.model_type in ("opt", "mpt", "mosaic_gpt"):
            return None
        if generating:
            return (mask.cumsum(1) - 1).clamp(min=0)
        return torch.arange(mask.shape[1]).expand(mask.shape)


def openflamingo(name: str) -> Original:
    return Original(FIXTURES / "openflamingo" / name, OPENFLAMINGO)


def otter(name: str) -> Original:
    return Original(FIXTURES / "otter" / name, OTTER_2023)


def read_manifest(name: str) -> dict[str, Any]:
    """Names, shapes and counts of a model of real size."""
    with gzip.open(FIXTURES / "manifests" / f"{name}.json.gz", "rt", encoding="utf-8") as file:
        values: dict[str, Any] = json.load(file)
    return values


def first_difference(ours: Tensor, theirs: Tensor, lead: Tensor, end: int) -> str:
    """Where two generations differ before their first token that was chosen by a hair.

    Args:
        ours: long[batch, tokens].
        theirs: long[batch, tokens], as the original gave them.
        lead: float[batch, tokens], by how much the best logit led.
        end: the token at which a text ends; what follows is padding.
    """
    for row, tokens in enumerate(theirs.tolist()):
        for place, token in enumerate(tokens):
            if lead[row, place] <= MARGIN:
                break
            if place >= ours.shape[1] or ours[row, place] != token:
                return f"row {row}: {ours[row].tolist()}, the original {tokens}"
            if token == end:
                break
    return ""


def until(tokens: Tensor, end: int) -> list[list[int]]:
    """Each row up to and with its first ``end``."""
    rows = tokens.tolist()
    return [row[: row.index(end) + 1] if end in row else row for row in rows]
