"""The published CGD instructions, attached to COCO pictures."""

from pathlib import Path

import pytest
from tests.build.sources.trees import (
    imported,
    instruction,
    problems,
    write_broken,
    write_instructions,
    write_json,
    write_picture,
)

A, B, C = (f"CGD_IMG_{number:012d}" for number in (33471, 52846, 77))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The instructions beside COCO's folder of pictures."""
    write_instructions(
        tmp_path / "CGD_instructions.json",
        {
            "CGD_INS_0": instruction([B, A], ["CGD_INS_1"]),
            "CGD_INS_1": instruction([A, B]),
            "CGD_INS_2": instruction([A, C]),
            "CGD_INS_3": instruction([A, "CGD_IMG_gone"]),
        },
    )
    images = tmp_path / "train2017"
    write_picture(images / "000000033471.jpg", 50)
    write_picture(images / "000000052846.jpg", 100)
    write_broken(images / "000000000077.jpg")
    write_picture(images / "000000000999.jpg", 150)
    (images / "readme.txt").write_text("Not a picture.")
    return tmp_path


def test_instructions_show_their_pictures_in_their_order(tree: Path) -> None:
    made = imported(
        "coco-general-difference",
        [tree / "CGD_instructions.json"],
        tree / "store",
        images=tree / "train2017",
    )
    assert list(made.records) == ["CGD_INS_0", "CGD_INS_1"]
    assert made.media("CGD_INS_0") == [[B, A]]
    assert made.greys("CGD_INS_0") == [[100, 50]]
    assert made.related("CGD_INS_0") == ["CGD_INS_1"]
    record = made.records["CGD_INS_0"]
    assert (record.task, record.split, record.answer) == ("CGD", "train", "A cat.")


def test_only_the_pictures_that_are_named_are_imported_and_broken_ones_listed(tree: Path) -> None:
    made = imported("cgd", [tree / "CGD_instructions.json"], tree / "store", separate=True)
    assert made.result.pictures == 2
    assert made.broken == [f"{C} train2017/000000000077.jpg", "CGD_IMG_gone train2017/gone.jpg"]
    assert made.result.left_out == 2
    assert made.media("CGD_INS_0") == [[B], [A]]


def test_without_instructions_there_is_nothing_to_import(tree: Path) -> None:
    assert problems("cgd", [tree / "train2017"]) == [
        "the command: SRC = no JSON file: expected a file such as CGD_instructions.json. "
        "Get CGD_instructions.json from MIMIC-IT and name it after the format."
    ]


def test_wrong_instructions_are_named(tree: Path) -> None:
    file = write_instructions(
        tree / "wrong.json",
        {
            "CGD_INS_0": {**instruction([A]), "answer": " "},
            "CGD_INS_1": {**instruction([A]), "rel_ins_ids": [7]},
            "CGD_INS_2": {**instruction([]), "image_ids": A},
            "CGD_INS_3": instruction(["CGD_IMG_../../secret"]),
            "CGD_INS_4": [1, 2],
        },
    )
    step = "Correct it or take the entry out."
    assert problems("cgd", [file], images=tree / "train2017") == [
        f"wrong.json: CGD_INS_0: answer = ' ': expected text that is not blank. {step}",
        f"wrong.json: CGD_INS_1: rel_ins_ids[0] = 7: expected the id of an instruction. {step}",
        f"wrong.json: CGD_INS_2: image_ids = '{A}': expected a list of ids. {step}",
        "wrong.json: CGD_INS_3: image_ids[0] = 'CGD_IMG_../../secret': expected an id such as "
        f"{A}. Is this the instructions file of this dataset?",
        "wrong.json: CGD_INS_4: [1, 2]: expected an object with named fields. Correct it or take "
        "it out.",
    ]


def test_a_file_of_another_kind_is_refused(tree: Path) -> None:
    file = write_json(tree / "captions.json", {"images": [], "annotations": []})
    assert problems("cgd", [file]) == [
        "captions.json: 'images', 'annotations': expected entries in 'data'. Is it the right file?"
    ]
