"""Scenes of ScanNet in both of their layouts."""

from pathlib import Path

import pytest
from tests.build.sources.trees import (
    imported,
    instruction,
    problems,
    write_broken,
    write_instructions,
    write_picture,
)


def frame(scene: int, number: int) -> str:
    return f"SN_IMG_scene{scene:04d}_00_color_{number:06d}"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    walk = [frame(0, number) for number in (0, 100, 200, 300)]
    write_instructions(
        tmp_path / "SN_instructions.json",
        {
            "SN_INS_0": instruction(walk, ["SN_INS_1"]),
            "SN_INS_1": instruction([frame(1, 0), frame(1, 10)]),
            "SN_INS_2": instruction([frame(0, 0), frame(2, 0)]),
            "SN_INS_3": instruction([frame(3, 0)]),
        },
    )
    frames = tmp_path / "scannet_frames_25k"
    for place, number in enumerate((0, 100, 200, 300)):
        write_picture(frames / "scene0000_00" / "color" / f"{number:06d}.jpg", 20 * place)
    write_picture(frames / "scene0000_00" / "depth" / "000000.png", 250)
    (frames / "readme.txt").write_text("Not a scene.")
    write_broken(frames / "scene0002_00" / "color" / "000000.jpg")
    # What SensReader writes has no zeros before its numbers.
    write_picture(tmp_path / "scans" / "scene0001_00" / "color" / "0.jpg", 150)
    write_picture(tmp_path / "scans" / "scene0001_00" / "color" / "10.jpg", 200)
    return tmp_path


def test_a_walk_is_one_medium_in_the_order_of_the_instructions(tree: Path) -> None:
    made = imported("scannet", [tree / "SN_instructions.json"], tree / "store", images=tree)
    assert list(made.records) == ["SN_INS_0", "SN_INS_1"]
    assert made.media("SN_INS_0") == [[frame(0, number) for number in (0, 100, 200, 300)]]
    assert made.greys("SN_INS_0") == [[0, 20, 40, 60]]
    assert made.greys("SN_INS_1") == [[150, 200]]
    assert made.related("SN_INS_0") == ["SN_INS_1"]
    assert made.records["SN_INS_0"].task == "SN"


def test_broken_and_missing_frames_are_listed(tree: Path) -> None:
    made = imported("sn", [tree / "SN_instructions.json"], tree / "store", images=tree)
    assert made.broken == [
        f"{frame(2, 0)} scannet_frames_25k/scene0002_00/color/000000.jpg",
        f"{frame(3, 0)} scannet_frames_25k/scene0003_00/color/000000.jpg",
    ]
    assert made.result.left_out == 2


def test_fewer_frames_on_request_and_only_they_are_imported(tree: Path) -> None:
    made = imported("sn", [tree / "SN_instructions.json"], tree / "store", images=tree, frames="2")
    assert made.media("SN_INS_0") == [[frame(0, 0), frame(0, 300)]]
    assert made.result.pictures == 4


def test_ids_of_another_form_are_refused(tree: Path) -> None:
    file = write_instructions(tree / "x.json", {"SN_INS_0": instruction(["SN_IMG_scene0_color"])})
    assert problems("sn", [file], images=tree) == [
        "x.json: SN_INS_0: image_ids[0] = 'SN_IMG_scene0_color': expected an id such as "
        f"{frame(0, 0)}. Is this the instructions file of this dataset?"
    ]
