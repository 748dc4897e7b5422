"""Stores become one, or several: nothing is lost, nothing is mixed up, nothing is stored twice."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from otter.data import DataError, Record, Store, StoreWriter, append, merge, rewrite_related, shard
from otter.data import arrow as arrow_files
from otter.data.sharding import connected

Picture = Callable[[int], bytes]


def write(
    folder: Path, picture: Picture, records: range, pictures: range, shift: int = 0, **fields: str
) -> Store:
    """Records ``R{n}`` of picture ``I{n}``, whose contents repeat after five."""
    with StoreWriter(folder) as writer:
        for n in pictures:
            writer.add_image(f"I{n}", picture((n + shift) % 5))
        for n in records:
            media = ((f"I{n}",), (f"I{pictures[0]}", f"I{n}"))
            related = (f"R{n - 1}",) if n > records[0] else ()
            writer.add_record(Record(f"R{n}", f"q{n}", f"a{n}", media, related, **fields))
    return Store(folder)


def shown(store: Store) -> dict[str, object]:
    """Everything about every record, in ids and bytes."""
    records = {}
    for row in range(len(store)):
        record = store.record(row)
        media = [[store.image_bytes(image) for image in m] for m in record.media]
        related = [store.record(other).id for other in record.related]
        rest = record.instruction, record.answer, record.task, record.split
        records[record.id] = (rest, media, related)
    return records


def ids_of_pictures(store: Store) -> dict[str, bytes]:
    ids, rows = store.media_ids()
    pairs = zip(ids.to_pylist(), rows.tolist(), strict=True)
    return {name: store.image_bytes(row) for name, row in pairs if row >= 0}


@pytest.mark.parametrize("batch", [2, 1000])
def test_a_merged_store_holds_all_records_and_every_picture_once(
    batch: int, tmp_path: Path, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrow_files, "BATCH_RECORDS", batch)
    one = write(tmp_path / "one", picture, range(7), range(7), task="LA")
    two = write(tmp_path / "two", picture, range(10, 17), range(3, 17), task="SD", split="test")
    merged = merge([one, tmp_path / "two"], tmp_path / "both")
    merged.verify()
    assert shown(merged) == shown(one) | shown(two)
    assert list(shown(merged)) == [*shown(one), *shown(two)]
    assert merged.image_count == 5
    assert ids_of_pictures(merged) == ids_of_pictures(one) | ids_of_pictures(two)
    assert merged.manifest["tasks"] == [
        {"task": "LA", "split": "train", "records": 7},
        {"task": "SD", "split": "test", "records": 7},
    ]
    assert merged.manifest["merged"] == [
        {"store": "one", "records": 7, "images": 5},
        {"store": "two", "records": 7, "images": 5},
    ]


def test_all_ids_that_collide_are_named_and_nothing_is_written(
    tmp_path: Path, picture: Picture
) -> None:
    one = write(tmp_path / "one", picture, range(5), range(5))
    with StoreWriter(tmp_path / "two") as writer:
        writer.add_image("I0", picture(0))
        writer.add_image("I1", picture(3))
        writer.add_image("I2", picture(9))
        writer.add_record(Record("R4", "?", "!", (("I1",),)))
        writer.add_record(Record("R1", "?", "!"))
    with pytest.raises(DataError) as raised:
        merge([one, tmp_path / "two"], tmp_path / "both")
    step = "Merge with prefix, which puts the name of its store before every id."
    assert [str(problem) for problem in raised.value.problems] == [
        f"both: record 'R1': id = in one and in two: expected each id once. {step}",
        f"both: record 'R4': id = in one and in two: expected each id once. {step}",
        "both: image 'I1': id = different in one and two: expected one picture for each id. "
        + step,
        "both: image 'I2': id = different in one and two: expected one picture for each id. "
        + step,
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_a_prefix_makes_all_ids_differ_and_references_follow(
    tmp_path: Path, picture: Picture
) -> None:
    one = write(tmp_path / "one", picture, range(4), range(7))
    two = write(tmp_path / "two", picture, range(6), range(6), shift=1)
    merged = merge([one, two], tmp_path / "both", on_collision="prefix")
    expected = {}
    for store in (one, two):
        prefix = f"{store.folder.name}/"
        for name, (rest, media, related) in shown(store).items():  # type: ignore[misc]
            expected[prefix + name] = (rest, media, [prefix + other for other in related])
    assert shown(merged) == expected
    assert merged.image_count == 5
    pictures = ids_of_pictures(merged)
    assert (pictures["one/I6"], pictures["two/I0"]) == (picture(1), picture(1))
    assert len(pictures) == 13


def test_impossible_merges_are_refused(pets: Store, tmp_path: Path) -> None:
    again = Path(shutil.copytree(pets.folder, tmp_path / "other" / "pets"))
    with pytest.raises(
        ValueError, match=r"^stores named 'pets' come several times: expected names"
    ):
        merge([pets, again], tmp_path / "out", on_collision="prefix")
    with pytest.raises(ValueError, match=r"^stores is empty: expected at least one store$"):
        merge([], tmp_path / "out")
    with pytest.raises(ValueError, match=r"^on_collision = 'skip': expected 'error' or 'prefix'$"):
        merge([pets], tmp_path / "out", on_collision="skip")  # type: ignore[arg-type]
    with pytest.raises(FileExistsError, match="exists already"):
        merge([pets], again)


def test_videos_and_the_choice_of_examples_go_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "film.mp4").touch()
    monkeypatch.chdir(tmp_path)
    for name, start in (("one", None), ("two", None), ("three", 1)):
        with StoreWriter(tmp_path / name) as writer:
            writer.add_video("V", "film.mp4", start)
            writer.add_record(Record(name, "?", "!", (("V",),)))
    rewrite_related(tmp_path / "one", [[]], selection={"policy": "random"})
    merged = merge([tmp_path / "one", tmp_path / "two"], tmp_path / "deep" / "both")
    assert merged.video_count == 1
    assert merged.video(0).path == "../../film.mp4"
    merged.verify()
    assert [merged.record(row).media for row in (0, 1)] == [((-1,),), ((-1,),)]
    assert merged.manifest["merged"][0]["selection"]["policy"] == "random"
    with pytest.raises(DataError, match="video 'V': id = different in one and three"):
        merge([tmp_path / "one", tmp_path / "three"], tmp_path / "out")


def test_a_store_that_was_appended_to_is_merged_whole(tmp_path: Path, picture: Picture) -> None:
    one = write(tmp_path / "one", picture, range(3), range(3))
    with append(one.folder) as writer:
        writer.add_image("NEW", picture(7))
        writer.add_image("I1 AGAIN", picture(1))
        writer.add_record(Record("NEW", "?", "!", (("NEW",), ("I1 AGAIN",)), ("R0",)))
    one = Store(one.folder)
    assert shown(merge([one], tmp_path / "copy")) == shown(one)
    assert ids_of_pictures(Store(tmp_path / "copy")) == ids_of_pictures(one)


@pytest.mark.parametrize("seed", range(6))
def test_shards_hold_every_record_once_with_its_pictures_and_examples(
    seed: int, tmp_path: Path, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(seed)
    monkeypatch.setattr(arrow_files, "BATCH_RECORDS", rng.choice([3, 1000]))
    with StoreWriter(tmp_path / "store") as writer:
        for n in range(30):
            writer.add_image(f"I{n}", picture(n // 2))
        for n in range(60):
            related = {f"R{rng.randrange(n // 5 * 5, n // 5 * 5 + 5)}" for _ in range(3)}
            media = ((f"I{rng.randrange(30)}", f"I{n // 2}"),)
            names = tuple(sorted(related - {f"R{n}"}))
            writer.add_record(Record(f"R{n}", f"q{n}", "!", media, names))
    store, shards = Store(tmp_path / "store"), rng.choice([1, 2, 3, 4])
    result = shard(store, tmp_path / "out", shards=shards)
    assert result.cut == 0
    assert sorted(tmp_path.glob("out/*")) == list(result.folders)
    found: dict[str, object] = {}
    for folder, count in zip(result.folders, result.records, strict=True):
        part = Store(folder)
        part.verify()
        assert count == len(part) <= 1.25 * 60 / shards + 1
        shown_rows = {image for row in range(count) for m in part.record(row).media for image in m}
        assert shown_rows == set(range(part.image_count)), "no picture that nobody shows"
        found |= shown(part)
        expected = ids_of_pictures(store)
        assert all(expected[name] == data for name, data in ids_of_pictures(part).items())
    assert found == shown(store)


def test_too_many_connected_records_are_reported_or_cut(tmp_path: Path, picture: Picture) -> None:
    chain = write(tmp_path / "chain", picture, range(12), range(12))
    with pytest.raises(DataError) as raised:
        shard(chain, tmp_path / "out", shards=3)
    assert str(raised.value) == (
        "chain: related = 12 records that are connected through their examples: expected at most 5 "
        "together, for 3 even shards of 12. Take fewer shards, choose examples that connect fewer "
        "records, or cut: then examples in other shards are left out."
    )
    result = shard(chain, tmp_path / "out", shards=3, cut=True)
    assert (result.records, result.cut) == ((4, 4, 4), 2)
    assert result.folders[0] == tmp_path / "out" / "00000-of-00003"
    first = Store(result.folders[1])
    assert first.manifest["shard"] == {"store": "chain", "number": 1, "of": 3}
    assert [first.record(row).id for row in range(4)] == ["R4", "R5", "R6", "R7"]
    assert [first.record(row).related for row in range(4)] == [(), (0,), (1,), (2,)]
    with pytest.raises(
        ValueError, match=r"^shards = 13: expected 1 to 12, the number of records of"
    ):
        shard(chain, tmp_path / "more", shards=13)
    with pytest.raises(FileExistsError, match="exists already"):
        shard(chain, tmp_path / "out", shards=2)


@pytest.mark.parametrize("seed", range(10))
def test_connected_records_are_found(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size, links = int(rng.integers(1, 60)), int(rng.integers(0, 60))
    left, right = rng.integers(size, size=(2, links))
    expected = list(range(size))
    for _ in range(size):
        for a, b in zip(left, right, strict=True):
            expected[a] = expected[b] = min(expected[a], expected[b])
    assert connected(size, left, right).tolist() == expected
