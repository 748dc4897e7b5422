"""A store goes to the hub and comes back, only when somebody asks for it."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub.errors import (
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)

from otter.data import DataError, Store, append, pull, push
from otter.data.records import Record

Picture = Callable[[int], bytes]


class Hub:
    """The hub as a folder; notes what was asked of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def HfApi(self, token: str | None = None) -> "Hub":
        self.asked.append(("HfApi", {"token": token}))
        return self

    def create_repo(self, repo_id: str, **options: Any) -> str:
        self.asked.append(("create_repo", {"repo_id": repo_id, **options}))
        (self.folder / repo_id).mkdir(parents=True, exist_ok=True)
        return f"https://huggingface.co/datasets/{repo_id}"

    def upload_file(self, path_or_fileobj: bytes, path_in_repo: str, **options: Any) -> None:
        (self.folder / options["repo_id"] / path_in_repo).write_bytes(path_or_fileobj)

    def upload_folder(self, folder_path: Path, repo_id: str, **options: Any) -> None:
        self.asked.append(("upload_folder", {"repo_id": repo_id, **options}))
        for pattern in options["delete_patterns"]:
            for file in (self.folder / repo_id).glob(pattern):
                file.unlink()
        for name in options["allow_patterns"]:
            shutil.copy(folder_path / name, self.folder / repo_id / name)

    def snapshot_download(self, repo_id: str, **options: Any) -> str:
        self.asked.append(("snapshot_download", {"repo_id": repo_id, **options}))
        if not (self.folder / repo_id).exists():
            raise LocalEntryNotFoundError("not here")
        if options.get("local_dir"):
            shutil.copytree(self.folder / repo_id, options["local_dir"], dirs_exist_ok=True)
        return str(options.get("local_dir") or self.folder / repo_id)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    hub = Hub(tmp_path / "hub")
    monkeypatch.setattr(huggingface_hub, "HfApi", hub.HfApi)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", hub.snapshot_download)
    return hub


def test_a_store_that_was_pushed_can_be_pulled(hub: Hub, pets: Store, tmp_path: Path) -> None:
    address = push(pets.folder, "me/pets", token="secret")
    assert address == "https://huggingface.co/datasets/me/pets"
    assert hub.asked[0] == ("HfApi", {"token": "secret"})
    assert hub.asked[1][1] == {
        "repo_id": "me/pets", "repo_type": "dataset", "private": True, "exist_ok": True,
    }  # fmt: skip
    assert pull("me/pets").episode(0) == pets.episode(0)
    there = pull("me/pets", tmp_path / "there", revision="v1", token="secret", frames=3)
    assert (there.folder, there.frames, len(there)) == (tmp_path / "there", 3, 5)
    assert hub.asked[-1] == (
        "snapshot_download",
        {
            "repo_id": "me/pets", "repo_type": "dataset", "revision": "v1", "token": "secret",
            "local_dir": tmp_path / "there", "allow_patterns": ["manifest.json", "*.arrow"],
        },
    )  # fmt: skip


def test_a_second_push_replaces_all_files_of_the_first(
    hub: Hub, pets: Store, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(pets.folder, tmp_path / "pets"))
    (folder / "private.txt").write_text("mine")
    with append(folder) as writer:
        writer.add_record(Record("NEW", "?", "!"))
    push(folder, "me/pets", private=False, card=False)
    assert hub.asked[1][1]["private"] is False
    push(pets.folder, "me/pets")
    assert sorted(path.name for path in (hub.folder / "me/pets").iterdir()) == [
        *("README.md", "aliases.arrow", "images.arrow", "manifest.json", "records.arrow")
    ]


def test_the_card_says_what_is_in_the_store(hub: Hub, pets: Store) -> None:
    push(pets.folder, "me/pets")
    assert (hub.folder / "me/pets/README.md").read_text() == (
        "---\ntags:\n- otter-store\nsize_categories:\n- n<1K\nconfigs:\n- config_name: records\n"
        "  data_files:\n  - records.arrow\n---\n# me/pets\n\n"
        "5 records, 4 images. An Otter store of version 2.\n\n"
        "| task | split | records |\n|---|---|---|\n"
        "| cats | train | 3 |\n| clips | train | 1 |\n| text | test | 1 |\n\n"
        '```python\nfrom otter.data import pull\n\nstore = pull("me/pets")\nstore.episode(0)\n```\n'
    )


def test_nothing_is_fetched_unasked(hub: Hub, pets: Store, tmp_path: Path) -> None:
    assert Store.load(pets.folder, frames=2).frames == 2
    assert pull(pets.folder).record(0) == pets.record(0)
    assert hub.asked == []
    with pytest.raises(DataError) as raised:
        Store.load("me/none")
    assert str(raised.value) == (
        "me/none: neither a folder nor in the local cache of the hub: expected the folder of a "
        "store, or the id of a dataset of the Hugging Face hub (owner/name). "
        "Say allow_download=True to fetch it, or `otter data pull`."
    )
    assert hub.asked[-1][1]["local_files_only"] is True
    with pytest.raises(DataError, match="the hub cannot be reached, and the dataset is not in the"):
        Store.load("me/none", allow_download=True)
    assert hub.asked[-1][1]["local_files_only"] is False
    push(pets.folder, "me/pets")
    assert len(Store.load("me/pets")) == 5
    count = len(hub.asked)
    with pytest.raises(DataError, match="no such folder"):
        Store.load(tmp_path / "a" / "b")
    with pytest.raises(DataError, match="no such folder"):
        Store.load("./me/none", allow_download=True)
    assert len(hub.asked) == count


def test_damage_is_noticed_on_both_ways(hub: Hub, pets: Store, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(pets.folder, tmp_path / "pets"))
    damage(folder)
    with pytest.raises(DataError, match="sha256"):
        push(folder, "me/pets")
    assert hub.asked == []
    push(pets.folder, "me/pets")
    damage(hub.folder / "me/pets")
    with pytest.raises(DataError, match="sha256"):
        pull("me/pets")


def damage(folder: Path) -> None:
    data = bytearray((folder / "images.arrow").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "images.arrow").write_bytes(data)


def test_a_folder_of_something_else_is_not_written_to(
    hub: Hub, pets: Store, tmp_path: Path
) -> None:
    push(pets.folder, "me/pets")
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.txt").touch()
    with pytest.raises(FileExistsError, match="is not empty and no store: choose another folder"):
        pull("me/pets", tmp_path / "thesis")


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (HFValidationError("too many dots"), "neither a folder nor an id (too many dots)"),
        (
            RepositoryNotFoundError.__new__(RepositoryNotFoundError),
            "the hub has no such dataset, or not for you",
        ),
    ],
)
def test_what_the_hub_refuses_is_said_plainly(
    error: Exception, says: str, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(DataError) as raised:
        pull("me/pets")
    assert raised.value.problems[0].value == says


def test_a_hub_out_of_reach_is_said_plainly(
    hub: Hub, pets: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = huggingface_hub.errors.HfHubHTTPError.__bases__[0]

    def refuse(*_: Any, **__: Any) -> None:
        raise broken("no route")  # type: ignore[misc]

    monkeypatch.setattr(hub, "create_repo", refuse)
    with pytest.raises(ConnectionError) as raised:
        push(pets.folder, "me/pets")
    assert str(raised.value) == (
        "me/pets: the hub cannot be reached (no route): check the network, and push again"
    )
