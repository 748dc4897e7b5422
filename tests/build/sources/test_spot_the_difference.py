"""Pairs of pictures: both are found whatever their suffix, and stay in their order."""

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

from otter.build.sources.spot_the_difference import NO_DIFFERENCE, WORDINGS


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The repository, with the archive of pictures unpacked in it."""
    root = tmp_path / "spot-the-diff"
    annotations = root / "data" / "annotations"
    write_json(
        annotations / "train.json",
        [
            {"img_id": "8525", "sentences": ["the blue truck  is gone", "a man walks."]},
            {"img_id": 12, "sentences": ["there is a dog"]},
            {"img_id": "700", "sentences": ["a car moved"]},
            {"img_id": "12", "sentences": ["", " "]},
        ],
    )
    write_json(annotations / "val.json", [{"img_id": "33", "sentences": ["it rains"]}])
    write_json(annotations / "test.json", [{"img_id": "34", "sentences": ["it snows"]}])
    images = root / "resized_images"
    shade = 0
    for name in (
        "8525.png", "8525_2.png", "12.jpg", "12_2.jpeg", "700.png", "33.PNG", "33_2.jpg",
        "34.png", "34_2.png",
    ):  # fmt: skip
        write_picture(images / name, shade)
        shade += 20
    write_picture(images / "8525_diff.jpg", 250)
    write_broken(images / "700_2.png")
    return root


def test_each_pair_becomes_a_record_with_two_frames(tree: Path) -> None:
    made = imported("spot-the-difference", [tree], tree.parent / "store")
    assert list(made.records) == [
        "SD_INS_08525", "SD_INS_00012", "SD_INS_00012_2", "SD_INS_00033", "SD_INS_00034",
    ]  # fmt: skip
    assert made.media("SD_INS_08525") == [["SD_IMG_08525_1", "SD_IMG_08525_2"]]
    assert made.greys("SD_INS_08525") == [[0, 20]]
    assert made.greys("SD_INS_00012") == [[40, 60]]
    record = made.records["SD_INS_08525"]
    assert record.answer == "The blue truck is gone. A man walks."
    assert record.instruction in WORDINGS
    assert (record.task, record.source, record.split) == ("SD", "spot-the-difference", "train")
    assert made.records["SD_INS_00012_2"].answer == NO_DIFFERENCE


def test_splits_are_the_names_of_the_files(tree: Path) -> None:
    made = imported("sd", [tree], tree.parent / "store")
    assert made.records["SD_INS_00033"].split == "val"
    assert made.records["SD_INS_00034"].split == "test"


def test_a_pair_with_a_broken_picture_is_left_out_and_counted(tree: Path) -> None:
    made = imported("sd", [tree], tree.parent / "store")
    assert made.broken == ["SD_IMG_00700_2 spot-the-diff/resized_images/700_2.png"]
    assert (made.result.broken, made.result.left_out) == (1, 1)


def test_a_missing_picture_is_broken_under_the_name_that_was_expected(tree: Path) -> None:
    (tree / "resized_images" / "34_2.png").unlink()
    made = imported("sd", [tree], tree.parent / "store")
    assert made.broken[-1] == "SD_IMG_00034_2 spot-the-diff/resized_images/34_2.png"
    assert "SD_INS_00034" not in made.records


def test_pictures_are_two_media_on_request(tree: Path) -> None:
    made = imported("sd", [tree], tree.parent / "store", separate="true")
    assert made.media("SD_INS_08525") == [["SD_IMG_08525_1"], ["SD_IMG_08525_2"]]


def test_published_instructions_are_attached_to_the_pictures(tree: Path) -> None:
    file = write_instructions(
        tree / "SD_instructions.json",
        {
            "SD_INS_1": instruction(["SD_IMG_8525_1", "SD_IMG_08525_2"], ["SD_INS_2"]),
            "SD_INS_2": instruction(["SD_IMG_00012_1", "SD_IMG_00012_2"]),
        },
    )
    made = imported("sd", [tree], tree.parent / "store", instructions=file)
    assert list(made.records) == ["SD_INS_1", "SD_INS_2"]
    assert made.media("SD_INS_1") == [["SD_IMG_08525_1", "SD_IMG_08525_2"]]
    assert made.related("SD_INS_1") == ["SD_INS_2"]
    assert made.result.pictures == 4


def test_wrong_entries_are_named_all_at_once(tmp_path: Path) -> None:
    file = write_json(
        tmp_path / "train.json",
        [
            {"img_id": "a1", "sentences": ["x"]},
            {"img_id": "1"},
            {"img_id": "2", "sentences": ["x", 3]},
            7,
            {"img_id": "3", "sentences": []},
        ],
    )
    step = "Correct it or take the entry out."
    assert problems("sd", [file], images=tmp_path) == [
        f"train.json: entry 0: img_id = 'a1': expected the number of a pair, such as 8525. {step}",
        "train.json: entry 1: sentences = missing: expected a list with at least one item. " + step,
        f"train.json: entry 2: sentences[1] = 3: expected text. {step}",
        "train.json: entry 3: 7: expected an object with named fields. Correct it or take it out.",
        f"train.json: entry 4: sentences = []: expected a list with at least one item. {step}",
    ]


def test_a_folder_without_annotations_is_refused(tmp_path: Path) -> None:
    assert problems("sd", [tmp_path]) == [
        f"the command: SRC = {tmp_path}: expected an annotation file such as train.json. "
        "Name the file, or a folder with train.json or val.json or test.json in it."
    ]
