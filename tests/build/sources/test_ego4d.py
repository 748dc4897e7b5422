"""Ego4D: both forms of its narrations, and the part of the video that each of them tells of."""

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
    write_video,
)

from otter.build.sources.ego4d import plain_narration

KITCHEN = "77cc4654-4eec-44c6-af05-dbdf71f9a401"
GARDEN = "0000aaaa-0000-0000-0000-000000000001"


def old_form(text: str = "#C C picks a cup") -> dict[str, Any]:
    """narration.json."""
    return {
        KITCHEN: {
            "narration_pass_1": {
                "narrations": [
                    {"timestamp_sec": 1.0, "timestamp_frame": 30, "narration_text": text},
                    {"timestamp_sec": 4.0, "timestamp_frame": 120, "narration_text": "#unsure"},
                ],
                "summaries": [
                    {"start_sec": 0.0, "end_sec": 2.4, "summary_text": "#summary C washed up"}
                ],
            },
            "narration_pass_2": {
                "narrations": [{"timestamp_sec": -0.1, "narration_text": "#O A man X walks."}],
                "summaries": [{"start_sec": 3, "end_sec": 600, "summary_text": "C dried them."}],
            },
        },
        GARDEN: {"narration_pass_1": {"narrations": [], "summaries": []}},
        "1111bbbb": {
            "narration_pass_1": {
                "narrations": [],
                "summaries": [{"start_sec": 0, "end_sec": 1, "summary_text": "C left."}],
            }
        },
    }


def new_form() -> dict[str, Any]:
    """all_narrations_redacted.json."""
    narrations = [{"time": 2.0, "text": "#C C picks a cup", "is_summary": False}]
    summaries = [{"start_time": 0.0, "end_time": 1.2, "text": "#Summary C washed up"}]
    video = {"narrations": narrations, "summaries": summaries, "status": "complete"}
    return {"date": "2023", "version": "v2", "videos": {KITCHEN: video}}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    write_json(tmp_path / "v2" / "annotations" / "narration.json", old_form())
    write_video(tmp_path / "v2" / "full_scale" / f"{KITCHEN}.mp4", 6)
    write_video(tmp_path / "v2" / "full_scale" / f"{GARDEN}.mp4", 1)
    write_broken(tmp_path / "v2" / "full_scale" / "1111bbbb.mp4")
    (tmp_path / "v2" / "full_scale" / "manifest.csv").write_text("video_uid\n")
    return tmp_path


def frames(*numbers: int) -> list[str]:
    return [f"E4D_IMG_{KITCHEN}_{number:08d}" for number in numbers]


def test_summaries_show_the_part_of_the_video_that_they_tell_of(tree: Path) -> None:
    made = imported("ego4d", [tree / "v2"], tree / "store")
    first, second = f"E4D_INS_{KITCHEN}_000000", f"E4D_INS_{KITCHEN}_000001"
    assert list(made.records) == [first, second]
    assert made.media(first) == [frames(0, 1, 2)]
    assert made.greys(first) == [[0, 20, 40]]
    assert made.media(second) == [frames(3, 4, 5)]
    record = made.records[first]
    assert record.answer == "The camera wearer washed up."
    assert (record.task, record.split, record.source) == ("E4D", "train", "ego4d")


def test_only_videos_that_are_told_of_are_decoded_and_broken_ones_are_listed(tree: Path) -> None:
    made = imported("ego4d", [tree / "v2"], tree / "store")
    assert made.broken == ["E4D_IMG_1111bbbb v2/full_scale/1111bbbb.mp4"]
    assert (made.result.clips, made.result.left_out) == (2, 1)
    assert made.result.pictures == 6


def test_narrations_show_the_seconds_around_their_time(tree: Path) -> None:
    options = {"unit": "narration", "window": "2", "split": "val"}
    made = imported("e4d", [tree / "v2"], tree / "store", **options)
    told = {name: record.answer for name, record in made.records.items()}
    assert told == {
        f"E4D_INS_{KITCHEN}_000000": "The camera wearer picks a cup.",
        f"E4D_INS_{KITCHEN}_000002": "A man X walks.",
    }
    assert made.media(f"E4D_INS_{KITCHEN}_000000") == [frames(0, 1, 2)]
    assert made.media(f"E4D_INS_{KITCHEN}_000002") == [frames(0, 1)]
    assert {record.split for record in made.records.values()} == {"val"}


def test_the_newer_form_gives_the_same_records(tree: Path) -> None:
    file = write_json(tree / "v2" / "annotations" / "all_narrations_redacted.json", new_form())
    made = imported("e4d", [tree / "v2"], tree / "store")
    (record,) = made.records.values()
    assert (record.id, record.answer) == (
        f"E4D_INS_{KITCHEN}_000000",
        "The camera wearer washed up.",
    )
    assert made.media(record.id) == [frames(0, 1)]
    options = {"unit": "narration", "window": "0", "images": tree}
    assert imported("e4d", [file], tree / "second", **options).media(record.id) == [frames(2)]


def test_published_instructions_are_attached_to_the_frames(tree: Path) -> None:
    file = write_instructions(
        tree / "E4D_instructions.json",
        {
            "E4D_INS_1": instruction(frames(1, 2, 3), ["E4D_INS_2"]),
            "E4D_INS_2": instruction(frames(0, 99)),
            "E4D_INS_3": instruction(frames(98, 99)),
        },
    )
    made = imported("e4d", [tree / "v2"], tree / "store", instructions=file)
    assert made.media("E4D_INS_1") == [frames(1, 2, 3)]
    assert made.related("E4D_INS_1") == ["E4D_INS_2"]
    assert made.media("E4D_INS_2") == [frames(0)]
    assert made.media("E4D_INS_3") == [frames(5)]


@pytest.mark.parametrize(
    ("narration", "plain"),
    [
        ("#C C picks a cup", "The camera wearer picks a cup."),
        ("#C C puts C's phone down ", "The camera wearer puts the camera wearer's phone down."),
        ("#O The man X talks to C.", "The man X talks to the camera wearer."),
        ("#summary C was in a shop #unsure", None),
        ("#C", None),
        ("#C C buys vitamin C", "The camera wearer buys vitamin C."),
    ],
)
def test_narrations_are_put_in_plain_words(narration: str, plain: str | None) -> None:
    assert plain_narration(narration) == plain


def test_wrong_narrations_are_named(tree: Path) -> None:
    wrong = old_form()
    passes = wrong[KITCHEN]
    passes["narration_pass_1"]["summaries"] = [
        {"start_sec": "0", "end_sec": 1, "summary_text": "C left."},
        {"start_sec": 0, "end_sec": 1, "summary_text": " "},
    ]
    passes["narration_pass_2"]["summaries"] = ["C left."]
    file = write_json(tree / "narration.json", wrong)
    step = "Correct it or take the entry out."
    place = f"narration.json: {KITCHEN}: narration_pass_"
    assert problems("e4d", [file]) == [
        f"{place}1.summaries[0].start_sec = '0': expected a number. {step}",
        f"{place}1.summaries[1].summary_text = ' ': expected text that is not blank. {step}",
        f"{place}2.summaries[0] = 'C left.': expected an object. {step}",
    ]
