"""``otter data import`` and ``otter data formats``, run as people run them."""

import base64
import io
import json
import os
import re
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from otter.build.sources import FORMATS
from otter.cli.data import app
from otter.data import Store


@pytest.fixture
def chats(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    for n in range(3):
        Image.new("RGB", (60, 40), (n * 50, 0, 0)).save(tmp_path / "photos" / f"{n}.jpg")
    records = [
        {
            "id": f"r{n}",
            "image": f"{n}.jpg",
            "conversations": [
                {"from": "human", "value": "<image>What is it?"},
                {"from": "gpt", "value": "Red."},
            ],
        }
        for n in range(3)
    ]
    path = tmp_path / "chats.json"
    path.write_text(json.dumps(records))
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_an_import_says_what_came_of_it(tmp_path: Path, chats: Path) -> None:
    (tmp_path / "photos" / "2.jpg").write_bytes(b"no picture")
    done = run(
        "import", "llava", chats, "--out", tmp_path / "store", "--images", tmp_path / "photos",
        "--resize", 20, "--workers", 0, "--max-broken", 0.5, "--option", "task=red",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == [
        str(tmp_path / "store"),
        "             2 records",
        "             2 pictures",
        "             1 pictures and clips are broken: broken.jsonl lists them",
        "             1 records needed one of them and were left out",
    ]
    store = Store(tmp_path / "store")
    assert store.record(0).task == "red"
    with Image.open(io.BytesIO(store.image_bytes(0))) as image:
        assert image.size == (30, 20)


def test_a_failed_import_says_every_problem_and_leaves_nothing(tmp_path: Path, chats: Path) -> None:
    records = json.loads(chats.read_text())
    records[0]["image"] = "9.jpg"
    records[1]["conversations"][1]["value"] = None
    chats.write_text(json.dumps(records))
    before = sorted(tmp_path.iterdir())
    arguments = ("--out", tmp_path / "store", "--images", tmp_path / "photos", "--workers", 0)
    done = run("import", "llava", chats, *arguments)
    assert done.exit_code == 2
    lines = done.stderr.replace(f"{tmp_path}{os.sep}", "").splitlines()
    assert lines == [
        "otter data import: 2 problems; nothing was written to store:",
        "  chats.json[0]: record 'r0': image = '9.jpg': expected a file below photos. Name the "
        "folder with --images, or leave such records out with --keep-going.",
        "  chats.json[1]: record 'r1': turns[1].value = None: expected text, or parts of a "
        "message. Correct it or leave it out.",
    ]
    assert sorted(tmp_path.iterdir()) == before


def test_the_pictures_of_a_failed_import_can_be_kept(tmp_path: Path, chats: Path) -> None:
    records = json.loads(chats.read_text())
    records[0]["image"] = "9.jpg"
    records[1]["conversations"][1]["value"] = None
    chats.write_text(json.dumps(records))
    before = sorted(tmp_path.iterdir())
    arguments = ("--out", tmp_path / "store", "--images", tmp_path / "photos", "--workers", 0)
    done = run("import", "llava", chats, *arguments, "--keep-journal")
    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1] == (
        f"The pictures that are done are kept in {tmp_path / '.store.importing'}; the same command "
        "goes on there."
    )
    assert sorted(tmp_path.iterdir()) == [tmp_path / ".store.importing", *before]
    done = run("import", "llava", chats, *arguments, "--keep-going")
    assert done.exit_code == 0
    assert "2 problems were passed over: problems.jsonl lists them" in done.stdout
    assert "1 pictures and clips were done by an earlier, interrupted import" in done.stdout
    assert sorted(tmp_path.iterdir()) == sorted([*before, tmp_path / "store"])


def test_mimicit_is_imported_as_its_announcement_says(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    images = {"IMG": base64.b64encode(buffer.getvalue()).decode()}
    (tmp_path / "images.json").write_text(json.dumps(images))
    record = {"instruction": "What - is it?", "answer": "A cat.", "image_ids": ["IMG"]}
    data = {"LA_1": {**record, "rel_ins_ids": []}, "LA_2": {**record, "rel_ins_ids": []}}
    (tmp_path / "LA_instructions.json").write_text(json.dumps({"meta": {}, "data": data}))
    (tmp_path / "LA_train.json").write_text('{"LA_1": ["LA_2"]}')
    done = run(
        "import", "mimicit", tmp_path / "LA_instructions.json",
        "--images", tmp_path / "images.json", "--train", tmp_path / "LA_train.json",
        "--out", tmp_path / "store", "--split", "val", "--clean", "2023", "--workers", 0,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    record_ = Store(tmp_path / "store").record(0)
    assert (record_.instruction, record_.related, record_.split) == ("What is it?", (1,), "val")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("lava", "x.json"), "Did you mean 'llava'?"),
        (("llava", "x.json"), "SRC = x.json: expected a file or folder that exists"),
        (("llava", ".", "--option", "fps"), "--option fps: expected KEY=VALUE"),
        (("llava", ".", "--train", "t.json"), "option = train: expected one of"),
        (("llava", ".", "--resize", "0"), "resize = 0: expected at least 1 pixel"),
    ],
)
def test_a_wrong_command_is_told_how_it_is_right(
    tmp_path: Path, arguments: tuple[str, ...], expected: str
) -> None:
    done = run("import", *arguments, "--out", tmp_path / "store")
    assert done.exit_code == 2
    assert expected in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_store_is_not_replaced_by_accident(tmp_path: Path, chats: Path) -> None:
    arguments = ("import", "llava", chats, "--images", tmp_path / "photos", "--workers", 0)
    assert run(*arguments, "--out", tmp_path / "store").exit_code == 0
    done = run(*arguments, "--out", tmp_path / "store")
    assert done.exit_code == 2
    assert "exists already" in done.stderr
    assert run(*arguments, "--out", tmp_path / "store", "--overwrite").exit_code == 0


def test_formats_are_listed_with_their_layouts() -> None:
    listed = run("formats")
    assert listed.exit_code == 0
    assert [line.split()[0] for line in listed.stdout.splitlines()[: len(FORMATS)]] == [*FORMATS]
    shown = run("formats", "SD").stdout
    assert shown.startswith("spot-the-difference: ")
    assert "What is expected on disk" in shown
    assert re.search(r"^Options \(--option KEY=VALUE\):$", shown, re.MULTILINE)
    assert run("formats", "lava").exit_code == 2
