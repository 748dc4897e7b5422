"""Where the parts of a model lie: a folder, or what the Hugging Face hub's cache holds of an id.

Nothing is fetched from the network unless that is asked for by name.
"""

from collections.abc import Iterable
from pathlib import Path

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    IncompleteSnapshotError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)

# The same weights for other programs, and copies in the form in which they were trained.
_FOR_OTHERS = [
    *("*.h5", "*.msgpack", "*.ot", "*.onnx", "*.onnx_data", "*.tflite", "*.gguf", "*.mlmodel"),
    *("onnx/*", "coreml/*", "openvino/*", "flax/*", "original/*", "consolidated*"),
]
# Not needed beside safetensors files, which hold the same.
_PICKLES = ["*.bin", "*.pt", "*.pth", "*.ckpt"]
_WEIGHTS = ["*.safetensors", *_PICKLES]


def find_folder(
    name_or_path: str | Path,
    *,
    what: str,
    option: str,
    allow_download: bool = False,
    weights: bool = True,
) -> Path:
    """The folder of a model.

    Args:
        name_or_path: a folder, or the id of a model on the Hugging Face hub, such as
            ``openai/clip-vit-large-patch14``.
        what: what is looked for, in messages: "the vision tower".
        option: where it was given: ``--vision-tower``.
        allow_download: whether an id that is not in the local cache may be fetched.
        weights: whether its weights are needed; a tokenizer is a small part of a model.

    Raises:
        FileNotFoundError: it is in no place that may be looked at; the message says how to get it.
        NotADirectoryError: it is a file.
        OSError: it could not be fetched.
    """
    path = Path(name_or_path).expanduser()
    name = str(name_or_path)
    if name and path.is_dir():
        return path
    given = f"{option} {name_or_path}"
    if path.is_file():
        raise NotADirectoryError(
            f"{given}: a file; expected {what} as a folder with config.json and the weights, or "
            "the id of a model on the Hugging Face hub. Give the folder that holds it"
        )
    # An id is one name or two with a slash between; anything else was meant as a path.
    if isinstance(name_or_path, Path) or name.count("/") > 1 or name[:1] in "./~":
        raise FileNotFoundError(
            f"{given}: no such folder; expected {what} as a folder with config.json and the "
            "weights, or the id of a model on the Hugging Face hub such as owner/name"
        )
    try:
        return _fetched(name, weights) if allow_download else _cached(name, weights)
    except HFValidationError as error:
        raise FileNotFoundError(
            f"{given}: neither a folder nor an id of the Hugging Face hub ({error}); expected "
            f"{what} as one of the two, an id as owner/name"
        ) from error
    except IncompleteSnapshotError as error:
        raise FileNotFoundError(
            f"{given}: only a part of it is in the cache of the Hugging Face hub; expected all of "
            f"{what}. Fetch the rest with `hf download {name}`, or give --allow-download"
        ) from error
    except LocalEntryNotFoundError as error:
        raise FileNotFoundError(
            f"{given}: neither a folder nor in the local cache of the Hugging Face hub; expected "
            f"{what}, and nothing is fetched unasked. Fetch it with `hf download {name}`, or give "
            "--allow-download"
        ) from error
    except GatedRepoError as error:
        raise PermissionError(
            f"{given}: its owner asks for agreement before it may be fetched; agree on "
            f"https://huggingface.co/{name}, log in with `hf auth login`, and try again"
        ) from error
    except RepositoryNotFoundError as error:
        raise FileNotFoundError(
            f"{given}: the Hugging Face hub has no such model, or not for you; expected {what}. "
            "Check the id; for a private model log in with `hf auth login`"
        ) from error
    except OfflineModeIsEnabled as error:
        raise FileNotFoundError(
            f"{given}: --allow-download was given, but HF_HUB_OFFLINE forbids the network and it "
            f"is not in the local cache; unset HF_HUB_OFFLINE, or give {what} as a folder"
        ) from error


def _cached(name: str, weights: bool) -> Path:
    """What the cache holds, where that is all that is needed."""
    unneeded = [*_FOR_OTHERS, *([] if weights else _WEIGHTS)]
    try:
        return Path(snapshot_download(name, local_files_only=True, ignore_patterns=unneeded))
    except IncompleteSnapshotError as error:
        folder = Path(error.snapshot_path)
        if not _has_safetensors(file.name for file in folder.iterdir()):
            raise
        patterns = [*_FOR_OTHERS, *_PICKLES]
        return Path(snapshot_download(name, local_files_only=True, ignore_patterns=patterns))


def _fetched(name: str, weights: bool) -> Path:
    files = HfApi().list_repo_files(name)
    unneeded = [*_FOR_OTHERS, *(_PICKLES if _has_safetensors(files) else [])]
    if not weights:
        unneeded += _WEIGHTS
    return Path(snapshot_download(name, ignore_patterns=unneeded))


def _has_safetensors(files: Iterable[str]) -> bool:
    return any("/" not in file and file.endswith(".safetensors") for file in files)
