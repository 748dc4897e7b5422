"""TV captions: moments of clips, whose frames lie in a folder for each show."""

from pathlib import Path
from typing import Any

import pytest
from tests.build.sources.trees import (
    imported,
    instruction,
    problems,
    write_broken,
    write_instructions,
    write_lines,
    write_picture,
)

from otter.build.sources.tv_captions import _canonical, frames_in_moment

CASTLE = "castle_s07e09_seg02_clip_02"
BBT = "s01e01_seg01_clip_00"


def moment(clip: str, start: float, end: float, *descs: tuple[int, str, str]) -> dict[str, Any]:
    told = [
        {"desc_id": number, "desc": text, "type": kind, "from_retrieval": True}
        for number, kind, text in descs
    ]
    return {"vid_name": clip, "duration": 8.0, "ts": [start, end], "clip_id": 1, "descs": told}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    write_lines(
        tmp_path / "tvc_train_release.jsonl",
        [
            moment(
                CASTLE, 0.3, 1.1, (1, "v", "She sits"), (2, "vt", "She says no."), (3, "t", "No.")
            ),
            moment(BBT, 0, 8, (4, "v", "They laugh.")),
            moment("house_s01e01_seg01_clip_01", 0, 1, (5, "v", "Nobody knows.")),
        ],
    )
    write_lines(
        tmp_path / "tvc_val_release.jsonl", [moment(CASTLE, 90, 91, (6, "v", "He leaves."))]
    )
    frames = tmp_path / "frames_hq"
    for number in range(1, 7):
        write_picture(frames / "castle_frames" / CASTLE / f"{number:05d}.jpg", 20 * number)
    for number in range(1, 25):
        write_picture(frames / "bbt_frames" / BBT / f"{number:05d}.jpg", 10 * number + 3)
    return tmp_path


def names(clip: str, *numbers: int) -> list[str]:
    return [f"TVC_IMG_{clip}_{number:05d}" for number in numbers]


def test_descriptions_show_the_frames_of_their_moment(tree: Path) -> None:
    made = imported("tv-captions", [tree], tree / "store")
    assert list(made.records) == ["TVC_INS_1", "TVC_INS_2", "TVC_INS_4", "TVC_INS_6"]
    assert made.media("TVC_INS_1") == [names(CASTLE, 2, 3, 4)]
    assert made.greys("TVC_INS_1") == [[40, 60, 80]]
    record = made.records["TVC_INS_1"]
    assert (record.answer, record.task, record.split) == ("She sits.", "TVC", "train")
    # Behind the end of the clip: its last frame.
    assert made.media("TVC_INS_6") == [names(CASTLE, 6)]
    assert made.records["TVC_INS_6"].split == "val"


def test_sixteen_frames_are_sixteen_and_the_show_is_named_in_their_ids(tree: Path) -> None:
    made = imported("tvc", [tree], tree / "store")
    (shown,) = made.media("TVC_INS_4")
    assert len(shown) == 16
    assert shown[0] == f"TVC_IMG_bbt_{BBT}_00001"
    assert shown[-1] == f"TVC_IMG_bbt_{BBT}_00024"
    assert shown == sorted(set(shown))


def test_a_clip_without_frames_is_listed(tree: Path) -> None:
    made = imported("tvc", [tree], tree / "store")
    clip = "house_s01e01_seg01_clip_01"
    assert made.broken == [f"TVC_IMG_{clip} frames_hq/house_frames/{clip}"]
    assert made.result.left_out == 1


def test_a_broken_frame_leaves_out_the_records_that_show_it(tree: Path) -> None:
    write_broken(tree / "frames_hq" / "castle_frames" / CASTLE / "00003.jpg")
    made = imported("tvc", [tree], tree / "store")
    assert made.broken[0] == f"{names(CASTLE, 3)[0]} frames_hq/castle_frames/{CASTLE}/00003.jpg"
    assert list(made.records) == ["TVC_INS_4", "TVC_INS_6"]


def test_what_is_only_said_is_left_out_unless_asked_for(tree: Path) -> None:
    made = imported("tvc", [tree], tree / "store", types="t", frames="2")
    assert list(made.records) == ["TVC_INS_3"]
    assert made.media("TVC_INS_3") == [names(CASTLE, 2, 4)]


@pytest.mark.parametrize(
    ("published", "ours"),
    [
        (f"TVC_IMG_{CASTLE}_00009", f"TVC_IMG_{CASTLE}_00009"),
        (f"TVC_IMG_{CASTLE}_{CASTLE}_00009", f"TVC_IMG_{CASTLE}_00009"),
        (f"TVC_IMG_{BBT}_bbt_{BBT}_00009", f"TVC_IMG_bbt_{BBT}_00009"),
        (f"TVC_IMG_bbt_{BBT}_00009", f"TVC_IMG_bbt_{BBT}_00009"),
        (f"TVC_IMG_{BBT}_00009", f"TVC_IMG_bbt_{BBT}_00009"),
        (f"TVC_IMG_{CASTLE}_castle_s07e09_seg02_clip_03_00009", None),
        (f"TVC_IMG_{CASTLE}", None),
        (f"TVC_IMG_../{CASTLE}_00009", None),
    ],
)
def test_ids_that_name_the_clip_twice_are_understood(published: str, ours: str | None) -> None:
    assert _canonical(published) == ours


def test_published_instructions_find_their_frames(tree: Path) -> None:
    file = write_instructions(
        tree / "TVC_instructions.json",
        {
            "TVC_INS_1": instruction(
                [f"TVC_IMG_{CASTLE}_{CASTLE}_00001", f"TVC_IMG_{CASTLE}_{CASTLE}_00004"], ["B"]
            ),
            "B": instruction([f"TVC_IMG_{BBT}_bbt_{BBT}_00002"]),
            "C": instruction([f"TVC_IMG_{CASTLE}_00099"]),
        },
    )
    made = imported("tvc", [tree], tree / "store", instructions=file)
    assert made.media("TVC_INS_1") == [names(CASTLE, 1, 4)]
    assert made.greys("TVC_INS_1") == [[20, 80]]
    assert made.related("TVC_INS_1") == ["B"]
    assert made.greys("B") == [[20]]
    assert made.broken == [f"TVC_IMG_{CASTLE}_00099 frames_hq/castle_frames/{CASTLE}/00099.jpg"]


def test_frames_in_a_moment() -> None:
    assert frames_in_moment([1, 2, 3, 4, 5], (0.3, 1.1)) == [1, 2, 3]
    assert frames_in_moment([1, 2, 3], (0.4, 0.5)) == [1]
    assert frames_in_moment([1, 2, 3], (90, 91)) == [2]


def test_wrong_lines_are_named_by_number(tree: Path) -> None:
    file = write_lines(
        tree / "wrong.jsonl",
        [
            moment("lost_s01e01", 0, 1, (1, "v", "x")),
            {**moment(CASTLE, 0, 1, (1, "v", "x")), "ts": [0]},
            moment(CASTLE, 0, 1, (1, "v", " ")),
            {**moment(CASTLE, 0, 1), "descs": [3]},
            [],
        ],
    )
    with file.open("a") as lines:
        lines.write('{"vid_name": "castle')
    step = "Correct it or take the entry out."
    found = problems("tvc", [file], images=tree)
    assert found[:5] == [
        "wrong.jsonl:1: vid_name = 'lost_s01e01': expected a clip such as "
        f"castle_s07e09_seg02_clip_02. {step}",
        "wrong.jsonl:2: ts = [0]: expected two times in seconds, such as [3.5, 8.0]. " + step,
        f"wrong.jsonl:3: descs[0].desc = ' ': expected text that is not blank. {step}",
        f"wrong.jsonl:4: descs[0] = 3: expected an object. {step}",
        "wrong.jsonl:5: []: expected an object with named fields. Correct it or take it out.",
    ]
    assert found[5].startswith("wrong.jsonl:6: ")


def test_an_unknown_type_is_refused(tree: Path) -> None:
    assert problems("tvc", [tree], types="v,x") == [
        "format tv-captions: types = 'x': expected v, vt or t. Separate several by commas, such as "
        "types=v,vt."
    ]
