"""Small trees of files in the layouts of public datasets, and what an import makes of them."""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from otter.build.importing import ImportResult, import_source
from otter.build.sources import open_source
from otter.data import DataError, Store, StoredRecord


def write_picture(path: Path, grey: int) -> None:
    """A small picture of one shade; the suffix says in which format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6), (grey, grey, grey)).save(path)


def write_broken(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\xff\xd8\xff half a JPEG")


def write_json(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


def write_lines(path: Path, values: Sequence[Any]) -> Path:
    path.write_text("".join(json.dumps(value) + "\n" for value in values))
    return path


def write_instructions(path: Path, data: Mapping[str, Any]) -> Path:
    return write_json(path, {"meta": {"version": "0.0.1", "author": "test"}, "data": data})


def instruction(image_ids: Sequence[str], related: Sequence[str] = ()) -> dict[str, Any]:
    return {
        "instruction": "What is it?",
        "answer": "A cat.",
        "image_ids": list(image_ids),
        "rel_ins_ids": list(related),
    }


def write_video(path: Path, seconds: int, rate: int = 5) -> None:
    """A video whose second ``n`` is of the shade ``20 * n``."""
    av = pytest.importorskip("av")
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for n in range(seconds * rate):
            values = np.full((32, 32, 3), 20 * (n // rate), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(values, format="rgb24")))
        container.mux(stream.encode())


@dataclass
class Imported:
    """A store, with its records and pictures by their ids."""

    result: ImportResult
    store: Store

    @property
    def records(self) -> dict[str, StoredRecord]:
        records = [self.store.record(row) for row in range(len(self.store))]
        return {record.id: record for record in records}

    def media(self, record_id: str) -> list[list[str]]:
        media = self.records[record_id].media
        return [[self.store.image_id(row) for row in medium] for medium in media]

    def related(self, record_id: str) -> list[str]:
        return [self.store.record(row).id for row in self.records[record_id].related]

    def greys(self, record_id: str) -> list[list[int]]:
        """The shade of each frame of each medium, to the nearest ten."""
        media = self.records[record_id].media
        return [[_grey(self.store.image_bytes(row)) for row in medium] for medium in media]

    @property
    def broken(self) -> list[str]:
        """What is listed as broken: the id, and the file after the folder of the test."""
        path = self.store.folder / "broken.jsonl"
        if not path.exists():
            return []
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        root = f"{self.store.folder.parent}/"
        return [f"{row['id']} {row['file'].removeprefix(root)}" for row in rows]


def _grey(data: bytes) -> int:
    with Image.open(io.BytesIO(data)) as image:
        pixel = image.convert("L").getpixel((3, 3))
    return round(int(pixel) / 10) * 10  # type: ignore[arg-type]


def imported(name: str, paths: Sequence[Path], out: Path, **options: Any) -> Imported:
    """The import of a source, all of whose pictures may be broken."""
    source = open_source(name, paths, options)
    result = import_source(source, out, workers=0, max_broken=1.0)
    return Imported(result, Store(out))


def problems(name: str, paths: Sequence[Path], **options: Any) -> list[str]:
    """What is wrong with a dataset, without the folders of the paths in it."""
    root = paths[0] if paths[0].is_dir() else paths[0].parent
    out = root / "store"
    with pytest.raises(DataError) as error:
        imported(name, paths, out, **options)
    assert not out.exists()
    return [str(problem).replace(f"{root}/", "") for problem in error.value.problems]
