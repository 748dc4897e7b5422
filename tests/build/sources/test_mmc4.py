"""MMC4 documents: a chain of records for each, however the documents are packed."""

import base64
import gzip
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.build.sources.test_webdataset import write_tar
from tests.build.sources.trees import imported, problems, write_lines


def picture(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (shade, shade, shade)).save(buffer, "PNG")
    return buffer.getvalue()


def info(sentence: int, shade: int, similarity: float = 0.4) -> dict[str, Any]:
    data = base64.b64encode(picture(shade)).decode()
    return {
        "matched_text_index": sentence,
        "matched_sim": similarity,
        "image_base64": data,
        "image_name": f"{shade}.png",
    }


SENTENCES = ["Cats sleep.", "This one does.", " Often. ", "Dogs do not.", ""]
DOCUMENT = {
    "text_list": SENTENCES,
    "image_info": [info(3, 30), info(1, 10), info(0, 90, 0.1), info(3, 40)],
}
SMALL = {"min_bytes": "0"}


def test_a_document_is_a_chain_of_records(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "docs.jsonl", [DOCUMENT])
    found = imported("mmc4", [path], tmp_path / "s", **SMALL)
    facts = {name: (r.instruction, r.answer, r.task) for name, r in found.records.items()}
    assert facts == {
        "docs_0": ("Cats sleep.", "This one does. Often.", "mmc4-part"),
        "docs_0.1": ("", "Dogs do not.", "mmc4"),
    }
    assert (found.greys("docs_0"), found.greys("docs_0.1")) == ([[10]], [[30], [40]])
    assert found.related("docs_0.1") == ["docs_0"]
    (row,) = found.store.rows(tasks=["mmc4"])
    episode = found.store.episode(row)
    said = " ".join(turn.answer or "" for turn in (*episode.examples, episode))
    assert said == "This one does. Often. Dogs do not."


@pytest.mark.parametrize("packing", ["jsonl", "json", "jsonl.zip", "jsonl.gz", "tar"])
def test_documents_are_read_however_they_are_packed(tmp_path: Path, packing: str) -> None:
    path = tmp_path / f"docs.{packing}"
    lines = "".join(json.dumps(DOCUMENT) + "\n" for _ in range(2))
    if packing == "jsonl.zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("docs.jsonl", lines)
    elif packing == "jsonl.gz":
        path.write_bytes(gzip.compress(lines.encode()))
    elif packing == "tar":
        write_tar(path, {"0.json": DOCUMENT, "1.json": DOCUMENT})
    else:
        path.write_text(lines if packing == "jsonl" else json.dumps([DOCUMENT, DOCUMENT]))
    found = imported("mmc4", [path], tmp_path / "s", **SMALL)
    assert list(found.records) == ["docs_0", "docs_0.1", "docs_1", "docs_1.1"]


def test_pictures_are_found_by_name_and_passed_over_if_they_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "10.png").write_bytes(picture(10))
    infos = [
        {**info(sentence, shade), "image_base64": None} for sentence, shade in ((1, 10), (3, 30))
    ]
    path = write_lines(tmp_path / "docs.jsonl", [{**DOCUMENT, "image_info": infos}])
    found = imported("mmc4", [path], tmp_path / "s", images=tmp_path / "photos", **SMALL)
    assert found.greys("docs_0") == [[10]]
    assert found.records["docs_0"].answer == "This one does. Often. Dogs do not."


def test_icons_unlike_pictures_and_too_many_are_passed_over(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "docs.jsonl", [DOCUMENT])
    assert not len(imported("mmc4", [path], tmp_path / "a").store)
    found = imported("mmc4", [path], tmp_path / "b", threshold="0.05", max_images="2", **SMALL)
    assert [found.greys(name) for name in found.records] == [[[10]], [[30]]]


def test_wrong_documents_are_named(tmp_path: Path) -> None:
    path = write_lines(
        tmp_path / "docs.jsonl",
        [
            DOCUMENT,
            7,
            {"text_list": "text"},
            {"text_list": ["a", 3]},
            {"text_list": ["a"], "image_info": {}},
            {"text_list": ["a"], "image_info": [3]},
            {"text_list": ["a"], "image_info": [info(1, 10)]},
            {"text_list": ["a"], "image_info": [info(0, 10, "high")]},  # type: ignore[arg-type]
            {"text_list": ["a"]},
        ],
    )
    path.write_text(path.read_text() + '{"text_list": [')
    assert [line.partition(": expected")[0] for line in problems("mmc4", [path], **SMALL)] == [
        "docs.jsonl:2: record 'docs_1': 7",
        "docs.jsonl:3: record 'docs_2': text_list = 'text'",
        "docs.jsonl:4: record 'docs_3': text_list = ['a', 3]",
        "docs.jsonl:5: record 'docs_4': image_info = {}",
        "docs.jsonl:6: record 'docs_5': image_info[0] = 3",
        "docs.jsonl:7: record 'docs_6': image_info[0].matched_text_index = 1",
        "docs.jsonl:8: record 'docs_7': image_info[0].matched_sim = 'high'",
        "docs.jsonl:10: Expecting value at character 16",
    ]


def test_a_broken_picture_takes_its_piece_along(tmp_path: Path) -> None:
    broken = {**info(1, 10), "image_base64": base64.b64encode(b"no picture").decode()}
    document = {
        **DOCUMENT,
        "image_info": [broken, info(3, 30), {**info(4, 1), "image_base64": "!"}],
    }
    path = write_lines(tmp_path / "docs.jsonl", [document])
    found = imported("mmc4", [path], tmp_path / "s", **SMALL)
    assert list(found.records) == ["docs_0.1"]
    assert (found.result.broken, found.result.examples_dropped) == (2, 1)


def test_a_damaged_archive_is_said(tmp_path: Path) -> None:
    for name in ("docs.jsonl.zip", "docs.jsonl.gz", "docs.tar"):
        (tmp_path / name).write_bytes(b"nothing of the kind")
        (found,) = problems("mmc4", [tmp_path / name])
        assert found.startswith(f"{name}: ")
