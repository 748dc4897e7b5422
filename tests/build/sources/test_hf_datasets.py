"""Datasets of the `datasets` library, as folders that it writes and reads."""

import gc
import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from tests.build.sources.trees import imported, problems, write_picture

datasets = pytest.importorskip("datasets")


def picture(shade: int) -> dict[str, Any]:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6), (shade, shade, shade)).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": "same.png"}


def rows(*shades: int) -> dict[str, list[Any]]:
    return {
        "question": [f"Which grey is {n}?" for n, _ in enumerate(shades)],
        "label": [n % 2 for n, _ in enumerate(shades)],
        "photo": [picture(shade) for shade in shades],
    }


FEATURES = datasets.Features(
    question=datasets.Value("string"),
    label=datasets.ClassLabel(names=["dark", "light"]),
    photo=datasets.Image(),
)
MAP = "answer=label,image=photo"


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    parts = {
        "train": datasets.Dataset.from_dict(rows(10, 200), FEATURES),
        "test": datasets.Dataset.from_dict(rows(30), FEATURES),
    }
    datasets.DatasetDict(parts).save_to_disk(str(tmp_path / "greys"))
    return tmp_path / "greys"


def test_a_saved_dataset_is_read_with_its_splits(tmp_path: Path, saved: Path) -> None:
    found = imported("hf-datasets", [saved], tmp_path / "s", map=MAP)
    records = found.records
    assert list(records) == ["greys-train-0", "greys-train-1", "greys-test-0"]
    assert [record.split for record in records.values()] == ["train", "train", "test"]
    assert [record.answer for record in records.values()] == ["dark", "light", "dark"]
    assert found.greys("greys-train-1") == [[200]]
    row = records["greys-test-0"].media[0][0]
    assert found.store.image_bytes(row) == picture(30)["bytes"]


def test_only_some_splits_may_be_taken(tmp_path: Path, saved: Path) -> None:
    found = imported("hf_datasets", [saved], tmp_path / "s", map=MAP, only="test", split="val")
    assert [record.split for record in found.records.values()] == ["val"]


def test_parquet_is_read_where_it_is(tmp_path: Path) -> None:
    dataset = datasets.Dataset.from_dict(rows(50, 60), FEATURES)
    (tmp_path / "data").mkdir()
    dataset.to_parquet(tmp_path / "data" / "train-00000-of-00001.parquet")
    file = imported("hf-datasets", [next((tmp_path / "data").iterdir())], tmp_path / "a", map=MAP)
    folder = imported("hf-datasets", [tmp_path / "data"], tmp_path / "b", map=MAP)
    for found in (file, folder):
        assert [record.answer for record in found.records.values()] == ["dark", "light"]
    assert [record.split for record in folder.records.values()] == ["train", "train"]


def test_lists_of_pictures_and_pairs_of_user_and_assistant_are_read(tmp_path: Path) -> None:
    table = {
        "images": [[picture(10), picture(20)], []],
        "texts": [
            [
                {"user": "Like <image>?\n<image>", "assistant": "No.", "source": "x"},
                {"user": "Sure?", "assistant": "Yes.", "source": "x"},
            ],
            [{"user": "Why?", "assistant": "So.", "source": "x"}],
        ],
    }
    features = datasets.Features(
        images=datasets.List(datasets.Image()),
        texts=datasets.List(
            {name: datasets.Value("string") for name in ("user", "assistant", "source")}
        ),
    )
    datasets.Dataset.from_dict(table, features).save_to_disk(str(tmp_path / "cauldron"))
    found = imported("hf-datasets", [tmp_path / "cauldron"], tmp_path / "s")
    assert list(found.records) == ["cauldron-rows-0_0", "cauldron-rows-0_1", "cauldron-rows-1"]
    assert found.greys("cauldron-rows-0_0") == [[10], [20]]


def test_a_nested_column_and_the_most_frequent_answer_are_taken(tmp_path: Path) -> None:
    answers = [[{"answer": "red"}, {"answer": "blue"}, {"answer": "blue"}]]
    table = pa.table({"question": ["Its colour?"], "answers": answers})
    pq.write_table(table, tmp_path / "vqa.parquet")
    found = imported(
        "hf-datasets", [tmp_path / "vqa.parquet"], tmp_path / "s", map="answer=answers.answer"
    )
    assert found.store.record(0).answer == "blue"


# The library leaves the metadata file to the garbage collector to close.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_folder_of_pictures_with_metadata_is_read(tmp_path: Path) -> None:
    write_picture(tmp_path / "photos" / "train" / "1.png", 70)
    (tmp_path / "photos" / "train" / "metadata.csv").write_text("file_name,text\n1.png,A grey.\n")
    found = imported("hf-datasets", [tmp_path / "photos"], tmp_path / "s", map="answer=text")
    assert found.store.record(0).answer == "A grey."
    assert found.store.image_count == 1
    gc.collect()


def test_what_is_no_dataset_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "x.parquet").write_bytes(b"PAR1 and no more")
    for name in ("empty", "x.parquet"):
        (found,) = problems("hf-datasets", [tmp_path / name])
        assert "expected a dataset" in found


def test_broken_pictures_cost_their_rows(tmp_path: Path) -> None:
    table = rows(10, 20, 30)
    table["photo"][1] = {"bytes": b"no picture", "path": None}
    table["photo"][2] = None
    datasets.Dataset.from_dict(table, FEATURES).save_to_disk(str(tmp_path / "greys"))
    found = imported("hf-datasets", [tmp_path / "greys"], tmp_path / "s", map=MAP)
    assert list(found.records) == ["greys-rows-0", "greys-rows-2"]
    assert (found.result.broken, found.result.left_out) == (1, 1)
