"""Clips before and after: where they stand, and that they do not overlap."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from otter.data import Candidates, Record, Store, StoreWriter
from otter.data.in_context import neighbours_in_time
from otter.data.in_context_time import Stretch, overlaps

COUNT = 10


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, picture: Callable[[int], bytes]) -> Store:
    """Two videos of 10 clips of 4 frames, each clip but the last reaching into the next by one."""
    folder = tmp_path_factory.mktemp("stores") / "clips"
    with StoreWriter(folder) as writer:
        for video in range(2):
            for frame in range(3 * COUNT + 1):
                # The first frame of both videos is the same, black, picture.
                number = 99 * video + frame if frame else 9_999
                writer.add_image(f"DC_IMG_v{video}_{frame:04}", picture(number))
        for video in range(2):
            for clip in range(COUNT):
                frames = tuple(
                    f"DC_IMG_v{video}_{frame:04}" for frame in range(3 * clip, 3 * clip + 4)
                )
                writer.add_record(Record(f"v{video}.{clip}", "what happens?", "!", (frames,)))
                writer.add_record(Record(f"v{video}.{clip}b", "and who?", "!", (frames,)))
        writer.add_record(Record("still", "what?", "!", (("DC_IMG_v0_0003",),)))
        writer.add_record(Record("text", "what?", "!"))
    return Store(folder)


def clips(store: Store, rows: np.ndarray) -> list[str]:
    return [store.record(int(row)).id.rstrip("b") for row in rows]


def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def test_the_nearest_clips_of_the_same_video_come_first(store: Store) -> None:
    candidates = Candidates(store)
    question = 2 * 5  # clip 5 of the first video
    chosen = neighbours_in_time(candidates, question, 4, generator())
    # The clips just before and after have a frame in common with it.
    assert set(clips(store, chosen[:2])) == {"v0.3", "v0.7"}
    assert set(clips(store, chosen[2:])) == {"v0.2", "v0.8"}


def test_all_clips_come_before_a_second_record_of_any(store: Store) -> None:
    chosen = neighbours_in_time(Candidates(store), 0, 16, generator())
    assert clips(store, chosen[:8]) == [f"v0.{clip}" for clip in range(2, 10)]
    assert clips(store, chosen[8:]) == [f"v0.{clip}" for clip in range(2, 10)]
    assert len(neighbours_in_time(Candidates(store), 0, 99, generator())) == 16


def test_a_picture_and_a_text_have_no_place_in_time(store: Store) -> None:
    candidates = Candidates(store)
    for row in (len(store) - 2, len(store) - 1):
        assert neighbours_in_time(candidates, row, 4, generator()).tolist() == []


def test_a_frame_of_two_videos_does_not_mix_them(store: Store) -> None:
    times = Candidates(store).index.clip_times
    assert times.videos[:40].tolist() == [0] * 20 + [1] * 20
    # The black frame bears the name of the first video; in the second it says nothing.
    assert times.times[0] == 1.5
    assert times.times[20] == 2.0
    assert times.times[22] == 4.5


def test_stretches_of_a_video_file_are_clips_too(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"a")
    (tmp_path / "b.mp4").write_bytes(b"b")
    with StoreWriter(tmp_path / "store") as writer:
        for name, start, end in (
            ("a", 0, 4),
            ("a", 3, 6),
            ("a", 6, 9),
            ("a", 20, None),
            ("b", 0, 4),
        ):
            video = f"{name} {start}"
            writer.add_video(video, tmp_path / f"{name}.mp4", start=start, end=end)
            writer.add_record(Record(video, "what?", "!", ((video,),)))
    store = Store(tmp_path / "store")
    candidates = Candidates(store)
    assert candidates.index.clip_times.times.tolist() == [2, 4.5, 7.5, 20, 2]
    chosen = neighbours_in_time(candidates, 0, 4, generator())
    assert [store.record(int(row)).id for row in chosen] == ["a 6", "a 20"]
    assert candidates.share_media(0, 1)
    assert not candidates.share_media(1, 2)


def test_overlaps_are_found_in_both_directions() -> None:
    inf = float("inf")
    stretches = [
        Stretch("a", 0, inf),
        Stretch("a", 5, 6),
        Stretch("b", 5, 6),
        Stretch("a", 6, 7),
        Stretch("b", 7, 8),
    ]
    assert overlaps(stretches) == {-1: {-2, -4}, -2: {-1}, -4: {-1}}
    assert overlaps([]) == {}
