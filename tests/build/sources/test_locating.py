"""Finding files: annotation files, splits, frames in the order of their numbers."""

from pathlib import Path

import pytest
from tests.build.sources.trees import write_picture

from otter.build.sources.locating import (
    annotation_files,
    first_file,
    is_file_name,
    pictures_in,
    split_of,
    spread,
    videos_in,
)


def test_annotation_files_are_found_two_levels_down(tmp_path: Path) -> None:
    for name in ("train.json", "data/annotations/val.json", "a/b/c/train.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("[]")
    found = annotation_files([tmp_path, tmp_path / "train.json"], ("train.json", "val.json"), "x")
    assert found == [tmp_path / "train.json", tmp_path / "data/annotations/val.json"]


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train.json", "train"),
        ("val_1.json", "val"),
        ("tvc_val_release.jsonl", "val"),
        ("v2_OpenEnded_mscoco_train2014_questions.json", "train"),
        ("test.story-in-sequence.json", "test"),
        ("detail_23k.json", "train"),
        ("constraint_validity.json", "train"),
    ],
)
def test_file_names_speak_of_splits(name: str, split: str) -> None:
    assert split_of(Path(name)) == split


def test_frames_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for name in ("10.jpg", "9.jpg", "1.PNG"):
        write_picture(tmp_path / name, 0)
    (tmp_path / "2.txt").write_text("no picture")
    assert [path.name for path in pictures_in(tmp_path)] == ["1.PNG", "9.jpg", "10.jpg"]
    assert pictures_in(tmp_path / "gone") == []
    assert pictures_in(tmp_path / "\ud800") == []


def test_videos_are_found_by_name_in_folders_below(tmp_path: Path) -> None:
    (tmp_path / "v1-2").mkdir()
    (tmp_path / "v1-2" / "v_a.MKV").write_bytes(b"")
    (tmp_path / "v_a.txt").write_bytes(b"")
    videos = videos_in([tmp_path])
    assert videos.find("v_a") == tmp_path / "v1-2" / "v_a.MKV"
    assert videos.find("v_b") == tmp_path / "v_b.mp4"


def test_a_missing_file_has_the_first_name_in_the_first_folder(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "2.png").write_bytes(b"")
    folders = [tmp_path / "a", tmp_path / "b"]
    assert first_file(folders, ["2.jpg", "2.png"]) == tmp_path / "b" / "2.png"
    assert first_file(folders, ["3.jpg", "x" * 300]) == tmp_path / "a" / "3.jpg"


@pytest.mark.parametrize("name", ["", " ", "..", "a/b", "a\\b", "a\0", "\ud800"])
def test_names_that_lead_elsewhere_are_none(name: str) -> None:
    assert not is_file_name(name)
    assert is_file_name("v_Ü 1.2")


def test_ids_are_spread_evenly() -> None:
    assert spread("abcdefg", 3) == ("a", "d", "g")
    assert spread("abcdefg", 1) == ("d",)
    assert spread("abc", 0) == spread("abc", 3) == spread("abc", 9) == ("a", "b", "c")
    assert len(set(spread([str(n) for n in range(31)], 16))) == 16
