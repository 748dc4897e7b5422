"""Stores to look at: a small sound one, and any that a writer would refuse to make."""

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from otter.data import Record, Store, StoreWriter
from otter.data.arrow import (
    ALIAS_SCHEMA,
    ALIASES,
    IMAGE_SCHEMA,
    IMAGES,
    RECORD_SCHEMA,
    RECORDS,
    ArrowStream,
)
from otter.data.manifest import count_tasks, file_entry, new_manifest, write_manifest
from otter.data.table import ArrowTable


def picture(number: int, side: int = 16) -> bytes:
    """A PNG file with soft shapes; another number is another picture."""
    rough = np.random.default_rng(number).integers(0, 255, (4, 4, 3), dtype=np.uint8)
    image = Image.fromarray(rough).resize((side, side), Image.Resampling.BICUBIC)
    return encoded(image, "PNG")


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def write_pets(folder: Path) -> Store:
    """Pictures, a pair, a clip, text alone; two tasks, two splits, worked examples."""
    with StoreWriter(folder) as writer:
        for number in range(6):
            writer.add_image(f"IMG_{number}", picture(number))
        writer.add_record(
            Record("CAT_0", "How many cats are there?", "Two.", (("IMG_0",),), task="cats")
        )
        writer.add_record(
            Record("CAT_1", "How many cats are there?", "One.", (("IMG_1",),), task="cats")
        )
        writer.add_record(
            Record(
                "CAT_2",
                "How many kittens are there?",
                "Three, <b>all</b> white.",
                (("IMG_2",),),
                related=("CAT_1", "CAT_0"),
                task="cats",
                source="garden",
                weight=0.5,
            )
        )
        pair = (("IMG_3",), ("IMG_4",))
        clip = (("IMG_2", "IMG_3", "IMG_4"),)
        writer.add_record(Record("PAIR", "Which is larger?", "The second.", pair, task="pairs"))
        writer.add_record(
            Record("CLIP", "What happens?", "It runs.", clip, related=("PAIR",), task="pairs")
        )
        writer.add_record(Record("TEXT", "2 + 2?", "4", task="cats"))
        writer.add_record(
            Record(
                "TEST",
                "Wie viele Katzen sind das?",
                "Eine.",
                (("IMG_5",),),
                task="cats",
                split="test",
                language="de",
            )
        )
    return Store(folder)


def row(name: str, **fields: Any) -> dict[str, Any]:
    """A record as the file holds it, sound unless fields say otherwise."""
    sound = {
        "id": name,
        "instruction": f"What is in picture {name}?",
        "answer": f"A cat called {name}.",
        "task": "cats",
        "source": "",
        "split": "train",
        "language": "en",
        "weight": 1.0,
        "media": [],
        "related": [],
    }
    return sound | fields


def write_raw(
    folder: Path,
    rows: Sequence[dict[str, Any]],
    images: Sequence[tuple[str, bytes]] = (),
    aliases: Sequence[tuple[str, int]] = (),
    **manifest: Any,
) -> Path:
    """A store with whatever is in these rows; its manifest and checksums are right."""
    folder.mkdir(parents=True)
    with ArrowStream(folder / RECORDS, RECORD_SCHEMA) as stream:
        for fields in rows:
            stream.add(tuple(fields[name] for name in RECORD_SCHEMA.names), 1)
    with ArrowStream(folder / IMAGES, IMAGE_SCHEMA) as stream:
        for name, data in images:
            stream.add((name, hashlib.sha256(data).digest(), data), len(data))
    with ArrowStream(folder / ALIASES, ALIAS_SCHEMA) as stream:
        for alias in aliases:
            stream.add(alias, 1)
    tasks = count_tasks(
        [batch for _, batch in ArrowTable(folder / RECORDS, schema=RECORD_SCHEMA).parts]
    )
    counts = {"records": len(rows), "images": len(images), "videos": 0}
    files = {name: file_entry(folder / name) for name in (RECORDS, IMAGES, ALIASES)}
    write_manifest(folder, new_manifest(counts, tasks, files) | manifest)
    return folder
