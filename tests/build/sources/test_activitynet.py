"""Dense captions: events are about the frames between their times."""

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
    write_video,
)

from otter.build.sources.activitynet import frames_between

DRUMS = "v_QOlSCBRmfWY"


def captions(*events: tuple[float, float, str]) -> dict[str, object]:
    return {
        "duration": 10.0,
        "timestamps": [[start, end] for start, end, _ in events],
        "sentences": [sentence for *_, sentence in events],
    }


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Captions of three videos: a file, a folder of frames, and one that cannot be read."""
    write_json(
        tmp_path / "captions" / "train.json",
        {
            DRUMS: captions((0.0, 3.9, " a man drums"), (2.5, 4.4, "He stops."), (7.5, 6.0, "x")),
            "v_frames": captions((0.5, 1.5, "It starts.")),
            "v_broken": captions((0, 1, "Nobody knows.")),
        },
    )
    write_json(tmp_path / "captions" / "val_1.json", {"v_val": captions((0, 1, "One."))})
    write_json(tmp_path / "captions" / "val_2.json", {"v_val": captions((0, 1, "Uno."))})
    write_json(tmp_path / "captions" / "test_ids.json", ["v_test"])
    videos = tmp_path / "videos"
    write_video(videos / "v1-2" / f"{DRUMS}.mp4", 6)
    for number in (1, 2, 10):
        write_picture(videos / "v_frames" / f"{number}.jpg", 100 + 10 * number)
    write_broken(videos / "v_broken.mp4")
    write_video(videos / "v_val.mkv", 2)
    return tmp_path


def frames(video: str, *numbers: int) -> list[str]:
    return [f"DC_IMG_{video}_{number:04d}" for number in numbers]


def test_events_show_the_frames_between_their_times(tree: Path) -> None:
    made = imported("activitynet", [tree / "captions"], tree / "store", images=tree / "videos")
    first = f"DC_INS_{DRUMS}_00"
    assert made.media(first) == [frames(DRUMS, 0, 1, 2, 3)]
    assert made.greys(first) == [[0, 20, 40, 60]]
    assert made.records[first].answer == "A man drums."
    assert made.media(f"DC_INS_{DRUMS}_01") == [frames(DRUMS, 3, 4)]
    # Times in the wrong order, behind the end of the video: its last frame.
    assert made.media(f"DC_INS_{DRUMS}_02") == [frames(DRUMS, 5)]
    assert (made.records[first].task, made.records[first].split) == ("DC", "train")


def test_folders_of_frames_stand_for_videos(tree: Path) -> None:
    made = imported("dc", [tree / "captions"], tree / "store", images=tree / "videos")
    assert made.media("DC_INS_v_frames_00") == [frames("v_frames", 1)]
    assert made.greys("DC_INS_v_frames_00") == [[120]]


def test_a_broken_and_a_missing_video_are_listed(tree: Path) -> None:
    (tree / "videos" / "v_val.mkv").unlink()
    made = imported("dc", [tree / "captions"], tree / "store", images=tree / "videos")
    assert made.broken == [
        "DC_IMG_v_broken videos/v_broken.mp4",
        "DC_IMG_v_val videos/v_val.mp4",
    ]
    assert made.result.left_out == 3


def test_the_second_descriptions_of_val_are_numbered_on(tree: Path) -> None:
    made = imported("dc", [tree / "captions"], tree / "store", images=tree / "videos")
    told = {name: made.records[name].answer for name in made.records if "v_val" in name}
    assert told == {"DC_INS_v_val_00": "One.", "DC_INS_v_val_01": "Uno."}
    assert made.records["DC_INS_v_val_01"].split == "val"


def test_a_record_for_each_video_tells_all_events_in_their_order(tree: Path) -> None:
    options = {"images": tree / "videos", "unit": "video", "frames": "3"}
    made = imported("dc", [tree / "captions"], tree / "store", **options)
    record = made.records[f"DC_INS_{DRUMS}_00"]
    assert record.answer == "A man drums. He stops. X."
    assert made.media(record.id) == [frames(DRUMS, 0, 2, 5)]


def test_instructions_lose_only_the_frames_behind_the_end(tree: Path) -> None:
    file = write_instructions(
        tree / "DC_instructions.json",
        {
            "DC_INS_00001": instruction(frames(DRUMS, *range(8)), ["DC_INS_00002"]),
            "DC_INS_00002": instruction(frames("v_frames", 0, 1, 2)),
            "DC_INS_00003": instruction(frames("v_gone", 0, 1)),
        },
    )
    options = {"images": tree / "videos", "instructions": file}
    made = imported("dc", [tree / "captions"], tree / "store", **options)
    assert made.media("DC_INS_00001") == [frames(DRUMS, 0, 1, 2, 3, 4, 5)]
    assert made.related("DC_INS_00001") == ["DC_INS_00002"]
    assert made.greys("DC_INS_00002") == [[110, 120, 200]]
    assert made.broken == ["DC_IMG_v_gone videos/v_gone.mp4"]


def test_frames_between_two_times() -> None:
    ids = ("0", "1", "2", "3")
    assert frames_between(ids, (0.83, 2.2)) == ("1", "2")
    assert frames_between(ids, (0.2, 0.7)) == ("0",)
    assert frames_between(ids, (9, 12)) == ("3",)
    assert frames_between(ids, (0.4, 1.0), fps=2) == ("1", "2")
    assert frames_between(ids, (0, 0)) == ("0",)


def test_wrong_captions_are_named(tmp_path: Path) -> None:
    file = write_json(
        tmp_path / "train.json",
        {
            "v_1": {"duration": 3, "timestamps": [[0, 1], [1, 2]], "sentences": ["One."]},
            "v_2": {"duration": 3, "timestamps": [[0, "1"]], "sentences": ["One."]},
            "v_3": {"duration": 3, "timestamps": [[0, 1]], "sentences": [" "]},
            "v_4": {"duration": 3, "sentences": ["One."]},
            "../v_5": captions((0, 1, "One.")),
        },
    )
    step = "Correct it or take the entry out."
    assert problems("dc", [file], images=tmp_path) == [
        "train.json: v_1: sentences = '1 sentences': expected as many sentences as timestamps, "
        f"which are 2. {step}",
        "train.json: v_2: timestamps[0] = [0, '1']: expected two times in seconds, such as "
        f"[3.5, 8.0]. {step}",
        f"train.json: v_3: sentences[0] = ' ': expected text that is not blank. {step}",
        f"train.json: v_4: timestamps = missing: expected a list with at least one item. {step}",
        f"train.json: ../v_5: '../v_5': expected the name of a video. {step}",
    ]


def test_options_that_give_no_frames_are_refused(tree: Path) -> None:
    assert problems("dc", [tree / "captions"], unit="scene", fps="0") == [
        "format activitynet: unit = 'scene': expected 'event' or 'video'. Choose one.",
        "format activitynet: fps = 0.0: expected a number of frames for each second, above 0. "
        "Try fps=1.",
    ]
