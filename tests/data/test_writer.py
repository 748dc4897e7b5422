"""A store appears whole or not at all, and holds what was written."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from otter.data import DataError, Record, Store, StoreWriter
from otter.data import arrow as arrow_files
from otter.data.table import ArrowTable

Picture = Callable[[int], bytes]


def messages(error: DataError) -> list[str]:
    return [str(problem) for problem in error.problems]


def random_record(number: int, records: int, images: int, rng: random.Random) -> Record:
    def text() -> str:
        letters = [chr(rng.choice([10, 34, 97, 228, 0x4E2D, 0x1F408, 0x10FFFF])) for _ in "12345"]
        return "".join(letters[: rng.randrange(6)])

    return Record(
        f"R{number}{text()}" if number % 2 else f"R{number}",
        f"q{text()}",
        f"{text()}a",
        media=tuple(
            tuple(f"I{rng.randrange(images)}" for _ in range(rng.randint(1, 3)))
            for _ in range(rng.randrange(4))
        ),
        related=tuple({f"R{rng.randrange(0, records, 2)}" for _ in range(4)} - {f"R{number}"}),
        task=rng.choice(["", "names", "Zählen"]),
        source=text(),
        language=rng.choice(["en", "de", ""]),
        weight=rng.choice([0, 0.1, 1.0, 3.7]),
    )


@pytest.mark.parametrize("seed", range(5))
def test_what_is_written_is_what_is_read(
    seed: int, tmp_path: Path, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrow_files, "BATCH_RECORDS", 16)
    rng = random.Random(seed)
    count = rng.choice([1, 15, 16, 17, 100])
    written = [random_record(number, count, 40, rng) for number in range(count)]
    # Images that come after the records that name them, in two groups, some bytes twice.
    with StoreWriter(tmp_path / "store") as writer:
        for number in range(20):
            writer.add_image(f"I{number}", picture(number // 2))
        for record in written:
            writer.add_record(record)
        for number in range(20, 40):
            writer.add_image(f"I{number}", picture(number // 2))
    store = Store(tmp_path / "store")
    assert len(store) == count
    assert store.image_count == 20
    store.verify()
    for row, record in enumerate(written):
        read = store.record(row)
        assert read.row == row
        for field in ("id", "instruction", "answer", "task", "source", "split", "language"):
            assert getattr(read, field) == getattr(record, field)
        assert read.weight == record.weight
        assert tuple(written[other].id for other in read.related) == record.related
        pictures = tuple(
            tuple(store.image_bytes(image) for image in medium) for medium in read.media
        )
        expected = (tuple(picture(int(name[1:]) // 2) for name in m) for m in record.media)
        assert pictures == tuple(expected)


def test_the_same_bytes_under_two_ids_are_stored_once(tmp_path: Path, picture: Picture) -> None:
    with StoreWriter(tmp_path / "store") as writer:
        for name, number in [("A", 1), ("B", 2), ("C", 1), ("A", 1), ("C", 1)]:
            writer.add_image(name, picture(number))
        writer.add_record(Record("1", "?", "!", media=(("A",), ("B",), ("C",))))
    store = Store(tmp_path / "store")
    assert store.image_count == 2
    assert store.record(0).media == ((0,), (1,), (0,))
    assert [store.image_id(row) for row in (0, 1)] == ["A", "B"]
    aliases = ArrowTable(tmp_path / "store" / arrow_files.ALIASES, schema=arrow_files.ALIAS_SCHEMA)
    assert [aliases.columns[name][0].to_pylist() for name in ("id", "image")] == [["C"], [0]]


def write_a_bad_store(folder: Path, picture: Picture) -> None:
    with StoreWriter(folder) as writer:
        writer.add_record(Record("A", "?", ""))
        writer.add_record(Record("B", "?", "!", media=(("X", "Y"),), related=("A", "Z")))
        writer.add_record(Record("C", "?", "!"))
        writer.add_record(Record("C", "?", "!", split="test"))
        writer.add_record(Record("D", "?", "!", related=("E",)))
        writer.add_record(Record("E", "?", "!", related=("D",), split="test"))
        writer.add_image("X", picture(0))
        writer.add_image("X", picture(1))
        writer.add_image("W", b"<html>404")
        writer.add_image("V", "iVBORw0KGgo=")  # type: ignore[arg-type]
        writer.add_image("", picture(2))
        writer.add_record(Record("F", "?", "!", media=(("W",),)))


def test_every_problem_of_a_store_is_raised_at_once_at_the_end(
    tmp_path: Path, picture: Picture
) -> None:
    with pytest.raises(DataError) as raised:
        write_a_bad_store(tmp_path / "store", picture)
    assert messages(raised.value) == [
        "store: record 'A': answer = '': expected text that is not blank. "
        "Leave the record out, or give the answer that the model should learn.",
        "store: image 'W': data = b'<html>404': expected the bytes of a PNG, JPEG, WebP, GIF or "
        "BMP file. Decode base64 text first; leave broken files out.",
        "store: image 'V': data = str: expected the bytes of a PNG, JPEG, WebP, GIF or BMP file. "
        "Decode base64 text first; leave broken files out.",
        "store: image '': id = '': expected text that is not blank and that UTF-8 can hold. "
        "Give every image an id.",
        "store: record 'C': id = 2 times: expected each id once. Give every record an id of its "
        "own, such as with the name of its dataset in front.",
        "store: image 'X': id = given to two different pictures: expected one picture for each "
        "id. Give every picture an id of its own.",
        "store: record 'B': media[0][1] = 'Y': expected an image or video that was added "
        "(1). Add it, or remove it from the record.",
        "store: record 'B': related[1] = 'Z': expected a record of this store (6). "
        "Add it, or remove it from the record.",
        "store: record 'D': related = 'E' of a held-out split: expected a record of split "
        "'train'. Choose the examples of train records among train records.",
    ]
    assert list(tmp_path.iterdir()) == []


def test_ids_of_any_type_are_reported_and_never_crash(tmp_path: Path, picture: Picture) -> None:
    strange: list[Any] = [None, 3, b"x", [], {}, "\ud800", " "]

    def write() -> None:
        with StoreWriter(tmp_path / "store") as writer:
            for value in strange:
                writer.add_image(value, picture(0))
                writer.add_image("A", value)
                writer.add_record(Record(value, "?", "!"))

    with pytest.raises(DataError) as raised:
        write()
    assert raised.value.count == 3 * len(strange)


def test_an_error_inside_the_block_leaves_nothing_behind(tmp_path: Path) -> None:
    def interrupted() -> None:
        with StoreWriter(tmp_path / "store") as writer:
            writer.add_record(Record("A", "?", "!"))
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_the_folder_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "store"
    with StoreWriter(folder) as writer:
        writer.add_record(Record("A", "?", "!"))
        assert not folder.exists()
    assert sorted(path.name for path in folder.iterdir()) == [
        *("aliases.arrow", "images.arrow", "manifest.json", "records.arrow")
    ]
    assert [path.name for path in folder.parent.iterdir()] == ["store"]


def test_an_existing_store_is_replaced_only_when_told(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    with StoreWriter(folder) as writer:
        writer.add_record(Record("A", "?", "old"))
    with pytest.raises(FileExistsError) as raised, StoreWriter(folder):
        pass
    assert str(raised.value) == (
        f"{folder}: exists already: choose another folder, or replace it (overwrite=True, "
        "--overwrite)"
    )
    with pytest.raises(DataError), StoreWriter(folder, overwrite=True) as writer:
        writer.add_record(Record("A", "?", ""))
    assert Store(folder).record(0).answer == "old"
    before = Store(folder)
    with StoreWriter(folder, overwrite=True) as writer:
        writer.add_record(Record("A", "?", "new"))
    assert Store(folder).record(0).answer == "new"
    assert before.record(0).answer == "old", "a reader keeps what it has opened"
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_a_folder_that_is_not_a_store_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError) as raised, StoreWriter(tmp_path, overwrite=True):
        pass
    assert str(raised.value) == (
        f"{tmp_path}: has no manifest.json, so it is not a store and is not overwritten: "
        "choose another folder"
    )
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_the_same_records_give_the_same_files(tmp_path: Path, picture: Picture) -> None:
    for name in ("one", "two"):
        with StoreWriter(tmp_path / name) as writer:
            for number in range(50):
                writer.add_image(f"I{number}", picture(number))
                task = f"t{number % 7}"
                writer.add_record(Record(str(number), "?", "!", ((f"I{number}",),), task=task))
    one, two = ((tmp_path / name / "manifest.json").read_text() for name in ("one", "two"))
    assert one == two


def test_an_empty_store_is_a_store(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "store"):
        pass
    store = Store(tmp_path / "store")
    assert (len(store), store.image_count, store.rows().tolist()) == (0, 0, [])


def test_writing_outside_the_block_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="use `with StoreWriter"):
        StoreWriter(tmp_path / "store").add_record(Record("A", "?", "!"))
    with (
        pytest.raises(TypeError, match=r"record is a dict: expected otter\.data\.Record"),
        StoreWriter(tmp_path / "store") as writer,
    ):
        writer.add_record({"id": "A"})  # type: ignore[arg-type]


def test_only_a_batch_of_rows_is_held_in_memory(
    tmp_path: Path, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrow_files, "BATCH_RECORDS", 8)
    monkeypatch.setattr(arrow_files, "BATCH_BYTES", 500)
    with StoreWriter(tmp_path / "store") as writer:
        for number in range(100):
            writer.add_image(f"I{number}", picture(number))
            writer.add_record(Record(str(number), "?", "!" * (number + 1)))
            assert writer._files is not None
            for stream in (writer._files.images, writer._files.records):
                assert len(stream._columns[0]) < 8
                assert sum(map(len, stream._columns[2])) < 1000
    assert [Store(tmp_path / "store").record(row).answer for row in (0, 99)] == ["!", "!" * 100]
