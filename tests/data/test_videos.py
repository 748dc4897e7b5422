"""A store names videos, and shows their frames when an episode asks for them."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from otter.data import DataError, Record, Store, StoreWriter, VideoReference
from otter.data.manifest import file_checksum

Picture = Callable[[int], bytes]


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """A second of video at 10 frames a second, from black to white."""
    av = pytest.importorskip("av")
    path = tmp_path / "data" / "clips" / "film.mp4"
    path.parent.mkdir(parents=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for i in range(11):
            values = np.full((32, 32, 3), i * 25, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(values, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture
def store(film: Path, picture: Picture, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.chdir(film.parents[1])
    with StoreWriter("store") as writer:
        writer.add_video("WHOLE", "clips/film.mp4", checksum=True)
        writer.add_video("END", "clips/film.mp4", 0.5, 1)
        writer.add_video("THERE", film, start=0.5)
        writer.add_image("IMG", picture(1))
        writer.add_record(Record("A", "?", "!", (("WHOLE",), ("IMG",)), related=("B",)))
        writer.add_record(Record("B", "?", "!", (("END",), ("WHOLE",))))
    return Store("store", frames=2)


def brightness(frames: Any) -> list[int]:
    return [round(np.asarray(frame).mean() / 25) for frame in frames]


def test_an_episode_shows_frames_of_its_videos(store: Store, picture: Picture) -> None:
    assert (store.video_count, store.manifest["videos"]) == (3, 3)
    assert str(store).endswith("2 records, 1 images, 3 videos)")
    assert store.record(0).media == ((-1,), (0,))
    assert store.record(1).media == ((-2,), (-1,))
    episode = store.episode(0)
    assert brightness(episode.media[0]) == [0, 10]
    assert episode.media[1] == picture(1)
    assert brightness(episode.examples[0].media[0]) == [5, 9]
    assert episode.examples[0].media[1] is episode.media[0], "one video is decoded once"
    assert brightness(Store(store.folder, frames=3).video_frames(0)) == [0, 5, 10]
    store.verify()


def test_a_video_is_described_by_its_row(store: Store, film: Path) -> None:
    assert store.video(~-2) == VideoReference("END", "relative", "../clips/film.mp4", 0.5, 1.0)
    assert store.video(0).sha256 == file_checksum(film)
    assert store.video(2) == VideoReference("THERE", "absolute", str(film), 0.5)
    with pytest.raises(IndexError, match=r"^row 3: expected a row from 0 to 2$"):
        store.video(3)


def test_a_folder_with_store_and_videos_can_be_moved(store: Store, tmp_path: Path) -> None:
    shutil.move(tmp_path / "data", tmp_path / "moved")
    moved = Store(tmp_path / "moved" / "store", frames=1)
    assert brightness(moved.episode(1).media[0]) == [5]
    with pytest.raises(DataError) as raised:
        moved.video_frames(2)
    (problem,) = raised.value.problems
    assert str(problem) == (
        f"{moved.folder}: video 'THERE': path = {tmp_path}/data/clips/film.mp4: expected a file "
        "there. Put the video back, or build the store again with the path it has now."
    )


def test_a_video_that_is_gone_or_changed_is_named(store: Store, film: Path) -> None:
    film.write_bytes(b"no film")
    with pytest.raises(DataError, match=r"video 'WHOLE': path = .*film\.mp4: expected a file with"):
        store.verify()
    with pytest.raises(DataError) as raised:
        store.episode(0)
    (problem,) = raised.value.problems
    assert (problem.record, problem.expected) == ("video 'END'", "a video")
    film.unlink()
    with pytest.raises(DataError) as raised:
        store.episode(0)
    assert str(raised.value) == (
        f"{store.folder}: video 'END': path = ../clips/film.mp4: expected a file at {film}. "
        "The path is relative to the store: move the videos along with it."
    )
    with pytest.raises(DataError) as raised:
        store.verify()
    assert raised.value.count == 3
    store.verify(videos=False)


def test_without_the_extra_only_videos_cannot_be_shown(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    again = Store(store.folder)
    assert again.record(0).media == ((-1,), (0,))
    assert again.image_bytes(0)
    with pytest.raises(ImportError, match=r"needs PyAV: run `pip install 'otter-icl\[video\]'`"):
        again.episode(0)


def test_wrong_videos_are_reported_with_the_rest(film: Path, picture: Picture) -> None:
    folder = film.parents[1] / "store"

    def write() -> None:
        with StoreWriter(folder) as writer:
            writer.add_video("GONE", "gone.mp4")
            writer.add_video("LATE", film, start=3, end=2)
            writer.add_video("ODD", film, start=float("nan"))
            writer.add_video("", film)
            writer.add_video("V", film)
            writer.add_video("V", film)
            writer.add_video("V", film, start=1)
            writer.add_image("V", picture(0))
            writer.add_image("I", picture(0))
            writer.add_video("I", film)
            writer.add_record(Record("A", "?", "!", (("I",), ("I", "V")), related=("B",)))
            writer.add_record(Record("B", "?", "!", (("GONE",),)))

    with pytest.raises(DataError) as raised:
        write()
    assert [str(problem) for problem in raised.value.problems] == [
        "store: video 'GONE': path = 'gone.mp4': expected a file that exists. "
        "Check the path, or leave the records of this video out.",
        "store: video 'LATE': stretch = start = 3, end = 2: expected 0 <= start < end. "
        "Give both in seconds from the beginning of the video.",
        "store: video 'ODD': stretch = start = nan: expected 0 <= start < end. "
        "Give both in seconds from the beginning of the video.",
        "store: video '': id = '': expected text that is not blank and that UTF-8 can hold. "
        "Give every video an id.",
        "store: video 'V': id = given twice: expected one video for each id. "
        "Give every video an id of its own.",
        "store: image 'I': id = given to two different pictures: expected one picture for each id. "
        "Give every picture an id of its own.",
        "store: record 'A': media[1] = ('I', 'V'): expected one video alone, or pictures. "
        "Give the video a medium of its own.",
    ]


def test_an_address_is_kept_but_never_opened(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "store") as writer:
        writer.add_video("WEB", "https://example.org/film.mp4", end=2)
        writer.add_record(Record("A", "?", "!", (("WEB",),)))
    store = Store(tmp_path / "store")
    store.verify()
    with pytest.raises(DataError) as raised:
        store.episode(0)
    assert str(raised.value) == (
        f"{store.folder}: video 'WEB': path = https://example.org/film.mp4: expected a file: no "
        "address is opened. Download it, and add the video again with the path of the file."
    )


def test_a_store_of_version_1_is_read(pets: Store, tmp_path: Path) -> None:
    old = Path(shutil.copytree(pets.folder, tmp_path / "old"))
    manifest = json.loads((old / "manifest.json").read_text())
    del manifest["videos"]
    (old / "manifest.json").write_text(json.dumps({**manifest, "version": 1}))
    store = Store(old)
    assert [store.record(row) for row in range(5)] == [pets.record(row) for row in range(5)]
    assert store.video_count == 0
    with pytest.raises(IndexError, match=r"^row 0: the store has no videos$"):
        store.video(0)
    with pytest.raises(ValueError, match=r"^frames = 0: expected at least 1 frame of a video$"):
        Store(old, frames=0)
