"""The store gives what it holds to any number of readers, and says what is wrong with a folder."""

import json
import multiprocessing
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import otter.data
from otter.data import DataError, Store, StoredRecord
from otter.prompt import Episode, Example

SOURCE = Path(otter.data.__file__).parents[2]
Picture = Callable[[int], bytes]


def test_a_record_names_its_media_and_related_records_by_row(pets: Store) -> None:
    assert len(pets) == 5
    assert pets.image_count == 4
    assert pets.record(0) == StoredRecord(
        row=0,
        id="CAT_2",
        instruction="Wie viele Kätzchen? 🐈",
        answer="Zwei.",
        media=((0,),),
        related=(1, 3, 2),
        task="cats",
        source="garden",
        split="train",
        language="de",
        weight=0.1,
    )
    assert pets.record(np.int64(3)).media == ((2, 3, 2), (1,))
    assert str(pets) == f"Store({str(pets.folder)!r}: 5 records, 4 images)"


def test_an_episode_has_the_related_records_in_order_with_their_media(
    pets: Store, picture: Picture
) -> None:
    clip = [[picture(2), picture(3), picture(2)], picture(1)]
    examples = [
        Example("How many?", "Two.", [picture(0)]),
        Example("What happens?", "It runs.", clip, weight=0),
        Example("How many?", "One.", [picture(1)]),
    ]
    question = "Wie viele Kätzchen? 🐈"
    full = Episode(question, [picture(0)], examples, answer="Zwei.", weight=0.1)
    assert pets.episode(0) == full
    assert pets.episode(0, shots=99) == full
    assert pets.episode(0, shots=2).examples == examples[:2]
    assert pets.episode(0, shots=0).examples == []
    assert pets.episode(4) == Episode("2 + 2?", [], [], answer="4")


def test_examples_can_be_chosen_by_the_caller(pets: Store) -> None:
    chosen = np.array([2, 4])
    answers = [example.answer for example in pets.episode(0, examples=chosen).examples]
    assert answers == ["One.", "4"]
    assert len(pets.episode(0, 1, examples=chosen).examples) == 1
    assert pets.episode(0, examples=[]).examples == []


def test_a_question_is_never_its_own_example(pets: Store) -> None:
    with pytest.raises(ValueError) as raised:
        pets.episode(0, examples=[1, 0])
    assert str(raised.value) == (
        "examples = [1, 0]: expected rows other than 0, which is the question; remove it"
    )


def test_a_picture_met_twice_in_an_episode_is_one_object(pets: Store) -> None:
    episode = pets.episode(0)
    assert episode.media[0] is episode.examples[0].media[0]
    assert episode.examples[1].media[0][0] is episode.examples[1].media[0][2]  # type: ignore[index]


@pytest.mark.parametrize("row", [-1, 5])
def test_a_row_outside_the_store_is_refused(pets: Store, row: int) -> None:
    with pytest.raises(IndexError, match=rf"^row {row}: expected a row from 0 to 4$"):
        pets.record(row)
    with pytest.raises(IndexError):
        pets.episode(row)
    with pytest.raises(IndexError, match=r"^row 4: expected a row from 0 to 3$"):
        pets.image_bytes(4)
    with pytest.raises(ValueError, match=r"^shots = -1: expected 0 or more, or None"):
        pets.episode(0, shots=-1)


def test_rows_are_chosen_by_split_and_task(pets: Store) -> None:
    assert pets.rows().tolist() == [0, 1, 2, 3, 4]
    assert pets.rows().dtype == np.int64
    assert pets.rows("test").tolist() == [4]
    assert pets.rows("train", "cats").tolist() == [0, 1, 2]
    assert pets.rows(tasks=["text", "clips"]).tolist() == [3, 4]
    assert pets.rows("test", ["cats"]).tolist() == []
    assert pets.rows(tasks=[]).tolist() == []


def test_an_unknown_split_or_task_is_refused_with_the_known_ones(pets: Store) -> None:
    with pytest.raises(ValueError) as raised:
        pets.rows("tset")
    assert str(raised.value) == "pets: split = 'tset': expected one of 'test', 'train'"
    with pytest.raises(ValueError) as raised:
        pets.rows(tasks=["cats", "dogs"])
    assert str(raised.value) == "pets: task = 'dogs': expected one of 'cats', 'clips', 'text'"


def test_the_manifest_counts_records_by_task_and_split(pets: Store) -> None:
    manifest = json.loads((pets.folder / "manifest.json").read_text())
    assert manifest == pets.manifest
    assert (manifest["format"], manifest["version"]) == ("otter-store", 2)
    assert (manifest["records"], manifest["images"]) == (5, 4)
    assert manifest["tasks"] == [
        {"task": "cats", "split": "train", "records": 3},
        {"task": "clips", "split": "train", "records": 1},
        {"task": "text", "split": "test", "records": 1},
    ]


def test_a_pickled_store_is_only_its_path(pets: Store) -> None:
    data = pickle.dumps(pets)
    assert len(data) < 500
    assert pickle.loads(data).episode(0) == pets.episode(0)


def read_all(store: Store) -> list[Episode]:
    return [store.episode(row) for row in range(len(store))]


def test_threads_and_forked_processes_read_the_same(pets: Store) -> None:
    expected = read_all(pets)
    with ThreadPoolExecutor(8) as threads:
        assert all(read == expected for read in threads.map(read_all, [pets] * 64))
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert all(read == expected for read in pool.map(read_all, [pets] * 4))


def test_the_files_open_with_the_datasets_library(pets: Store) -> None:
    code = (
        "import datasets, sys; records = datasets.Dataset.from_file(sys.argv[1]);"
        "assert len(records) == 5 and records[3]['media'] == [[2, 3, 2], [1]], records[3]"
    )
    subprocess.run([sys.executable, "-c", code, pets.folder / "records.arrow"], check=True)


def test_reading_data_needs_no_torch() -> None:
    code = "import otter.data, sys; assert not {'torch', 'transformers'} & set(sys.modules)"
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": str(SOURCE)}
    )


@pytest.fixture
def copy(pets: Store, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pets.folder, tmp_path / "copy"))


def error_of(folder: Path) -> str:
    with pytest.raises(DataError) as raised:
        Store(folder)
    return str(raised.value)


def change(manifest: Path, **entries: Any) -> None:
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), **entries}))


def test_a_path_that_is_no_store_is_refused(tmp_path: Path) -> None:
    assert error_of(tmp_path / "nowhere") == (
        f"{tmp_path}/nowhere: no such folder: expected the folder of a store. "
        "Check the path, or write a store there with otter.data.StoreWriter."
    )
    assert error_of(tmp_path) == (
        f"{tmp_path}: no manifest.json: expected a store. "
        "Give the folder of a finished store; an interrupted build leaves none."
    )


def test_a_manifest_of_something_else_is_refused(copy: Path) -> None:
    manifest = copy / "manifest.json"
    change(manifest, version=7)
    assert error_of(copy) == (
        f"{manifest}: version = 7: expected 1 or 2. "
        "Build the store again, or install the version of Otter that wrote it."
    )
    change(manifest, format="zip")
    assert error_of(copy) == (
        f"{manifest}: format = 'zip': expected 'otter-store'. "
        "This is the manifest of something else: give the folder of a store."
    )
    manifest.write_text("[]")
    assert "format = []: expected 'otter-store'" in error_of(copy)
    manifest.write_text('{"format":')
    assert error_of(copy) == (
        f"{manifest}: Expecting value: line 1 column 11 (char 10): expected JSON. "
        "Copy the store again or build it again."
    )


def test_all_missing_and_cut_files_are_listed(copy: Path) -> None:
    (copy / "records.arrow").unlink()
    images = copy / "images.arrow"
    images.write_bytes(images.read_bytes()[:-100])
    full = images.stat().st_size + 100
    assert error_of(copy) == (
        "2 problems:\n"
        f"  {copy}/records.arrow: missing: expected "
        f"{json.loads((copy / 'manifest.json').read_text())['files']['records.arrow']['bytes']:,}"
        " bytes (manifest.json). Copy the store again or build it again.\n"
        f"  {copy}/images.arrow: {full - 100:,} bytes: expected {full:,} bytes (manifest.json). "
        "Copy the store again or build it again."
    )
    change(copy / "manifest.json", files={})
    assert (
        f"{copy}/manifest.json: files = missing: expected an entry for images.arrow. "
        "The manifest was changed: copy the store again or build it again."
    ) in error_of(copy)


def test_verify_finds_a_single_changed_bit(copy: Path) -> None:
    Store(copy).verify()
    images = copy / "images.arrow"
    data = bytearray(images.read_bytes())
    data[len(data) // 2] ^= 1
    images.write_bytes(data)
    with pytest.raises(DataError) as raised:
        Store(copy).verify()
    (problem,) = raised.value.problems
    assert (problem.where, problem.field) == (str(images), "sha256")
    assert problem.next_step == "The file was changed: copy the store again or build it again."


def test_a_file_that_is_not_arrow_is_named(copy: Path) -> None:
    records = copy / "records.arrow"
    records.write_bytes(b"\x00garbage" * (records.stat().st_size // 8))
    assert f"{records}: " in error_of(copy)
    assert "expected an Arrow file. Copy the store again or build it again." in error_of(copy)


def test_a_table_with_other_columns_is_named(copy: Path) -> None:
    aliases, records = copy / "aliases.arrow", copy / "records.arrow"
    records.write_bytes(aliases.read_bytes())
    manifest = json.loads((copy / "manifest.json").read_text())
    entries = {"records.arrow": {"bytes": aliases.stat().st_size}}
    change(copy / "manifest.json", files={**manifest["files"], **entries})
    assert error_of(copy).startswith(
        f"{records}: columns = id string, image int32: expected id string, instruction string, "
    )


def test_a_manifest_names_no_files_but_those_of_a_store(copy: Path) -> None:
    manifest = json.loads((copy / "manifest.json").read_text())
    files = {**manifest["files"], "../../diary.arrow": {"bytes": 1}}
    files["records.arrow"] = {"bytes": "many"}
    change(copy / "manifest.json", files=files)
    step = "The manifest was changed: copy the store again or build it again."
    assert error_of(copy) == (
        "2 problems:\n"
        f"  {copy}/manifest.json: files.records.arrow.bytes = 'many': expected a number. {step}\n"
        f"  {copy}/manifest.json: files = '../../diary.arrow': expected files named like "
        f"records.arrow or records-1.arrow. {step}"
    )
