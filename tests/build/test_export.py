"""Exports: what comes back through the importer of the format is what was written."""

import itertools
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.build.sources.trees import write_video
from tests.build.stores import encoded, picture, row, write_pets, write_raw

from otter.build.export import EXPORT_FORMATS, ExportResult, export_store
from otter.build.export_files import file_name
from otter.build.importing import import_source
from otter.build.sources import open_source
from otter.data import Record, Store, StoreWriter

TEXTS = ["", "How many?", "Wie viele\nKätzchen? 🐈", '“quoted” "text" \\ back', "a: b - c # d", "2"]
TASKS = ["LA", "cats & dogs", "größe", "a/b"]


def imported(format_name: str, folder: Path, out: Path) -> Store:
    """The export as its importer reads it; the training part."""
    if format_name == "mimicit":
        source = open_source("mimicit", [folder / "train" / "mixture.yaml"])
    else:
        files = sorted((folder / "train").glob("*.json*"))
        source = open_source(format_name, files, {"images": str(folder / "media")})
    import_source(source, out, workers=0)
    return Store(out)


def told(store: Store, *, without: tuple[str, ...] = ()) -> dict[str, dict[str, Any]]:
    """Every record by its id, with the bytes of its pictures and the ids of its examples."""
    records = [store.record(place) for place in range(len(store))]
    return {
        record.id: {
            name: value
            for name, value in {
                "instruction": record.instruction,
                "answer": record.answer,
                "task": record.task,
                "source": record.source,
                "weight": record.weight,
                "media": [[store.image_bytes(i) for i in medium] for medium in record.media],
                "related": [store.record(other).id for other in record.related],
            }.items()
            if name not in without
        }
        for record in records
    }


def random_store(folder: Path, seed: int, **holds: Any) -> Store:
    """A store of whatever a format can hold."""
    rng = random.Random(seed)
    with StoreWriter(folder) as writer:
        for number in range(6):
            writer.add_image(holds["image_id"](number), picture(number + 10 * seed))
        ids = [f"REC/{number} ü" for number in range(rng.randint(1, 9))]
        for name in ids:
            media = [(holds["image_id"](n),) for n in rng.sample(range(6), rng.randint(0, 3))]
            frames = tuple(itertools.chain(*media))
            writer.add_record(
                Record(
                    name,
                    rng.choice(TEXTS[0 if media else 1 :]),
                    rng.choice(TEXTS[1:]) + rng.choice(["", " ", "\n"]),
                    media=((frames,) if frames else ()) if holds["clips"] else tuple(media),
                    related=tuple(
                        rng.sample([i for i in ids if i != name], rng.randint(0, len(ids) - 1))
                    )
                    if holds["related"]
                    else (),
                    task=rng.choice(holds["tasks"]),
                    source=holds["source"],
                    weight=rng.choice([1.0, 0.25, 0.0]) if holds["weight"] else 1.0,
                )
            )
    return Store(folder)


HOLDS = {
    "mimicit": {
        "image_id": "IMG {}".format,
        "clips": True,
        "related": True,
        "tasks": TASKS,
        "source": "mimicit",
        "weight": False,
    },
    "llava": {
        "image_id": "photos/IMG_{}.png".format,
        "clips": False,
        "related": False,
        "tasks": TASKS[:3],
        "source": "garden",
        "weight": True,
    },
}
HOLDS["messages"] = HOLDS["llava"]


@pytest.mark.parametrize("format_name", EXPORT_FORMATS)
@pytest.mark.parametrize("seed", range(8))
def test_importing_an_export_gives_the_same_records(
    format_name: str, seed: int, tmp_path: Path
) -> None:
    store = random_store(tmp_path / "store", seed, **HOLDS[format_name])
    result = export_store(store, format_name, tmp_path / "out")
    again = imported(format_name, tmp_path / "out", tmp_path / "again")
    assert told(again) == told(store)
    assert result.lost == {}
    assert (result.records, result.left_out) == (len(store), 0)
    used = {i for n in range(len(store)) for medium in store.record(n).media for i in medium}
    assert result.pictures == again.image_count == len(used)
    assert {again.image_id(i) for i in range(len(used))} == {store.image_id(i) for i in used}


@pytest.mark.parametrize("format_name", ["llava", "messages"])
def test_a_conversation_comes_back_as_one(format_name: str, tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    for number in range(2):
        (tmp_path / "media" / f"{number}.png").write_bytes(picture(number))
    turns = [
        {"from": "human", "value": "<image>\nWhat is this?"},
        {"from": "gpt", "value": "A dog."},
        {"from": "human", "value": "And what is that?\n<image>"},
        {"from": "gpt", "value": "A cat."},
        {"from": "human", "value": "Which is larger?"},
        {"from": "gpt", "value": "The dog."},
    ]
    chats = [
        {"id": "7", "image": ["0.png", "1.png"], "conversations": turns},
        {"id": "8", "image": "0.png", "conversations": turns[:2]},
        {"id": "8_0", "conversations": turns[4:]},
    ]
    (tmp_path / "LA.json").write_text(json.dumps(chats))
    source = open_source("llava", [tmp_path / "LA.json"], {"images": str(tmp_path / "media")})
    import_source(source, tmp_path / "store", workers=0)
    store = Store(tmp_path / "store")
    result = export_store(store, format_name, tmp_path / "out")
    assert result.lost == {}
    assert told(imported(format_name, tmp_path / "out", tmp_path / "again")) == told(store)
    if format_name == "llava":
        written = json.loads((tmp_path / "out" / "train" / "LA.json").read_text())
        assert [(chat["id"], len(chat["conversations"])) for chat in written] == [
            ("7", 6),
            ("8", 2),
            ("8_0", 2),
        ]


def test_a_conversation_whose_name_is_taken_is_written_turn_by_turn(tmp_path: Path) -> None:
    rows = [row("7_0"), row("7_1", related=[0]), row("7")]
    store = Store(write_raw(tmp_path / "store", rows))
    result = export_store(store, "messages", tmp_path / "out")
    assert result.lost == {"worked examples are not kept": 1}
    again = imported("messages", tmp_path / "out", tmp_path / "again")
    assert told(again).keys() == {"7", "7_0", "7_1"}


def lost(format_name: str, tmp_path: Path) -> ExportResult:
    return export_store(write_pets(tmp_path / "pets"), format_name, tmp_path / format_name)


def test_what_mimicit_cannot_hold_is_counted(tmp_path: Path) -> None:
    result = lost("mimicit", tmp_path)
    assert result.lost == {
        "several media become the frames of one": 1,
        "sources are not kept": 1,
        "weights are not kept": 1,
        "languages are not kept": 1,
        "splits are folders, imported one by one": 1,
    }
    out = tmp_path / "mimicit"
    assert (
        result.read_again
        == f"otter data import mimicit {out / 'train' / 'mixture.yaml'} --out STORE"
    )
    assert sorted(str(file.relative_to(out)) for file in out.rglob("*.*")) == [
        "images.json",
        "test/cats_instructions.json",
        "test/cats_train.json",
        "test/mixture.yaml",
        "train/cats_instructions.json",
        "train/cats_train.json",
        "train/mixture.yaml",
        "train/pairs_instructions.json",
        "train/pairs_train.json",
    ]
    data = json.loads((out / "train" / "cats_instructions.json").read_text())["data"]
    assert data["CAT_2"] == {
        "instruction": "How many kittens are there?",
        "answer": "Three, <b>all</b> white.",
        "image_ids": ["IMG_2"],
        "rel_ins_ids": ["CAT_1", "CAT_0"],
    }
    assert json.loads((out / "train" / "cats_train.json").read_text())["CAT_2"] == [
        "CAT_1",
        "CAT_0",
    ]
    again = told(
        imported("mimicit", out, tmp_path / "again"), without=("source", "weight", "media")
    )
    pets = told(Store(tmp_path / "pets"), without=("source", "weight", "media"))
    assert again == {name: record for name, record in pets.items() if name != "TEST"}


@pytest.mark.parametrize("format_name", ["llava", "messages"])
def test_what_chats_cannot_hold_is_counted(format_name: str, tmp_path: Path) -> None:
    assert lost(format_name, tmp_path).lost == {
        "pictures get the name of their file as id": 6,
        "worked examples are not kept": 2,
        "clips become several pictures": 1,
        "languages are not kept": 1,
        "splits are folders, imported one by one": 1,
    }
    again = told(
        imported(format_name, tmp_path / format_name, tmp_path / "again"),
        without=("related", "media"),
    )
    pets = told(Store(tmp_path / "pets"), without=("related", "media"))
    assert again == {name: record for name, record in pets.items() if name != "TEST"}


def test_worked_examples_can_be_written_as_earlier_turns(tmp_path: Path) -> None:
    store = write_pets(tmp_path / "pets")
    result = export_store(store, "messages", tmp_path / "out", examples=True)
    assert "worked examples are not kept" not in result.lost
    lines = (tmp_path / "out" / "train" / "cats.jsonl").read_text().splitlines()
    chat = {value["id"]: value for value in map(json.loads, lines)}["CAT_2"]
    assert [
        message["content"]
        if isinstance(message["content"], str)
        else message["content"][-1]["text"]
        for message in chat["messages"]
    ] == [
        "How many cats are there?",
        "One.",
        "How many cats are there?",
        "Two.",
        "How many kittens are there?",
        "Three, <b>all</b> white.",
    ]
    assert chat["messages"][0]["content"][0] == {
        "type": "image_url",
        "image_url": {"url": "IMG_1.png"},
    }
    assert (tmp_path / "out" / "media" / "IMG_1.png").read_bytes() == picture(1)


def test_a_record_with_a_marker_in_its_text_is_left_out_and_counted(tmp_path: Path) -> None:
    rows = [row("A", instruction="Look at <image>!"), row("B")]
    store = Store(write_raw(tmp_path / "store", rows))
    result = export_store(store, "llava", tmp_path / "out")
    assert (result.records, result.left_out) == (1, 1)
    assert result.lost == {"records left out: a marker such as <image> stands in a text": 1}


def test_blanks_around_a_question_with_pictures_are_counted(tmp_path: Path) -> None:
    rows = [row("A", instruction=" What? ", media=[[0]]), row("B", instruction=" What? ")]
    store = Store(write_raw(tmp_path / "store", rows, [("I.png", picture(0))]))
    result = export_store(store, "llava", tmp_path / "out")
    assert result.lost == {"blanks around a question are not kept": 1}
    again = told(imported("llava", tmp_path / "out", tmp_path / "again"))
    assert (again["A"]["instruction"], again["B"]["instruction"]) == ("What?", " What? ")


def test_videos_stay_where_they_are_in_chats_and_become_frames_in_mimicit(tmp_path: Path) -> None:
    write_video(tmp_path / "cat.mp4", seconds=2)
    path = str((tmp_path / "cat.mp4").resolve())
    with StoreWriter(tmp_path / "store") as writer:
        writer.add_video(path, tmp_path / "cat.mp4")
        writer.add_record(Record("R", "What happens?", "It runs.", ((path,),), task="V"))
    store = Store(tmp_path / "store", frames=3)
    assert export_store(store, "llava", tmp_path / "llava").lost == {}
    again = imported("llava", tmp_path / "llava", tmp_path / "again")
    assert again.video(0).id == path
    assert again.record(0).media == ((-1,),)
    result = export_store(store, "mimicit", tmp_path / "mimicit")
    assert result.lost["videos become the frames that the store shows of them"] == 1
    shown = imported("mimicit", tmp_path / "mimicit", tmp_path / "frames")
    assert [shown.image_bytes(i) for i in shown.record(0).media[0]] == [
        encoded(frame, "PNG") for frame in store.video_frames(0)
    ]


def test_a_record_whose_video_is_gone_is_left_out_of_mimicit(tmp_path: Path) -> None:
    (tmp_path / "cat.mp4").write_bytes(b"x")
    with StoreWriter(tmp_path / "store") as writer:
        writer.add_video("V", tmp_path / "cat.mp4", 1)
        writer.add_record(Record("R", "What happens?", "It runs.", (("V",),), task="V"))
    store = Store(tmp_path / "store")
    result = export_store(store, "mimicit", tmp_path / "mimicit")
    assert (result.records, result.lost) == (0, {"records left out: a video cannot be read": 1})
    assert export_store(store, "messages", tmp_path / "messages").lost == {
        "videos get their path as id": 1,
        "a stretch of a video becomes the whole video": 1,
    }


def test_names_that_no_file_system_takes_are_written_otherwise() -> None:
    assert file_name("coco/train2017/1.jpg") == "coco/train2017/1.jpg"
    assert file_name("größe 1") == "größe 1"
    assert file_name("../../etc/passwd") == "%2E%2E/%2E%2E/etc/passwd"
    assert file_name("/etc/passwd") == "%2Fetc%2Fpasswd"
    assert file_name('a:b\\c"') == "a%3Ab%5Cc%22"
    assert file_name("ä\x00:") == "ä%00%3A"
    assert len(file_name("x" * 900)) == 200


def test_pictures_whose_names_collide_are_all_written(tmp_path: Path) -> None:
    images = [("a.png", picture(0)), ("a.png/b.png", picture(1)), ("a", picture(2))]
    rows = [row("R", media=[[0], [1], [2]])]
    store = Store(write_raw(tmp_path / "store", rows, images))
    export_store(store, "llava", tmp_path / "out")
    again = imported("llava", tmp_path / "out", tmp_path / "again")
    assert told(again)["R"]["media"] == told(store)["R"]["media"]


def test_nothing_is_left_behind_by_a_failure_and_nothing_is_overwritten_unasked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = write_pets(tmp_path / "pets")
    export_store(store, "llava", tmp_path / "out")
    with pytest.raises(FileExistsError, match="exists already: choose another folder"):
        export_store(store, "llava", tmp_path / "out")
    before = Counter(path.name for path in (tmp_path / "out").rglob("*"))

    def fail(*_: object) -> bytes:
        raise OSError("no space left on device")

    monkeypatch.setattr(Store, "image_bytes", fail)
    with pytest.raises(OSError, match="no space left"):
        export_store(store, "mimicit", tmp_path / "out", overwrite=True)
    assert Counter(path.name for path in (tmp_path / "out").rglob("*")) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "pets"]
    monkeypatch.undo()
    export_store(store, "mimicit", tmp_path / "out", overwrite=True)
    assert (tmp_path / "out" / "images.json").exists()
    assert not (tmp_path / "out" / "media").exists()


def test_a_format_that_there_is_not_is_refused(tmp_path: Path) -> None:
    store = write_pets(tmp_path / "pets")
    with pytest.raises(
        ValueError, match="format 'coco': expected one of 'mimicit', 'llava', 'messages'"
    ):
        export_store(store, "coco", tmp_path / "out")


def test_more_tasks_than_files_may_be_open_are_written(tmp_path: Path) -> None:
    rows = [row(f"R{n}", task=f"T{n % 150}") for n in range(450)]
    store = Store(write_raw(tmp_path / "store", rows))
    export_store(store, "llava", tmp_path / "out")
    assert len(list((tmp_path / "out" / "train").iterdir())) == 150
    assert told(imported("llava", tmp_path / "out", tmp_path / "again")) == told(store)
