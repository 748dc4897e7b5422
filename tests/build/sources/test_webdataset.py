"""WebDataset archives: captions, questions, several pictures, archives that break off."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.build.sources.trees import imported, problems

from otter.build.importing import import_source
from otter.build.sources import open_source
from otter.build.sources.archives import expand
from otter.data import DataError, Store


def picture(shade: int, size: int = 8) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (size, size), (shade, shade, shade)).save(buffer, "PNG")
    return buffer.getvalue()


def write_tar(path: Path, files: dict[str, Any]) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, value in files.items():
            data = value if isinstance(value, bytes) else json.dumps(value).encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


QA = {"question": "What is it?", "answer": "Grey."}


def test_names_with_braces_stars_and_folders_stand_for_files(tmp_path: Path) -> None:
    for n in range(12):
        (tmp_path / f"{n:03d}.tar").touch()
    names = [path.name for path in expand([tmp_path / "{008..011}.tar"], (".tar",))]
    assert names == ["008.tar", "009.tar", "010.tar", "011.tar"]
    assert len(expand([tmp_path / "00*.tar"], (".tar",))) == 10
    assert len(expand([tmp_path], (".tar",))) == 12
    assert [p.name for p in expand([tmp_path / "{a,b}{9..10}.tar"], ())] == [
        "a9.tar",
        "a10.tar",
        "b9.tar",
        "b10.tar",
    ]
    with pytest.raises(DataError, match=r"x\*\.tar: expected files \.tar\. Check the path\."):
        expand([tmp_path / "x*.tar"], (".tar",))
    with pytest.raises(DataError, match="expected at most 100,000 files"):
        expand([tmp_path / "{0..9999999999}.tar"], (".tar",))


@pytest.mark.parametrize("suffix", ["tar", "tar.gz"])
def test_captions_and_questions_become_records(tmp_path: Path, suffix: str) -> None:
    turns = [{"from": "human", "value": "<image>\nHow?"}, {"from": "gpt", "value": "So."}]
    write_tar(
        tmp_path / f"00.{suffix}",
        {
            "a.png": picture(10),
            "a.txt": b" A dark grey. ",
            "b.json": {"caption": "A grey.", "width": 8},
            "b.png": picture(20),
            "in/c.png": picture(30),
            "in/c.json": QA,
        },
    )
    write_tar(
        tmp_path / f"01.{suffix}",
        {
            "a.0.png": picture(40),
            "a.1.png": picture(50),
            "a.json": {"qa": [QA, {**QA, "answer": "Light."}]},
            "d.png": picture(60),
            "d.json": {"conversations": turns},
            "e.png": picture(70),
            "e.txt": b"img2dataset",
            "e.json": {"caption": "other", "url": "https://example.org"},
        },
    )
    found = imported("webdataset", [tmp_path / ("{00..01}." + suffix)], tmp_path / "s")
    texts = {name: (r.instruction, r.answer) for name, r in found.records.items()}
    assert texts == {
        "00/a": ("", "A dark grey."),
        "00/b": ("", "A grey."),
        "00/in/c": ("What is it?", "Grey."),
        "01/a_0": ("What is it?", "Grey."),
        "01/a_1": ("What is it?", "Light."),
        "01/d": ("How?", "So."),
        "01/e": ("", "img2dataset"),
    }
    assert found.greys("01/a_1") == [[40], [50]]
    assert found.greys("00/in/c") == [[30]]


def test_fields_of_a_json_file_are_mapped(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "0.tar", {"a.png": picture(10), "a.json": {"q": "Q?", "a": "A."}})
    found = imported("webdataset", [path], tmp_path / "s", map="question=q,answer=a")
    assert found.records["0/a"].answer == "A."


def test_wrong_samples_are_named_and_the_others_kept(tmp_path: Path) -> None:
    path = write_tar(
        tmp_path / "0.tar",
        {
            "a.png": picture(10),
            "a.txt": b"Good.",
            "b.png": picture(20),
            "c.png": picture(30),
            "c.json": b"{",
            "d.png": picture(40),
            "d.json": [7, QA],
            "e.png": b"no picture",
            "e.txt": b"Broken.",
            "f.png": picture(50),
            "f.txt": b"caf\xe9",
            "g.png": picture(60),
            "g.json": {"width": 3},
        },
    )
    found = problems("webdataset", [path])
    assert [line.partition(": expected")[0] for line in found] == [
        "0.tar: b: record '0/b': png",
        "0.tar: c: record '0/c': json = Expecting property name enclosed in double quotes: "
        "line 1 column 2 (char 1)",
        "0.tar: d: record '0/d_0': json = 7",
        "0.tar: f: record '0/f': answer = 'caf\\udce9'",
        "0.tar: g: map = width",
    ]
    source = open_source("webdataset", [path])
    result = import_source(source, tmp_path / "kept", workers=0, keep_going=True, max_broken=0.5)
    store = Store(tmp_path / "kept")
    assert [store.record(row).id for row in range(len(store))] == ["0/a", "0/d_1"]
    assert (result.broken, result.left_out) == (1, 1)


@pytest.mark.parametrize("suffix", ["tar", "tar.gz"])
def test_an_archive_that_breaks_off_is_said(tmp_path: Path, suffix: str) -> None:
    files = {f"{n}.{kind}": data for n in range(9) for kind, data in sample(n).items()}
    path = write_tar(tmp_path / f"0.{suffix}", files)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    found = problems("webdataset", [path])
    assert found[-1].endswith(
        "expected a tar archive to its end. Get the archive again; keep_going (--keep-going) "
        "keeps what stands before."
    )
    result = import_source(
        open_source("webdataset", [path]), tmp_path / "s", workers=0, keep_going=True
    )
    assert 3 <= result.records < 9


def sample(n: int) -> dict[str, bytes]:
    shades = bytes((n * k) % 251 for k in range(3 * 40 * 40))
    buffer = io.BytesIO()
    Image.frombytes("RGB", (40, 40), shades).save(buffer, "PNG")
    return {"png": buffer.getvalue(), "txt": f"Picture {n}.".encode()}


def test_what_is_no_archive_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(b"no archive" * 200)
    (found,) = problems("webdataset", [tmp_path / "x.tar"])
    assert found.startswith("x.tar: ")
