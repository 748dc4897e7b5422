"""The commands that work on whole stores say what they did, or what is wrong, and how to go on."""

from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

import otter.data
from otter.cli import data_store
from otter.data import Record, Store, StoreWriter

app = typer.Typer()
for command in (data_store.merge, data_store.shard, data_store.push, data_store.pull):
    app.command()(command)


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def write(folder: Path, *ids: str, related: tuple[str, ...] = ()) -> Path:
    with StoreWriter(folder) as writer:
        writer.add_image("I", b"GIF8")
        for name in ids:
            others = tuple(other for other in related if other != name)
            writer.add_record(Record(name, "?", "!", (("I",),), others))
    return folder


def test_merge_writes_one_store_of_several(tmp_path: Path) -> None:
    one, two = write(tmp_path / "one", "A", "B"), write(tmp_path / "two", "B")
    refused = run("merge", one, two, "--out", tmp_path / "both")
    assert refused.exit_code == 2
    assert refused.stderr == (
        "otter data merge: both: record 'B': id = in one and in two: expected each id once. "
        "Merge with prefix, which puts the name of its store before every id.\n"
    )
    assert not (tmp_path / "both").exists()
    done = run("merge", one, two, "--out", tmp_path / "both", "--prefix")
    assert (done.exit_code, done.output) == (0, f"{tmp_path}/both: 3 records, 1 images\n")
    assert run("merge", one, "--out", tmp_path / "both").exit_code == 2
    assert run("merge", one, "--out", tmp_path / "both", "--overwrite").exit_code == 0
    assert len(Store(tmp_path / "both")) == 2


def test_shard_writes_several_stores_of_one(tmp_path: Path) -> None:
    store = write(tmp_path / "one", "A", "B", "C", "D", related=("A",))
    refused = run("shard", store, "--out", tmp_path / "out", "--shards", 2)
    assert refused.exit_code == 2
    assert "4 records that are connected through their examples" in refused.stderr
    done = run("shard", store, "--out", tmp_path / "out", "--shards", 2, "--cut")
    assert done.output == (
        f"{tmp_path}/out/00000-of-00002: 2 records\n{tmp_path}/out/00001-of-00002: 2 records\n"
        "2 examples were left out: their records are in other shards.\n"
    )


def test_push_and_pull_ask_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = write(tmp_path / "one", "A")
    asked: list[Any] = []

    def push(*arguments: Any, **options: Any) -> str:
        asked.append((*arguments, options))
        return "https://huggingface.co/datasets/me/one"

    def pull(*arguments: Any, **options: Any) -> Store:
        asked.append((*arguments, options))
        return Store(store)

    monkeypatch.setattr(otter.data, "push", push)
    monkeypatch.setattr(otter.data, "pull", pull)
    done = run("push", store, "me/one", "--visibility", "public", "--no-card")
    assert done.output == "https://huggingface.co/datasets/me/one\n"
    assert asked.pop() == (store, "me/one", {"private": False, "card": False})
    assert run("push", store, "me/one").exit_code == 0
    assert asked.pop() == (store, "me/one", {"private": True, "card": True})
    assert run("pull", "me/one", "--revision", "v1").output == f"{store}: 1 records, 1 images\n"
    assert asked.pop() == ("me/one", None, {"revision": "v1"})


def test_a_folder_that_is_no_store_is_named(tmp_path: Path) -> None:
    for arguments in (
        ("merge", tmp_path, "--out", tmp_path / "out"),
        ("shard", tmp_path, "--out", tmp_path / "out", "--shards", 2),
        ("push", tmp_path, "me/one"),
        ("pull", tmp_path),
    ):
        refused = run(*arguments)
        assert refused.exit_code == 2
        assert refused.stderr.startswith(f"otter data {arguments[0]}: {tmp_path}: no manifest.json")
