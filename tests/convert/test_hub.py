"""Finding a model: folders, ids in the cache, and nothing from the network unless asked."""

import re
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub.errors import (
    IncompleteSnapshotError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
)

from otter.convert import hub
from otter.convert.hub import find_folder


class Hub:
    """Stands in for the hub and its cache; remembers what was asked of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: list[str] = []
        self.error: Exception | None = None
        self.asked: list[tuple[bool, list[str]]] = []

    def snapshot_download(
        self, name: str, *, ignore_patterns: list[str], local_files_only: bool = False
    ) -> str:
        self.asked.append((local_files_only, ignore_patterns))
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        return str(self.folder)

    def list_repo_files(self, name: str) -> list[str]:
        return self.files


@pytest.fixture
def the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    fake = Hub(tmp_path)
    monkeypatch.setattr(hub, "snapshot_download", fake.snapshot_download)
    monkeypatch.setattr(hub, "HfApi", lambda: fake)
    return fake


def find(name: Any, **options: Any) -> Path:
    return find_folder(name, what="the vision tower", option="--vision-tower", **options)


def test_a_folder_is_taken_as_it_is(tmp_path: Path, the_hub: Hub) -> None:
    assert find(tmp_path) == find(str(tmp_path)) == tmp_path
    assert the_hub.asked == []


def test_an_id_is_looked_for_in_the_cache_only(the_hub: Hub) -> None:
    assert find("openai/clip") == the_hub.folder
    assert [local for local, _ in the_hub.asked] == [True]


def test_an_id_is_fetched_when_that_is_asked_for(the_hub: Hub) -> None:
    the_hub.files = ["config.json", "pytorch_model.bin", "tf_model.h5"]
    assert find("openai/clip", allow_download=True) == the_hub.folder
    the_hub.files += ["model.safetensors"]
    find("openai/clip", allow_download=True)
    (local, first), (_, second) = the_hub.asked
    assert not local
    assert "*.h5" in first
    assert "*.bin" not in first  # the only weights
    assert "*.bin" in second  # the same weights once more


def test_a_tokenizer_is_found_and_fetched_without_the_weights_beside_it(the_hub: Hub) -> None:
    the_hub.files = ["tokenizer.json", "model.safetensors"]
    for allowed in (False, True):
        find("openai/clip", weights=False, allow_download=allowed)
        assert {"*.safetensors", "*.bin"} <= set(the_hub.asked[-1][1])


def test_a_cache_without_the_pickles_beside_safetensors_is_whole(the_hub: Hub) -> None:
    (the_hub.folder / "model.safetensors").touch()
    the_hub.error = IncompleteSnapshotError("parts are missing", str(the_hub.folder))
    assert find("openai/clip") == the_hub.folder
    assert "*.bin" in the_hub.asked[-1][1]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            LocalEntryNotFoundError("not there"),
            "--vision-tower openai/clip: neither a folder nor in the local cache of the Hugging "
            "Face hub; expected the vision tower, and nothing is fetched unasked. Fetch it with "
            "`hf download openai/clip`, or give --allow-download",
        ),
        (
            IncompleteSnapshotError("parts are missing", "."),
            "--vision-tower openai/clip: only a part of it is in the cache of the Hugging Face "
            "hub; expected all of the vision tower. Fetch the rest with `hf download openai/clip`, "
            "or give --allow-download",
        ),
        (
            OfflineModeIsEnabled("offline"),
            "--vision-tower openai/clip: --allow-download was given, but HF_HUB_OFFLINE forbids "
            "the network and it is not in the local cache; unset HF_HUB_OFFLINE, or give the "
            "vision tower as a folder",
        ),
    ],
)
def test_what_is_not_there_is_said_with_the_next_step(
    the_hub: Hub, error: Exception, message: str, tmp_path: Path
) -> None:
    if isinstance(error, IncompleteSnapshotError):
        error.snapshot_path = str(tmp_path)
    the_hub.error = error
    with pytest.raises(FileNotFoundError, match=re.escape(message)):
        find("openai/clip", allow_download=isinstance(error, OfflineModeIsEnabled))


def test_without_a_stand_in_nothing_is_fetched_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="nothing is fetched unasked"):
        find("nobody/nothing-of-this-name")


@pytest.mark.parametrize("name", ["./gone", "/a/b/c", "~/gone", "a/b/c", "", Path("gone")])
def test_a_path_that_is_not_there_is_not_looked_for_on_the_hub(the_hub: Hub, name: Any) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"no such folder; expected the vision tower as a folder with"
    ):
        find(name, allow_download=True)
    assert the_hub.asked == []


def test_a_file_is_not_a_folder(tmp_path: Path) -> None:
    file = tmp_path / "weights.pt"
    file.touch()
    message = f"--vision-tower {file}: a file; expected the vision tower as a folder with config"
    with pytest.raises(NotADirectoryError, match=re.escape(message)):
        find(file)


def test_a_name_that_no_model_can_have_is_refused() -> None:
    with pytest.raises(FileNotFoundError, match="neither a folder nor an id of the Hugging Face"):
        find("a model?")
