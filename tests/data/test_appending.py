"""A store grows without being copied, all at once or not at all."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from otter.data import DataError, Record, Store, StoreWriter, append, rewrite_related
from otter.data import appending as appending_module
from otter.data import store as store_module

Picture = Callable[[int], bytes]


@pytest.fixture
def folder(pets: Store, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pets.folder, tmp_path / "pets"))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_new_records_may_name_old_and_new_ids(
    folder: Path, picture: Picture, pets: Store, tmp_path: Path
) -> None:
    before = Store(folder)
    video = tmp_path / "film.mp4"
    video.touch()
    for number in (1, 2):
        with append(folder) as writer:
            assert writer.has_image("IMG_2")
            assert not writer.has_image(f"NEW_{number}")
            writer.add_image(f"NEW_{number}", picture(10 + number))
            writer.add_image(f"OLD_{number}", picture(3))
            writer.add_image("IMG_1", picture(1))
            writer.add_video(f"FILM_{number}", video)
            media = ((f"NEW_{number}",), (f"OLD_{number}", "IMG_1"), (f"FILM_{number}",))
            related = ("CAT_0", f"OTHER_{number}")
            writer.add_record(Record(f"DOG_{number}", "?", "!", media, related, task="dogs"))
            writer.add_record(Record(f"OTHER_{number}", "?", "!", task="cats"))
            assert writer.has_record("CAT_0")
            assert not writer.has_record("DOG_3")
    store = Store(folder)
    store.verify()
    assert [store.record(row) for row in range(5)] == [pets.record(row) for row in range(5)]
    assert (len(store), store.image_count, store.video_count) == (9, 6, 2)
    assert store.record(5).media == ((4,), (3, 1), (-1,))
    assert store.record(7).media == ((5,), (3, 1), (-2,))
    assert (store.record(5).related, store.record(7).related) == ((1, 6), (1, 8))
    assert store.image_bytes(5) == picture(12)
    assert store.video(1).id == "FILM_2"
    assert store.rows(tasks="dogs").tolist() == [5, 7]
    assert store.manifest["tasks"][0] == {"task": "cats", "split": "train", "records": 5}
    ids, rows = store.media_ids()
    codes = dict(zip(ids.to_pylist(), rows.tolist(), strict=True))
    assert (codes["OLD_2"], codes["NEW_1"], codes["FILM_2"]) == (3, 4, -2)
    assert len(before) == 5, "a reader keeps what it has opened"
    assert before.episode(0) == pets.episode(0)
    assert sorted(store.manifest["files"]) == [
        name for name in names(folder) if ".json" not in name
    ]


def test_what_is_wrong_with_an_addition_changes_nothing(folder: Path, picture: Picture) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def add() -> None:
        with append(folder) as writer:
            writer.add_image("IMG_0", picture(9))
            writer.add_record(Record("CAT_0", "?", "!"))
            writer.add_record(Record("NEW", "?", "!", (("IMG_9",),), related=("NONE", "TEXT")))

    with pytest.raises(DataError) as raised:
        add()
    assert [str(problem) for problem in raised.value.problems] == [
        "pets: record 'CAT_0': id = 2 times: expected each id once. Give every record an id of its "
        "own, such as with the name of its dataset in front.",
        "pets: image 'IMG_0': id = given to two different pictures: expected one picture for each "
        "id. Give every picture an id of its own.",
        "pets: record 'NEW': media[0][0] = 'IMG_9': expected an image or video that was added (4). "
        "Add it, or remove it from the record.",
        "pets: record 'NEW': related[0] = 'NONE': expected a record of this store (7). "
        "Add it, or remove it from the record.",
        "pets: record 'NEW': related = 'TEXT' of a held-out split: expected a record of split "
        "'train'. Choose the examples of train records among train records.",
    ]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == ["pets"]


def test_an_addition_that_breaks_off_before_the_manifest_leaves_the_old_store(
    folder: Path, pets: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def power_cut(*_: object) -> None:
        raise KeyboardInterrupt

    def add(record: str) -> None:
        with append(folder) as writer:
            writer.add_record(Record(record, "?", "!"))

    with monkeypatch.context() as patch:
        patch.setattr(appending_module, "write_manifest", power_cut)
        with pytest.raises(KeyboardInterrupt):
            add("LOST")
        assert "records-1.arrow" in names(folder)
    assert Store(folder).record(4) == pets.record(4)
    assert len(Store(folder)) == 5
    add("KEPT")
    assert [Store(folder).record(row).id for row in (4, 5)] == ["TEXT", "KEPT"]
    assert "records-1.arrow" not in names(folder), "what no manifest names is cleared away"


def test_two_writers_do_not_append_at_once(folder: Path) -> None:
    with append(folder), pytest.raises(BlockingIOError, match="another process is writing there"):
        append(folder).__enter__()
    with append(folder), pytest.raises(BlockingIOError, match="another process is writing there"):
        rewrite_related(folder, [[]] * 5)


def test_a_store_replaced_while_it_is_appended_to_is_left_alone(folder: Path) -> None:
    def add() -> None:
        with append(folder) as writer:
            writer.add_record(Record("NEW", "?", "!"))
            manifest = folder / "manifest.json"
            manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "other": 1}))

    with pytest.raises(FileExistsError, match="was replaced while it was being changed"):
        add()
    assert len(Store(folder)) == 5


def test_only_a_store_can_be_appended_to(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"), append(tmp_path / "nowhere"):
        pass
    with pytest.raises(ValueError, match="append=True: expected neither overwrite nor resume"):
        StoreWriter(tmp_path, append=True, resume=True)
    assert list(tmp_path.iterdir()) == []


def test_a_reader_never_meets_files_of_two_states(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = store_module.read_manifest
    changes = iter([[[2], [], [], [], []]])

    def read_and_lose(path: Path) -> dict[str, object]:
        manifest = read(path)
        rows = next(changes, None)  # the store changes just after its manifest was read
        if rows is not None:
            rewrite_related(folder, rows)
        return manifest

    with monkeypatch.context() as patch:
        patch.setattr(store_module, "read_manifest", read_and_lose)
        store = Store(folder)
    assert store.record(0).related == (2,)


def test_examples_are_chosen_anew_in_one_step(folder: Path, pets: Store) -> None:
    before = Store(folder)
    chosen = [np.array([2, 1]), [], (0,), [], [0, 1, 2]]
    rewrite_related(folder, iter(chosen), selection={"policy": "mine", "seed": 3, "date": "today"})
    store = Store(folder)
    store.verify()
    assert [store.record(row).related for row in range(5)] == [(2, 1), (), (0,), (), (0, 1, 2)]
    assert store.manifest["selection"] == {
        "policy": "mine", "seed": 3, "date": "today", "questions": 3, "examples": 6,
    }  # fmt: skip
    for row in range(5):
        assert store.record(row).media == pets.record(row).media
        assert store.record(row).answer == pets.record(row).answer
    assert before.record(0).related == (1, 3, 2), "a reader keeps what it has opened"
    assert names(folder) == ["aliases.arrow", "images.arrow", "manifest.json", "records-1.arrow"]
    with append(folder) as writer:
        writer.add_record(Record("NEW", "?", "!"))
    assert Store(folder).manifest["selection"]["policy"] == "mine"
    rewrite_related(folder, [[5], [], [], [], [], []])
    assert Store(folder).record(0).related == (5,)
    assert Store(folder).record(5).id == "NEW"
    Store(folder).verify()


def test_forbidden_examples_are_all_named_and_nothing_changes(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(DataError) as raised:
        rewrite_related(folder, [[1, 5], [1], [4], [-1], [0]])
    assert [str(problem) for problem in raised.value.problems] == [
        "pets: record 'CAT_2': related = 5: expected a row of the store, 0 to 4. "
        "Choose the examples from this very store.",
        "pets: record 'CLIP': related = -1: expected a row of the store, 0 to 4. "
        "Choose the examples from this very store.",
        "pets: record 'CAT_0': related = 1: expected another record: a question is never its own "
        "example. Remove it.",
        "pets: record 'CAT_1': related = 4: expected a record of split 'train', since its question "
        "is of it. Choose the examples of train records among train records.",
    ]
    for rows, found in (([[]] * 4, "4"), ([[]] * 6, "more than 5")):
        with pytest.raises(ValueError, match=rf"^rows has {found} entries: expected 5, one for"):
            rewrite_related(folder, rows)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == ["pets"]
