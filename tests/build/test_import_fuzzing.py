"""Damaged datasets of every kind: no crash, no lost good record, every problem named.

``OTTER_FUZZ=2000`` runs as many mutations of each kind as that; the suite runs a few.
"""

import base64
import copy
import io
import json
import os
import random
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from otter.build.importing import ImportResult, import_source
from otter.build.sources import open_source
from otter.data import DataError, Store

COUNT = int(os.environ.get("OTTER_FUZZ", "25"))
RECORDS = 6


def picture(n: int, kind: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (24, 16), (n * 30, 10, 90)).save(buffer, kind)
    return buffer.getvalue()


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def llava(n: int) -> dict[str, Any]:
    said = [{"from": "human", "value": "<image>Q?"}, {"from": "gpt", "value": f"A{n}."}]
    return {"id": f"r{n}", "image": f"{n}.jpg", "conversations": said}


def message(n: int) -> dict[str, Any]:
    url = f"data:image/jpeg;base64,{text(picture(n))}"
    parts = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "Q?"}]
    said = [{"role": "user", "content": parts}, {"role": "assistant", "content": f"A{n}."}]
    return {"id": f"r{n}", "messages": said}


def row(n: int) -> dict[str, Any]:
    return {"id": f"r{n}", "question": "Q?", "answer": f"A{n}.", "image": f"{n}.jpg"}


def instructions(n: int) -> dict[str, Any]:
    return {
        "instruction": "Q?",
        "answer": f"A{n}.",
        "image_ids": [f"p{n}"],
        "rel_ins_ids": [f"r{(n + 1) % RECORDS}"],
    }


def write_lines(folder: Path, make: Callable[[int], Any]) -> Path:
    for n in range(RECORDS):
        (folder / f"{n}.jpg").write_bytes(picture(n))
    path = folder / "data.jsonl"
    path.write_text("".join(json.dumps(make(n)) + "\n" for n in range(RECORDS)))
    return path


def write_mimicit(folder: Path) -> Path:
    images = {f"p{n}": text(picture(n)) for n in range(RECORDS)}
    (folder / "images.json").write_text(json.dumps(images))
    path = folder / "data.json"
    data = {f"r{n}": instructions(n) for n in range(RECORDS)}
    path.write_text(json.dumps({"meta": {"version": 1}, "data": data}))
    return path


def write_csv(folder: Path) -> Path:
    write_lines(folder, row)
    path = folder / "data.csv"
    lines = [f'r{n},"Q, and?",A{n}.,{n}.jpg\n' for n in range(RECORDS)]
    path.write_text("id,question,answer,image\n" + "".join(lines))
    return path


def write_tar(folder: Path) -> Path:
    path = folder / "data.tar"
    with tarfile.open(path, "w") as archive:
        for n in range(RECORDS):
            for name, data in ((f"r{n}.jpg", picture(n)), (f"r{n}.txt", b"A caption.")):
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
    return path


FORMATS: dict[str, Callable[[Path], Path]] = {
    "mimicit": write_mimicit,
    "llava": lambda folder: write_lines(folder, llava),
    "messages": lambda folder: write_lines(folder, message),
    "table": write_csv,
    "webdataset": write_tar,
}


def options(name: str, folder: Path) -> dict[str, Any]:
    return {"mimicit": {"images": folder / "images.json"}}.get(name, {})


def mutate(data: bytes, generator: random.Random) -> bytes:
    at = generator.randrange(len(data) + 1)
    end = min(len(data), at + generator.randrange(1, 40))
    noise = bytes(generator.randrange(256) for _ in range(generator.randrange(1, 6)))
    ways = [
        lambda: data[:at],
        lambda: data[:at] + data[end:],
        lambda: data[:at] + noise + data[at:],
        lambda: data[:at] + noise + data[at + len(noise) :],
        lambda: data[:end] + data[at:],
        lambda: data.replace(b'"', b"'", 1),
        lambda: data[:at] + b'{"a": [' * 40 + data[at:],
        lambda: data[:at] + b"\x00" * 40 + data[end:],
    ]
    return generator.choice(ways)()


def brought_in(name: str, path: Path, out: Path, **settings: Any) -> ImportResult | DataError:
    try:
        source = open_source(name, [path], options(name, path.parent))
        return import_source(source, out, workers=0, max_broken=1.0, overwrite=True, **settings)
    except DataError as error:
        return error


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_bytes_end_no_import(name: str, tmp_path: Path) -> None:
    generator = random.Random(name)
    path = FORMATS[name](tmp_path)
    files = sorted(file for file in tmp_path.iterdir() if file.is_file())
    originals = {file: file.read_bytes() for file in files}
    out = tmp_path / "store"
    for attempt in range(COUNT):
        # Every other time the records, else one of the pictures or the file of them.
        others = [file for file in files if file != path] or [path]
        victim = path if attempt % 2 else generator.choice(others)
        victim.write_bytes(mutate(originals[victim], generator))
        result = brought_in(name, path, out, keep_going=True)
        if isinstance(result, DataError):
            assert result.problems
            assert all(problem.where and problem.expected for problem in result.problems)
        else:
            assert result.records <= RECORDS + 1
            known = result.problems or result.broken
            assert known or result.records >= RECORDS or attempt % 2
            Store(out).verify()
        victim.write_bytes(originals[victim])


WRONG: list[Any] = [
    None,
    7,
    -1.5,
    True,
    "",
    " ",
    "nobody",
    [],
    {},
    [None],
    [[]],
    ["x", 3],
    {"a": 1},
]


def places(value: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to everything in a nested value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value)
    found = []
    for key, part in inside if isinstance(value, dict | list) else ():
        found += [(*above, key), *(places(part, (*above, key)) if part_of(part) else [])]
    return found


def part_of(value: Any) -> bool:
    return isinstance(value, dict | list)


@pytest.mark.parametrize(
    ("name", "make"), [("llava", llava), ("messages", message), ("table", row)]
)
def test_one_wrong_record_costs_no_other(name: str, make: Any, tmp_path: Path) -> None:
    generator = random.Random(name)
    path = write_lines(tmp_path, make)
    good = {make(n)["id"] for n in range(RECORDS)}
    for _ in range(COUNT):
        records = [make(n) for n in range(RECORDS)]
        victim = generator.randrange(RECORDS)
        place = generator.choice(places(records[victim]))
        target = records[victim]
        for key in place[:-1]:
            target = target[key]
        target[place[-1]] = copy.deepcopy(generator.choice([*WRONG, "r0", "r1"]))
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        result = brought_in(name, path, tmp_path / "store", keep_going=True)
        assert isinstance(result, ImportResult), str(result)
        store = Store(tmp_path / "store")
        found = {store.record(n).id for n in range(len(store))}
        # Two records with one id: the second is refused, or numbered, whichever the victim is.
        lost = good - {f"r{victim}"} - found
        assert not lost or (place == ("id",) and name == "table")
        assert result.records == RECORDS or result.problems or result.left_out


def test_one_wrong_instruction_costs_no_other(tmp_path: Path) -> None:
    generator = random.Random(0)
    path = write_mimicit(tmp_path)
    for _ in range(COUNT):
        data = {f"r{n}": instructions(n) for n in range(RECORDS)}
        victim = f"r{generator.randrange(RECORDS)}"
        field = generator.choice([*data[victim], ""])
        wrong = copy.deepcopy(generator.choice(WRONG))
        if field:
            data[victim][field] = wrong
        else:
            data[victim] = wrong
        path.write_text(json.dumps({"data": data}))
        result = brought_in("mimicit", path, tmp_path / "store", keep_going=True)
        assert isinstance(result, ImportResult), str(result)
        store = Store(tmp_path / "store")
        found = {store.record(n).id for n in range(len(store))}
        assert data.keys() - {victim} <= found
        assert victim in found or result.problems
