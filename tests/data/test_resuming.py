"""A build that is interrupted anywhere goes on, and ends as if it had never been interrupted."""

import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from otter.data import DataError, Record, Store, StoreWriter
from otter.data import arrow as arrow_files

Picture = Callable[[int], bytes]

RECORDS = 60
IMAGES = 40


def build(writer: StoreWriter, picture: Picture, stop: int | None = None) -> None:
    """What a caller does who wants to be interrupted; raises after so many steps."""
    steps = 0
    for number in range(IMAGES):
        name = f"I{number}"
        if not writer.has_image(name):
            writer.add_image(name, picture(number // 2))
        steps += 1
        if steps == stop:
            raise KeyboardInterrupt
    for number in range(RECORDS):
        if not writer.has_record(f"R{number}"):
            media = ((f"I{number % IMAGES}",), (f"I{number // 2}",))
            writer.add_record(Record(f"R{number}", "?", "!" * (number + 1), media))
        steps += 1
        if steps == stop:
            raise KeyboardInterrupt


def interrupt(folder: Path, picture: Picture, stop: int, checkpoint_rows: int = 2_000) -> None:
    """An interruption that the writer notices, such as that by a person."""
    with StoreWriter(folder, resume=True, checkpoint_rows=checkpoint_rows) as writer:
        build(writer, picture, stop)


def contents(folder: Path) -> list[object]:
    store = Store(folder)
    store.verify()
    records = [store.record(row) for row in range(len(store))]
    pictures = [(store.image_id(row), store.image_bytes(row)) for row in range(store.image_count)]
    ids, rows = store.media_ids()
    return [records, pictures, ids.to_pylist(), rows.tolist(), store.manifest["tasks"]]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory, picture: Picture) -> list[object]:
    folder = tmp_path_factory.mktemp("unbroken") / "store"
    with StoreWriter(folder) as writer:
        build(writer, picture)
    return contents(folder)


@pytest.mark.parametrize("seed", range(12))
def test_a_build_killed_anywhere_goes_on(
    seed: int,
    tmp_path: Path,
    picture: Picture,
    unbroken: list[object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = random.Random(seed)
    monkeypatch.setattr(arrow_files, "BATCH_RECORDS", rng.choice([3, 7, 1000]))
    folder, rows = tmp_path / "store", rng.choice([1, 5, 9])
    # What a kill leaves: the state at some moment, with anything behind the last checkpoint torn.
    for number in range(3):
        writer = StoreWriter(folder, resume=True, checkpoint_rows=rows)
        writer.__enter__()
        with pytest.raises(KeyboardInterrupt):
            build(writer, picture, stop=rng.randrange(1, IMAGES + RECORDS))
        killed = Path(shutil.copytree(tmp_path / ".store.partial", tmp_path / f"killed{number}"))
        writer.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
        for file in killed.glob("*.arrow"):
            with file.open("ab") as torn:
                torn.write(rng.randbytes(rng.choice([0, 1, 100])))
        shutil.rmtree(tmp_path / ".store.partial")
        killed.rename(tmp_path / ".store.partial")
    with StoreWriter(folder, resume=True) as writer:
        build(writer, picture)
    assert contents(folder) == unbroken
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
    assert sorted(path.name for path in folder.iterdir()) == [
        *("aliases.arrow", "images.arrow", "manifest.json", "records.arrow")
    ]


@pytest.mark.parametrize("seed", range(12))
def test_files_cut_before_the_checkpoint_are_used_as_far_as_they_go(
    seed: int, tmp_path: Path, picture: Picture, unbroken: list[object]
) -> None:
    rng = random.Random(seed)
    folder = tmp_path / "store"
    with pytest.raises(KeyboardInterrupt):
        interrupt(folder, picture, IMAGES + RECORDS, checkpoint_rows=10)
    for file in (tmp_path / ".store.partial").glob("*.arrow"):
        os.truncate(file, rng.randrange(file.stat().st_size + 1))
    with StoreWriter(folder, resume=True) as writer:
        build(writer, picture)
    # The order of images may differ: those whose bytes were lost come last.
    found, expected = Store(folder), unbroken[0]
    assert isinstance(expected, list)
    found.verify()
    assert {found.record(row).id for row in range(len(found))} == {r.id for r in expected}
    for row in range(len(found)):
        number = int(found.record(row).id[1:])
        shown = [found.image_bytes(image) for (image,) in found.record(row).media]
        assert shown == [picture(number % IMAGES // 2), picture(number // 2 // 2)]


KILLED = """
import os, signal, sys
from otter.data import Record, StoreWriter
with StoreWriter(sys.argv[1], resume=True, checkpoint_rows=10) as writer:
    for number in range(25):
        writer.add_image(f"I{number}", b"GIF8" + bytes([number]))
    writer.add_record(Record("LOST", "?", "!"))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_process_killed_outright_loses_what_came_after_the_last_checkpoint(
    tmp_path: Path,
) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, tmp_path / "store"], check=False)
    assert done.returncode == -signal.SIGKILL
    with StoreWriter(tmp_path / "store", resume=True) as writer:
        known = [number for number in range(25) if writer.has_image(f"I{number}")]
        assert known == list(range(20))
        assert not writer.has_record("LOST")
        assert not writer.has_video("I3")
    assert Store(tmp_path / "store").image_count == 20


def test_a_build_interrupted_by_hand_loses_nothing(tmp_path: Path, picture: Picture) -> None:
    folder = tmp_path / "store"
    with pytest.raises(KeyboardInterrupt):
        interrupt(folder, picture, 50)
    assert [path.name for path in tmp_path.iterdir()] == [".store.partial"]
    with StoreWriter(folder, resume=True) as writer:
        assert writer.has_image("I39")
        assert writer.has_record("R9")
        assert not writer.has_record("R10")
    assert len(Store(folder)) == 10


def test_a_build_with_problems_is_kept_and_says_where(tmp_path: Path, picture: Picture) -> None:
    folder = tmp_path / "store"
    with pytest.raises(DataError) as raised, StoreWriter(folder, resume=True) as writer:
        writer.add_record(Record("A", "?", "!", (("I",),)))
    assert raised.value.__notes__ == [
        f"What was built is kept in {tmp_path}/.store.partial: go on with resume=True, or remove "
        "it to begin anew."
    ]
    with StoreWriter(folder, resume=True) as writer:
        writer.add_image("I", picture(1))
    assert Store(folder).episode(0).media == [picture(1)]


def test_an_image_that_collides_is_still_reported_after_an_interruption(
    tmp_path: Path, picture: Picture
) -> None:
    folder = tmp_path / "store"
    with pytest.raises(KeyboardInterrupt):
        interrupt(folder, picture, 1)

    def collide() -> None:
        with StoreWriter(folder, resume=True) as writer:
            writer.add_image("I0", picture(0))
            writer.add_image("I0", picture(1))

    with pytest.raises(DataError, match="given to two different pictures"):
        collide()


def test_two_processes_do_not_resume_one_build(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "store", resume=True):
        with pytest.raises(BlockingIOError) as raised:
            StoreWriter(tmp_path / "store", resume=True).__enter__()
        assert str(raised.value) == (
            f"{tmp_path}/.store.partial: another process is writing there: wait until it has ended"
        )


def test_a_partial_build_of_another_version_is_refused(tmp_path: Path) -> None:
    partial = tmp_path / ".store.partial"
    partial.mkdir()
    (partial / "checkpoint.json").write_text('{"format": "otter-store", "version": 9}')
    with pytest.raises(DataError) as raised:
        StoreWriter(tmp_path / "store", resume=True).__enter__()
    assert str(raised.value) == (
        f"{partial}/checkpoint.json: version = 9: expected 2. Remove {partial} to begin anew, or "
        "go on with the version that wrote it."
    )
