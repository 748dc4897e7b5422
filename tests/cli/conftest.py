"""A nano model, world and exam so small that a whole run takes seconds."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from otter.data import Store
from otter.nano import exam, start
from otter.nano.pictures import PictureCounts
from otter.nano.world import Stage, write_world

COUNTS = PictureCounts(
    range(7000, 7006), glyph_instances=9, per_kind=2, scenes=30, pairs=4, clips=4, stories=4
)
STAGE = Stage(groups=48, pictures=COUNTS, seed=30)


@contextmanager
def _small() -> Iterator[None]:
    nano_config = start.nano_config

    def small_config(*args: Any) -> Any:
        values = nano_config(*args).to_dict()
        text = values["text_config"] | {"hidden_size": 32, "intermediate_size": 48}
        values["text_config"] = text | {"num_hidden_layers": 2, "head_dim": 8}
        return type(nano_config(*args)).from_dict(values)

    counts = replace(COUNTS, glyph_classes=exam.TEST_CLASSES[:6], digits=True, held_out_kinds=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(start, "nano_config", small_config)
        patch.setattr(exam, "EXAM_PICTURES", counts)
        yield


@pytest.fixture
def small_nano() -> Iterator[None]:
    """Small models; and exams of a few hundred pictures, beside the digits."""
    with _small():
        yield


@pytest.fixture(scope="session")
def untrained_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that has learned nothing, as ``nano-base``; not to be changed."""
    from otter.model.stem_vision import StemVisionConfig, StemVisionModel

    torch.manual_seed(0)
    tower = StemVisionModel(StemVisionConfig(stem_channels=8, intermediate_size=96))
    with _small():  # for this alone: a session's patch would reach the tests of other folders
        model, processor = start.foundation_start(tower)
    folder = tmp_path_factory.mktemp("checkpoints") / "nano-base"
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture
def shipped(small_nano: None, untrained_base: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of shipped checkpoints, with nothing but that one in it."""
    monkeypatch.setattr("otter.model.answer.CHECKPOINTS", untrained_base.parent)
    return untrained_base.parent


@pytest.fixture(scope="session")
def small_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store of training in small."""
    folder = tmp_path_factory.mktemp("stores") / "world"
    write_world(folder, STAGE, workers=1)
    return Store(folder)
