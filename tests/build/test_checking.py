"""``check_store``: every rule names what breaks it, and a sound store breaks none."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from tests.build.stores import encoded, picture, row, write_pets, write_raw

from otter.build.checking import CheckResult, check_store
from otter.data import DataError, Record, StoreWriter
from otter.data.arrow import IMAGES, RECORDS
from otter.data.manifest import MANIFEST


def found(result: CheckResult) -> dict[str, list[tuple[str, str, str]]]:
    """Title of every broken rule to (record, field, value) of its places."""
    return {
        broken.rule.title: [(place.record, place.field, place.value) for place in broken.places]
        for broken in [*result.problems, *result.remarks]
    }


def checked(folder: Path, **options: Any) -> dict[str, list[tuple[str, str, str]]]:
    return found(check_store(folder, workers=1, **options))


def test_a_sound_store_has_no_problem_and_no_remark(tmp_path: Path) -> None:
    write_pets(tmp_path / "pets")
    result = check_store(tmp_path / "pets", workers=1)
    assert result.ok
    assert found(result) == {}
    assert (result.records, result.images, result.decoded) == (7, 6, 6)


@pytest.mark.parametrize(
    ("fields", "title", "place"),
    [
        ({"answer": " \n"}, "an answer is blank", ("record 'A'", "answer", "' \\n'")),
        ({"split": ""}, "a split is blank", ("record 'A'", "split", "''")),
        ({"id": "  "}, "an id is blank", ("record '  '", "id", "'  '")),
        ({"instruction": ""}, "neither a question nor media", ("record 'A'", "instruction", "''")),
        ({"answer": None}, "a field is absent", ("record 'A'", "answer", "None")),
        ({"weight": float("nan")}, "a weight is none", ("record 'A'", "weight", "nan")),
        ({"weight": -1.0}, "a weight is none", ("record 'A'", "weight", "-1.0")),
        ({"media": [[]]}, "a medium has no frames", ("record 'A'", "media[0]", "no frames")),
        (
            {"media": [[0], [0, 7]]},
            "a picture or video that is not there",
            ("record 'A'", "media[1][1]", "row 7"),
        ),
        (
            {"media": [[-1]]},
            "a picture or video that is not there",
            ("record 'A'", "media[0][0]", "row -1"),
        ),
        (
            {"related": [1, 9]},
            "a related record that is not there",
            ("record 'A'", "related[1]", "row 9"),
        ),
        ({"related": [2]}, "a question is its own example", ("record 'A'", "related[0]", "row 2")),
        (
            {"related": [1, 0, 1]},
            "an example stands twice before a question",
            ("record 'A'", "related[2]", "row 1"),
        ),
        (
            {"related": [3]},
            "a train record has an example of a held-out split",
            ("record 'A'", "related[0]", "row 3"),
        ),
        ({"id": "one"}, "an id occurs twice", ("record 'one'", "id", "'one'")),
        (
            {"instruction": "Look at <image>."},
            "a marker of the prompt stands in a text",
            ("record 'A'", "instruction", "'Look at <image>.'"),
        ),
        (
            {"answer": "Yes.<|endofchunk|>"},
            "a marker of the prompt stands in a text",
            ("record 'A'", "answer", "'Yes.<|endofchunk|>'"),
        ),
    ],
)
def test_a_record_that_breaks_a_rule_is_a_problem_with_its_field(
    tmp_path: Path, fields: dict[str, Any], title: str, place: tuple[str, str, str]
) -> None:
    rows = [row("one"), row("two"), row("A", **fields), row("held out", split="test")]
    folder = write_raw(tmp_path / "store", rows, [("IMG", picture(0))])
    result = check_store(folder, workers=1)
    assert found(result)[title] == [place]
    assert result.ok == (title == "an example stands twice before a question")


@pytest.mark.parametrize(
    ("answer", "title"),
    [
        ("word " * 5000, "a text is very long"),
        ("a\x00b", "a text has control characters"),
        ("caf\ufffd", "a text has characters that were lost (\ufffd)"),
        ("un cafÃ© crème", "a text was read in the wrong encoding"),
        ("iVBORw0KGgo" * 50, "a text holds data instead of words"),
        ("What is in picture A?", "an answer repeats its question"),
    ],
)
def test_an_odd_text_is_a_remark(tmp_path: Path, answer: str, title: str) -> None:
    result = check_store(write_raw(tmp_path / "store", [row("A", answer=answer)]), workers=1)
    assert [broken.rule.title for broken in result.remarks] == [title]
    assert result.ok


def test_copies_are_remarked_and_copies_across_splits_too(tmp_path: Path) -> None:
    same = {"instruction": "How many?", "answer": "Two.", "media": [[0]]}
    rows = [
        row("first", **same),
        row("copy", **same),
        row("other answer", **same | {"answer": "Three."}),
        row("other picture", **same | {"media": [[1]]}),
        row("a clip of it", **same | {"media": [[0, 1]]}),
        row("a pair of it", **same | {"media": [[0], [1]]}),
        row("held out", **same | {"answer": "Who knows.", "split": "test"}),
    ]
    folder = write_raw(tmp_path / "store", rows, [("A", picture(0)), ("B", picture(1))])
    assert checked(folder) == {
        "a record repeats another: question, media and answer": [
            ("record 'copy'", "instruction", "'How many?'")
        ],
        "a held-out question with its media stands in the train split as well": [
            ("record 'held out'", "instruction", "'How many?'")
        ],
        "a held-out record shows a picture of the train split": [
            ("record 'held out'", "media", "1 of its pictures")
        ],
    }


def test_pictures_that_do_not_decode_are_named(tmp_path: Path) -> None:
    whole = picture(1, side=64)
    images = [
        ("sound", picture(0)),
        ("cut", whole[: len(whole) // 2]),
        ("tiny", encoded(Image.new("RGB", (3, 40)), "PNG")),
        ("strip", encoded(Image.new("RGB", (400, 10)), "PNG")),
    ]
    rows = [row("A", media=[[0], [1], [2], [3]])]
    problems = checked(write_raw(tmp_path / "store", rows, images))
    ((name, field, why),) = problems.pop("a picture cannot be decoded")
    assert (name, field) == ("picture 'cut'", "bytes")
    assert "damaged" in why
    assert problems == {
        "a picture is tiny": [("picture 'tiny'", "bytes", "3 x 40 pixels")],
        "a picture is a strip": [("picture 'strip'", "bytes", "400 x 10 pixels")],
    }
    assert "a picture cannot be decoded" not in checked(tmp_path / "store", decode="none")


def test_ids_and_bytes_of_pictures_occur_once_and_aliases_point_somewhere(tmp_path: Path) -> None:
    images = [("A", picture(0)), ("A", picture(1)), ("B", picture(0))]
    folder = write_raw(
        tmp_path / "store", [row("R", media=[[0], [1], [2]])], images, [("B", 0), ("C", 5)]
    )
    assert checked(folder) == {
        "an id of a picture occurs twice": [
            ("picture 'A'", "id", "'A'"),
            ("picture 'B'", "id", "'B'"),
        ],
        "a picture is stored twice": [("picture 'B'", "sha256", "row 2")],
        "a further id of a picture points nowhere": [("picture 'C'", "image", "row 5")],
    }


def test_a_picture_that_no_record_shows_is_remarked(tmp_path: Path) -> None:
    folder = write_raw(tmp_path / "store", [row("R")], [("A", picture(0))])
    assert checked(folder) == {"a picture is shown by no record": [("picture 'A'", "", "row 0")]}


def test_counts_of_the_manifest_are_compared_with_the_files(tmp_path: Path) -> None:
    tasks = [{"task": "cats", "split": "train", "records": 7}]
    folder = write_raw(tmp_path / "store", [row("R")], records=4, tasks=tasks)
    assert checked(folder) == {
        "a count of the manifest is wrong": [
            ("", "records", "4; there are 1"),
            ("", "tasks", "7 of task 'cats', split 'train'; there are 1"),
        ]
    }


def test_one_flipped_byte_names_the_file_and_the_picture(tmp_path: Path) -> None:
    write_pets(tmp_path / "pets")
    path = tmp_path / "pets" / IMAGES
    data = bytearray(path.read_bytes())
    place = data.index(picture(3)) + len(picture(3)) - 20
    data[place] ^= 0xFF
    path.write_bytes(data)
    problems = checked(tmp_path / "pets")
    assert problems["a file has changed since it was written"][0][1] == "sha256"
    assert problems["the bytes of a picture have changed"] == [
        ("picture 'IMG_3'", "bytes", "another SHA-256")
    ]


def test_a_file_that_is_cut_short_or_missing_leaves_the_others_to_be_checked(
    tmp_path: Path,
) -> None:
    rows = [row("A", answer="", media=[[0]])]
    folder = write_raw(tmp_path / "store", rows, [("IMG", picture(0))])
    (folder / IMAGES).write_bytes((folder / IMAGES).read_bytes()[:-900])
    problems = checked(folder)
    assert "an answer is blank" in problems
    assert "the manifest cannot be used" in problems
    (folder / IMAGES).unlink()
    problems = checked(folder)
    assert "an answer is blank" in problems
    assert problems["a file cannot be read"] == [("", "", "missing")]


def test_damage_inside_a_batch_is_told_and_does_not_crash(tmp_path: Path) -> None:
    folder = write_raw(tmp_path / "store", [row(f"R{n}") for n in range(50)])
    path = folder / RECORDS
    sound = path.read_bytes()
    generator = np.random.default_rng(0)
    told = 0
    for _ in range(30):
        data = bytearray(sound)
        for place in generator.integers(0, len(data), 3):
            data[place] ^= int(generator.integers(1, 256))
        path.write_bytes(data)
        result = check_store(folder, workers=1)
        told += not result.ok
    assert told == 30  # the checksum at least


def test_text_that_is_not_utf_8_is_told(tmp_path: Path) -> None:
    folder = write_raw(tmp_path / "store", [row("R", answer="a cat, a dog")])
    path = folder / RECORDS
    path.write_bytes(path.read_bytes().replace(b"a cat, a dog", b"a c\xe9t, a dog"))
    ((_, _, value),) = checked(folder)["a part of a file is damaged"]
    assert "rows 0 to 0" in value
    assert "UTF8" in value


def test_a_folder_that_is_no_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder: expected the folder of a store"):
        check_store(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no manifest\.json: expected a store"):
        check_store(tmp_path / "empty")


def test_a_manifest_that_is_no_json_is_a_problem(tmp_path: Path) -> None:
    write_pets(tmp_path / "pets")
    (tmp_path / "pets" / MANIFEST).write_text("{")
    assert "the manifest cannot be used" in checked(tmp_path / "pets")


def test_more_places_than_are_kept_are_counted(tmp_path: Path) -> None:
    rows = [row(f"R{n}", answer="") for n in range(1500)]
    (broken, *_) = check_store(write_raw(tmp_path / "store", rows), workers=1).problems
    assert (broken.count, len(broken.places)) == (1500, 1000)


def test_places_in_later_batches_are_named_by_their_own_records(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "store") as writer:
        for number in range(20_000):
            writer.add_record(Record(f"R{number}", f"What is {number}?", f"It is {number}."))
        writer.add_record(Record("last", "What is 7?", "It is 7."))
    assert checked(tmp_path / "store") == {
        "a record repeats another: question, media and answer": [
            ("record 'last'", "instruction", "'What is 7?'")
        ]
    }


def test_videos_are_looked_for(tmp_path: Path) -> None:
    video = tmp_path / "cat.mp4"
    video.write_bytes(b"frames")
    with StoreWriter(tmp_path / "store") as writer:
        writer.add_video("V", video, checksum=True)
        writer.add_record(Record("R", "What happens?", "It runs.", (("V",),)))
    assert checked(tmp_path / "store") == {}
    video.write_bytes(b"others")
    title = "a video is not where it was, or not what it was"
    ((name, _, value),) = checked(tmp_path / "store")[title]
    assert name == "video 'V'"
    assert "SHA-256" in value
    video.unlink()
    ((name, _, value),) = checked(tmp_path / "store")[title]
    assert "a file there" in value


def test_several_processes_find_what_one_finds(tmp_path: Path) -> None:
    images = [(f"I{n}", picture(n)) for n in range(600)]
    images[77] = ("I77", picture(77)[:60])
    folder = write_raw(tmp_path / "store", [row("R", media=[[n] for n in range(600)])], images)
    places = checked(folder)["a picture cannot be decoded"]
    assert [name for name, _, _ in places] == ["picture 'I77'"]
    assert found(check_store(folder, workers=2))["a picture cannot be decoded"] == places


def test_the_result_as_json_holds_every_place(tmp_path: Path) -> None:
    folder = write_raw(tmp_path / "store", [row("R", answer="")])
    told = json.loads(json.dumps(check_store(folder, workers=1).to_json()))
    assert (told["ok"], told["records"], told["images_decoded"]) == (False, 1, 0)
    assert told["problems"] == [
        {
            "title": "an answer is blank",
            "count": 1,
            "expected": "what the model should learn to say",
            "next_step": "Leave the record out, or give the answer.",
            "places": [
                {"where": "records.arrow", "record": "record 'R'", "field": "answer", "value": "''"}
            ],
        }
    ]


def test_checking_needs_no_torch() -> None:
    program = "import sys, otter.build.checking; print('torch' in sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout == "False\n"


def test_the_schema_is_that_of_this_version(tmp_path: Path) -> None:
    folder = write_raw(tmp_path / "store", [row("R")])
    schema = pa.schema([("id", pa.string())])
    with pa.ipc.new_stream(str(folder / RECORDS), schema) as stream:
        stream.write_batch(pa.record_batch([["R"]], schema=schema))
    ((_, _, value),) = checked(folder)["a file has other columns"]
    assert value == "id: string"
