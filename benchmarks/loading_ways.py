"""The two ways of loading that ``data_loading.py`` measures, and a third that loads nothing."""

import base64
import io
import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from loading_files import SHOTS, SIDE

ROOT = Path(__file__).resolve().parents[1]

OLD, NEW, NOTHING = "as in 2023", "Otter", "nothing"
BYTES, TENSORS = "bytes", "tensors"
"""How far a sample is taken: texts and picture files, or all that a model takes."""
MEAN, STD = (0.481, 0.458, 0.408), (0.269, 0.261, 0.276)


class Of2023:
    """The loading of 2023: everything in memory, base64 text in a DataFrame.

    Args:
        folder: of the files.
        examples: OTHER or SAME.
        stage: BYTES or TENSORS.
        seed: of the order.
        processor: only its tokenizer is used, the same for both ways.
    """

    def __init__(self, folder: Path, examples: str, stage: str, seed: int, processor: Any) -> None:
        import pandas as pd

        with warnings.catch_warnings():
            # Since version 3 pandas keeps text in Arrow; in 2023 each text was an object of Python.
            warnings.simplefilter("ignore")
            pd.set_option("future.infer_string", False)
        with (folder / f"{examples}_instructions.json").open("rb") as file:
            self.dataset = json.load(file)["data"]
        with (folder / f"{examples}_train.json").open("rb") as file:
            self.train = json.load(file)
        self.images = pd.read_parquet(folder / "images.parquet")
        self.ids = list(self.train)
        self.stage = stage
        self.order = np.random.default_rng(seed).integers(len(self.ids), size=len(self.ids))
        self.tokenizer = processor.tokenizer

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, position: int) -> Any:
        name = self.ids[self.order[position]]
        turns = [*self.train[name], name]
        text = "".join(
            f"<image>User:{self.dataset[turn]['instruction']} "
            f"GPT:<answer>{self.dataset[turn]['answer']}<|endofchunk|>"
            for turn in turns
        )
        pictures = [
            base64.urlsafe_b64decode(self.images.loc[image_id]["base64"])
            for turn in turns
            for image_id in self.dataset[turn]["image_ids"]
        ]
        if self.stage == BYTES:
            return text, pictures
        import torch

        ids = self.tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"][0]
        return ids, torch.stack([normalized(data) for data in pictures]).unsqueeze(1)

    def collate(self, samples: Sequence[Any]) -> Any:
        """A batch."""
        if self.stage == BYTES:
            return list(samples)
        import torch

        ids = torch.nn.utils.rnn.pad_sequence([ids for ids, _ in samples], batch_first=True)
        return ids, torch.stack([pictures for _, pictures in samples])


def normalized(data: bytes) -> Any:
    """What torchvision's Resize, ToTensor and Normalize do to a Pillow image."""
    import torch
    from PIL import Image

    image = Image.open(io.BytesIO(data)).convert("RGB")
    image = image.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    values = torch.from_numpy(np.array(image, copy=True)).permute(2, 0, 1).contiguous()
    values = values.to(torch.float32).div(255).clone()
    mean, std = (torch.as_tensor(found).view(-1, 1, 1) for found in (MEAN, STD))
    return values.sub_(mean).div_(std)


class OfOtter:
    """Our loading: a store, a mixture, and the processor as collator."""

    def __init__(self, folder: Path, examples: str, stage: str, seed: int, processor: Any) -> None:
        from otter.data import Mixture, Part, Store

        store = Store(folder / f"{examples}_store")
        self.mixture = Mixture([Part(store, shots=SHOTS)], seed=seed)
        self.stage = stage
        self.processor = processor

    def __len__(self) -> int:
        return len(self.mixture)

    def __getitem__(self, position: int) -> Any:
        episode = self.mixture[position]
        if self.stage == TENSORS:
            return episode
        turns = [*episode.examples, episode]
        text = "".join(
            f"<image>User:{turn.question} GPT:<answer>{turn.answer}<|endofchunk|>" for turn in turns
        )
        return text, [medium for turn in turns for medium in turn.media]

    def collate(self, samples: Sequence[Any]) -> Any:
        """A batch."""
        if self.stage == BYTES:
            return list(samples)
        return dict(self.processor.from_episodes(samples, with_answers=True))


class OfNothing:
    """A worker without data: what every worker costs, whatever it loads."""

    def __init__(self, folder: Path, examples: str, stage: str, seed: int, processor: Any) -> None:
        self.processor = processor

    def __len__(self) -> int:
        return 1_000_000

    def __getitem__(self, position: int) -> Any:
        return position

    def collate(self, samples: Sequence[Any]) -> Any:
        """A batch."""
        return list(samples)


WAYS: dict[str, Callable[[Path, str, str, int, Any], Any]] = {
    OLD: Of2023,
    NEW: OfOtter,
    NOTHING: OfNothing,
}


def make_processor() -> Any:
    """For pictures of 224 pixels, with the tokenizer of the shipped nano model."""
    from transformers import AutoTokenizer, CLIPImageProcessorPil

    from otter.model.processor import OtterProcessor

    checkpoint = ROOT / "src" / "otter" / "checkpoints" / "otter-nano"

    size = {"height": SIDE, "width": SIDE}
    pictures = CLIPImageProcessorPil(
        size=size, do_center_crop=False, image_mean=MEAN, image_std=STD
    )
    return OtterProcessor(pictures, AutoTokenizer.from_pretrained(checkpoint))
