"""``otter data export``: a store in the formats of others."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from otter.cli.failure import fail


class Format(StrEnum):
    """What a store may be written as."""

    MIMICIT = "mimicit"
    LLAVA = "llava"
    MESSAGES = "messages"


Folder = Annotated[
    Path, typer.Argument(metavar="STORE", help="The folder of a store.", show_default=False)
]
AsFormat = Annotated[Format, typer.Option("--format", help="What is written.", show_default=False)]
Out = Annotated[
    Path, typer.Option("--out", metavar="DIR", help="A new folder.", show_default=False)
]
Examples = Annotated[
    bool, typer.Option("--examples", help="Write worked examples as earlier turns.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the folder at DIR.")]


def export(
    store: Folder,
    format: AsFormat,
    out: Out,
    examples: Examples = False,
    overwrite: Overwrite = False,
) -> None:
    """Write a store as MIMIC-IT, LLaVA JSON or chat messages, with its pictures.

    What the format cannot hold is counted at the end. Importing the result gives the rest again.

    Example: otter data export store --format llava --out for-llava
    """
    from otter.build.export import export_store
    from otter.cli.data_progress import stages
    from otter.data import DataError, Store

    try:
        with stages("writing") as show:
            result = export_store(
                Store(store),
                format.value,
                out,
                examples=examples,
                overwrite=overwrite,
                on_progress=show,
            )
    except (DataError, OSError, ValueError) as error:
        fail("data export", error)
    print(f"{out}: {result.records:,} records, {result.pictures:,} pictures as {format.value}")
    if result.left_out:
        print(f"left out: {result.left_out:,} records")
    for words, count in result.lost.items():
        print(f"  {count:>9,}  {words}")
    print(f"To read it again: {result.read_again}")
