"""The tokenizer of a converted checkpoint: the added tokens get the ids that the weights expect.

OpenFlamingo added ``<|endofchunk|>``, ``<image>`` and, to a tokenizer without a pad token,
``<PAD>``; the 2023 Otter put ``<answer>`` before ``<PAD>``. So the row that OpenFlamingo kept for
``<PAD>``, which nothing ever trained, became that of ``<answer>`` when Otter was started from it.
We do the same, and pad with the end-of-sequence token: the vocabulary keeps its size.
"""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from otter.convert.errors import ConversionError
from otter.prompt import ANSWER, SPECIAL_TOKENS

PAD_2023 = "<PAD>"


def load_tokenizer(folder: Path) -> Any:
    """A fast tokenizer from a local folder.

    Raises:
        ConversionError: there is none.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, ImportError) as error:
        reason = str(error).splitlines()[0]
        raise ConversionError(
            f"{folder}: no tokenizer ({reason}); give --tokenizer, the folder or hub id of the "
            "language model's own"
        ) from error
    if not tokenizer.is_fast:
        raise ConversionError(
            f"{folder}: its tokenizer has no fast form (tokenizer.json), which is needed for the "
            "character offsets; save it with transformers as a fast tokenizer first"
        )
    return tokenizer


def otter_tokenizer(folder: Path) -> Any:
    """The tokenizer of a 2023 Otter: four tokens more, in the order of its constructor."""
    tokenizer = load_tokenizer(folder)
    _add(tokenizer, list(SPECIAL_TOKENS))
    if tokenizer.pad_token is None:
        tokenizer.add_special_tokens({"pad_token": PAD_2023})
    return tokenizer


def openflamingo_tokenizer(folder: Path) -> Any:
    """The tokenizer of an OpenFlamingo, with ``<answer>`` in the place of ``<PAD>``."""
    tokenizer = load_tokenizer(folder)
    if PAD_2023 in tokenizer.get_added_vocab():
        with tempfile.TemporaryDirectory() as copy:
            _rename(folder, Path(copy), PAD_2023, ANSWER)
            tokenizer = load_tokenizer(Path(copy))
        tokenizer.pad_token = None
    _add(tokenizer, list(SPECIAL_TOKENS))
    if tokenizer.pad_token in (None, ANSWER):
        tokenizer.pad_token = tokenizer.eos_token or SPECIAL_TOKENS[0]
    return tokenizer


def writes_bos(tokenizer: Any) -> bool:
    """Whether the tokenizer begins each text with its beginning-of-sequence token by itself."""
    ids = tokenizer("a").input_ids
    return bool(ids) and tokenizer.bos_token_id is not None and ids[0] == tokenizer.bos_token_id


def _add(tokenizer: Any, tokens: list[str]) -> None:
    missing = [token for token in tokens if token not in tokenizer.get_added_vocab()]
    if missing:
        tokenizer.add_special_tokens(
            {"additional_special_tokens": missing}, replace_extra_special_tokens=False
        )


def _rename(folder: Path, copy: Path, old: str, new: str) -> None:
    """Copy the files of a tokenizer with an added token renamed; it keeps its id."""
    for file in folder.iterdir():
        if file.suffix == ".json" and "token" in file.name:
            content = json.loads(file.read_text(encoding="utf-8"))
            (copy / file.name).write_text(json.dumps(_replaced(content, old, new)), "utf-8")
        elif file.is_file() and file.suffix in (".model", ".txt"):
            shutil.copy(file, copy / file.name)


def _replaced(content: Any, old: str, new: str) -> Any:
    if isinstance(content, dict):
        return {
            new if key == old else key: _replaced(value, old, new)
            for key, value in content.items()
            if not (key == "pad_token" and value == old)
        }
    if isinstance(content, list):
        return [_replaced(item, old, new) for item in content]
    return new if content == old else content
