"""What loading says to a checkpoint of 2023: the line that converts it, not a list of missing keys.

Otter and Flamingo folders of that time have a config.json of the same ``model_type`` as ours, or of
``"flamingo"``, and weights named ``lang_encoder.*`` and ``perceiver.*``; OpenFlamingo wrote one
``checkpoint.pt``. Nothing here reads a tensor or runs a pickle.
"""

import json
import shlex
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import PreTrainedConfig

_OLD_FIELD = "cross_attn_every_n_layers"
_OLD_NAMES = ("lang_encoder.", "perceiver.")
_LONGEST_HEADER = 100_000_000  # bytes; the limit of the safetensors format
_TOKENIZERS = {"mpt": "mosaicml/mpt-7b-instruct"}
"""What the 2023 code loaded for a language model whose config does not say."""


class OlderFlamingoConfig(PreTrainedConfig):
    """Stands for ``model_type`` "flamingo", so that the Auto classes give the advice too."""

    model_type = "flamingo"

    def __post_init__(self, **kwargs: Any) -> None:
        """Refuse."""
        refuse_older_config({"model_type": self.model_type, **kwargs}, kwargs.get("name_or_path"))


def refuse_older_config(fields: Mapping[str, Any], where: str | Path | None) -> None:
    """Raise the advice if these are the fields of a config.json of 2023.

    Args:
        fields: of the config.
        where: the folder or hub id that they came from, if that is known.

    Raises:
        ValueError: with the command that converts the checkpoint.
    """
    if fields.get("model_type") == "flamingo" or _OLD_FIELD in fields:
        raise ValueError(_advice(fields, where))


def refuse_older_checkpoint(path: str | Path) -> None:
    """Raise the advice if a folder or file is a checkpoint of 2023; anything else passes.

    Raises:
        ValueError: with the command that converts the checkpoint.
    """
    place = Path(path).expanduser()
    if place.is_file() and place.suffix == ".pt":
        raise ValueError(_openflamingo_advice(place, place.parent))
    if not place.is_dir():
        return
    fields = _json(place / "config.json")
    if not fields and (files := sorted(place.glob("*.pt"))):
        published = place / "checkpoint.pt"
        file = published if published in files else files[-1]
        raise ValueError(_openflamingo_advice(file, place))
    refuse_older_config(fields, place)
    if _has_older_names(place):
        raise ValueError(_advice(fields, place))


def _advice(fields: Mapping[str, Any], where: str | Path | None) -> str:
    source = "FOLDER" if where is None else str(where)
    # A hub id names a folder of this machine only once its last part stands alone.
    target = source if Path(source).is_dir() or where is None else Path(source).name
    name = "a Flamingo" if fields.get("model_type") == "flamingo" else "an Otter"
    tokenizer = _tokenizer(fields.get("text_config"))
    return (
        f"{'this config' if where is None else where} is of {name} of 2023, whose weights have "
        "other names and which has no tokenizer of its own: convert it once with `otter convert "
        f"{shlex.quote(source)} {shlex.quote(target + '-native')} --tokenizer {tokenizer}`, then "
        f"load {target}-native"
    )


def _openflamingo_advice(file: Path, folder: Path) -> str:
    target = f"{folder}-native"
    return (
        f"{file} looks like a checkpoint of OpenFlamingo, which holds only what was trained: put "
        f"it together once with `otter convert {shlex.quote(str(file))} {shlex.quote(target)} "
        "--language-model <id or folder of the language model that it was trained on> "
        f"--vision-tower openai/clip-vit-large-patch14`, then load {target}"
    )


def _tokenizer(text: Any) -> str:
    """The hub id of a language model's tokenizer, as far as its config tells."""
    fields = text.to_dict() if isinstance(text, PreTrainedConfig) else text or {}
    named = fields.get("_name_or_path") or ""
    if named and not named.startswith(("/", ".", "~")) and named.count("/") <= 1:
        return str(named)
    known = _TOKENIZERS.get(str(fields.get("model_type")))
    return known or "<id of its language model's tokenizer>"


def _has_older_names(folder: Path) -> bool:
    """Whether the weights of a folder have names of 2023; only names are read."""
    names: list[str] = []
    for index in folder.glob("*.index.json"):
        names += _json(index).get("weight_map", {})
    for file in () if names else folder.glob("*.safetensors"):
        names += _names_in_safetensors(file)
    if any(name.startswith(_OLD_NAMES) for name in names):
        return True
    return not names and any(_pickle_mentions_older_names(file) for file in folder.glob("*.bin"))


def _names_in_safetensors(file: Path) -> list[str]:
    """The names in a file's header; none where it has no header, which loading will say better."""
    with file.open("rb") as stream:
        try:
            (length,) = struct.unpack("<Q", stream.read(8))
            return list(json.loads(stream.read(min(length, _LONGEST_HEADER))))
        except (struct.error, ValueError):
            return []


def _pickle_mentions_older_names(file: Path) -> bool:
    if not zipfile.is_zipfile(file):
        return False
    with zipfile.ZipFile(file) as archive:
        pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        return any(old.encode() in archive.read(name) for name in pickles for old in _OLD_NAMES)


def _json(file: Path) -> dict[str, Any]:
    """The content of a file; nothing where there is none, or none that can be read."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
