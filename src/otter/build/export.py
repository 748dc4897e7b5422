"""Leaving with one's data: a store written in the formats of others.

    result = export_store(Store("store"), "llava", Path("out"))
    result.lost        {"worked examples are not kept": 300, ...}

Reading an export with the importer of the same format gives the same records again, as far as the
format can hold them; what it cannot hold is counted. Records are written one after the other, so
memory does not grow with the store, and the folder appears whole or not at all.
"""

import secrets
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from otter.build.export_chats import LlavaExport, MessagesExport
from otter.build.export_mimicit import MimicitExport
from otter.data import Store

OnProgress = Callable[[str, int, int], None]


class Export(Protocol):
    """A format that a store can be written in.

    ``lost`` counts what the format cannot hold, in the words of the summary; ``left_out`` the
    records that are not written at all.
    """

    lost: Counter[str]
    left_out: int

    @property
    def pictures(self) -> int:
        """How many pictures are written."""
        ...

    def write(self, on_progress: OnProgress) -> None:
        """Writes all files into the folder."""
        ...

    def read_again(self, folder: Path) -> str:
        """The command that imports the export, as it stands in ``folder``."""
        ...


_FORMATS: dict[str, Callable[..., Export]] = {
    "mimicit": MimicitExport,
    "llava": LlavaExport,
    "messages": MessagesExport,
}
EXPORT_FORMATS = tuple(_FORMATS)


@dataclass(frozen=True)
class ExportResult:
    """What was written.

    Args:
        folder: where.
        records: how many.
        left_out: how many could not be written.
        pictures: how many.
        lost: what the format cannot hold, and of how many records.
        read_again: the command that imports it.
    """

    folder: Path
    records: int
    left_out: int
    pictures: int
    lost: dict[str, int]
    read_again: str


def export_store(
    store: Store,
    format_name: str,
    out: Path | str,
    *,
    examples: bool = False,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> ExportResult:
    """Writes a store in another format.

    Args:
        store: what is written.
        format_name: one of EXPORT_FORMATS.
        out: a new folder.
        examples: write the worked examples of a record as earlier turns of its conversation, where
            the format has no other place for them.
        overwrite: replace a folder that stands there.
        on_progress: told (what is done, how much, of how much) now and then.

    Raises:
        ValueError: there is no such format.
        FileExistsError: the folder exists and may not be replaced.
    """
    if format_name not in _FORMATS:
        raise ValueError(
            f"format {format_name!r}: expected one of {', '.join(map(repr, EXPORT_FORMATS))}"
        )
    folder = Path(out).absolute()
    if folder.exists() and not overwrite:
        raise FileExistsError(
            f"{folder}: exists already: choose another folder, or replace it (overwrite=True, "
            "--overwrite)"
        )
    partial = folder.with_name(f".{folder.name}.writing-{secrets.token_hex(4)}")
    partial.mkdir(parents=True)
    try:
        export = _FORMATS[format_name](store, partial, examples=examples)
        export.write(on_progress or (lambda *_: None))
        _publish(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return ExportResult(
        folder,
        len(store) - export.left_out,
        export.left_out,
        export.pictures,
        dict(sorted(export.lost.items(), key=lambda entry: -entry[1])),
        export.read_again(Path(out)),
    )


def _publish(partial: Path, folder: Path) -> None:
    if not folder.exists():
        partial.rename(folder)
        return
    old = partial.with_name(f"{partial.name}.replaced")
    folder.rename(old)
    try:
        partial.rename(folder)
    except OSError:
        old.rename(folder)
        raise
    shutil.rmtree(old)
