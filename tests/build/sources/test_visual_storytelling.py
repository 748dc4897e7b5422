"""Stories: sentences and pictures in the order of the storyteller."""

from pathlib import Path
from typing import Any

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

from otter.build.sources.visual_storytelling import WORDINGS


def sentence(story: str, photo: str, order: int, text: str) -> list[dict[str, Any]]:
    return [
        {
            "story_id": story,
            "photo_flickr_id": photo,
            "worker_arranged_photo_order": order,
            "original_text": text,
            "text": text.lower(),
            "album_id": "7",
            "tier": "story-in-sequence",
        }
    ]


def write_split(folder: Path, split: str, annotations: list[Any]) -> None:
    images = [{"id": "1", "url_o": "https://example.org/1.jpg", "title": "", "tags": ""}]
    whole = {"images": images, "albums": [], "annotations": annotations, "type": "vist"}
    write_json(folder / f"{split}.story-in-sequence.json", whole)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    sis = tmp_path / "sis"
    write_split(
        sis,
        "train",
        [
            sentence("30", "12", 1, "We ate cake"),
            sentence("30", "11", 0, "The day began. "),
            sentence("31", "12", 0, "Cake again!"),
            sentence("30", "13", 2, "It was late."),
            sentence("32", "14", 0, "Gone."),
            sentence("33", "15", 0, "Broken."),
        ],
    )
    write_split(sis, "val", [sentence("40", "21", 0, "Hello.")])
    images = tmp_path / "images"
    write_picture(images / "train" / "11.jpg", 20)
    write_picture(images / "train" / "12.png", 40)
    write_picture(images / "train" / "13.gif", 60)
    write_broken(images / "train" / "15.jpg")
    write_picture(images / "val" / "21.jpg", 80)
    return tmp_path


def test_stories_are_told_in_their_order(tree: Path) -> None:
    made = imported("visual-storytelling", [tree / "sis"], tree / "store", images=tree / "images")
    assert list(made.records) == ["VST_INS_30", "VST_INS_31", "VST_INS_40"]
    record = made.records["VST_INS_30"]
    assert record.answer == "The day began. We ate cake. It was late."
    assert record.instruction in WORDINGS
    assert made.media("VST_INS_30") == [["VST_IMG_11", "VST_IMG_12", "VST_IMG_13"]]
    assert made.greys("VST_INS_30") == [[20, 40, 60]]
    assert made.media("VST_INS_31") == [["VST_IMG_12"]]
    assert (record.task, record.split) == ("VST", "train")
    assert made.records["VST_INS_40"].split == "val"
    assert made.result.pictures == 4


def test_stories_with_a_broken_or_missing_picture_are_left_out(tree: Path) -> None:
    made = imported("vst", [tree / "sis"], tree / "store", images=tree / "images")
    assert made.broken == ["VST_IMG_14 images/14.jpg", "VST_IMG_15 images/train/15.jpg"]
    assert made.result.left_out == 2


def test_the_text_in_small_letters_can_be_taken(tree: Path) -> None:
    options = {"images": tree / "images", "text": "text", "separate": "yes"}
    made = imported("vst", [tree / "sis"], tree / "store", **options)
    assert made.records["VST_INS_30"].answer == "The day began. We ate cake. It was late."
    assert made.media("VST_INS_30") == [["VST_IMG_11"], ["VST_IMG_12"], ["VST_IMG_13"]]


def test_published_instructions_are_attached_to_the_pictures(tree: Path) -> None:
    file = write_instructions(
        tree / "VST_instructions.json",
        {
            "VST_INS_1": instruction(["VST_IMG_12", "VST_IMG_11"], ["VST_INS_2"]),
            "VST_INS_2": instruction(["VST_IMG_11"]),
        },
    )
    options = {"images": tree / "images", "instructions": file}
    made = imported("vst", [tree / "sis"], tree / "store", **options)
    assert made.media("VST_INS_1") == [["VST_IMG_12", "VST_IMG_11"]]
    assert made.related("VST_INS_1") == ["VST_INS_2"]


def test_a_story_with_a_wrong_sentence_is_not_told_by_half(tmp_path: Path) -> None:
    write_split(
        tmp_path,
        "train",
        [
            sentence("1", "11", 0, "Good."),
            sentence("1", "x", 1, "Bad."),
            sentence("2", "11", 0, "Good."),
            sentence("2", "12", 0, "Twice the same place."),
            sentence("3", "11", 0, " "),
            "no entry",
        ],
    )
    name, step = "train.story-in-sequence.json", "Correct it or take the entry out."
    assert problems("vst", [tmp_path]) == [
        f"{name}: entry 1: photo_flickr_id = 'x': expected the number of a picture on Flickr. "
        + step,
        f"{name}: entry 3: worker_arranged_photo_order = 0: expected a place that the story has "
        f"not filled yet. {step}",
        f"{name}: entry 4: original_text = ' ': expected text that is not blank. {step}",
        f"{name}: entry 5: 'no entry': expected an object with named fields. Correct it or take it "
        "out.",
    ]
