"""The dataset of ``data_loading.py``: pictures and instructions, as MIMIC-IT and as stores."""

import base64
import io
import json
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

OTHER, SAME = "other", "same"
"""What the pictures of the examples are, beside that of the question."""
SIDE = 224
SHOTS = 4


def make_files(folder: Path, images: int, instructions: int) -> None:
    """MIMIC-IT files: pictures as parquet, and the instructions twice, with other examples."""
    import pandas as pd

    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    names = [f"LA_IMG_{number:012d}" for number in range(images)]
    texts = [base64.b64encode(data).decode() for data in photos(images, generator)]
    pd.DataFrame({"base64": texts}, index=names).to_parquet(folder / "images.parquet")
    shown = np.sort(generator.integers(images, size=instructions))
    of_image: dict[int, list[int]] = {}
    for row, image in enumerate(shown.tolist()):
        of_image.setdefault(image, []).append(row)
    others = generator.integers(instructions, size=(instructions, SHOTS))
    for examples in (OTHER, SAME):
        data, train = {}, {}
        for row in range(instructions):
            chosen = others[row].tolist()
            if examples == SAME:
                near = [other for other in of_image[int(shown[row])] if other != row]
                chosen = (near + chosen)[:SHOTS]
            chosen = [other if other != row else (row + 1) % instructions for other in chosen]
            name = f"LA_INS_{row:06d}"
            data[name] = {
                "instruction": sentence(generator, 12) + "?",
                "answer": sentence(generator, 40) + ".",
                "image_ids": [names[shown[row]]],
                "rel_ins_ids": [],
            }
            train[name] = [f"LA_INS_{other:06d}" for other in chosen]
        for kind, value in (("instructions", {"meta": {}, "data": data}), ("train", train)):
            text = json.dumps(value)
            (folder / f"{examples}_{kind}.json").write_text(text, encoding="utf-8")


def photos(count: int, generator: np.random.Generator) -> Iterator[bytes]:
    """JPEG files of 224 x 224 pixels and some 10 KB, no two alike: parts of a few larger ones."""
    from PIL import Image

    side = 2 * SIDE
    scenes = []
    for _ in range(16):
        values = np.full((side, side, 3), 128.0, dtype=np.float32)
        for cells in (3, 7, 15, 40, 100, 200):
            noise = generator.normal(size=(3, cells, cells)).astype(np.float32)
            layers = [
                Image.fromarray(n).resize((side, side), Image.Resampling.BICUBIC) for n in noise
            ]
            values += np.stack([np.asarray(n) for n in layers], axis=-1) * (60 / cells**0.5)
        scenes.append(values.clip(0, 255).astype(np.uint8))
    for _ in range(count):
        scene = scenes[generator.integers(len(scenes))]
        top, left = generator.integers(SIDE, size=2)
        tint = generator.integers(-40, 40, size=3)
        part = scene[top : top + SIDE, left : left + SIDE].astype(np.int16) + tint
        yield jpeg(part.clip(0, 255).astype(np.uint8))


def jpeg(values: Any) -> bytes:
    """The file of a picture."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


WORDS = [a + b for a in "bcdfglmnprst" for b in ("ar", "en", "ill", "oma", "uty", "ix")]


def sentence(generator: np.random.Generator, words: int) -> str:
    """About so many words."""
    count = int(generator.integers(words // 2, words + words // 2))
    return " ".join(WORDS[i] for i in generator.integers(len(WORDS), size=count)).capitalize()


def make_stores(folder: Path) -> float:
    """Imports the files twice, as anybody would; the seconds of one import."""
    from otter.build.importing import import_source
    from otter.build.sources import open_source

    seconds = []
    for examples in (OTHER, SAME):
        begin = time.perf_counter()
        given = {"images": folder / "images.parquet", "train": folder / f"{examples}_train.json"}
        source = open_source("mimicit", [folder / f"{examples}_instructions.json"], given)
        import_source(source, folder / f"{examples}_store", resize=SIDE)
        seconds.append(time.perf_counter() - begin)
    return statistics.mean(seconds)
