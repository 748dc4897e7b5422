"""``otter data show``: leaf through the episodes of a store."""

from pathlib import Path
from typing import Annotated

import typer

from otter.cli.failure import fail

Folder = Annotated[
    Path, typer.Argument(metavar="STORE", help="The folder of a store.", show_default=False)
]
Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="[ROW|ID]...", help="Records to show; else some are chosen."),
]
Count = Annotated[int, typer.Option("--n", metavar="N", min=1, help="How many are chosen.")]
Task = Annotated[str | None, typer.Option("--task", metavar="T", help="Choose of this task.")]
Split = Annotated[str | None, typer.Option("--split", metavar="S", help="Choose of this split.")]
Seed = Annotated[int, typer.Option("--seed", help="Another one chooses others.")]
Out = Annotated[
    Path | None, typer.Option("--out", metavar="PAGE", help="By default STORE-show.html, here.")
]


def show(
    store: Folder,
    names: Names = None,
    n: Count = 50,
    task: Task = None,
    split: Split = None,
    seed: Seed = 0,
    out: Out = None,
) -> None:
    """Write a page with episodes, their pictures and worked examples, to leaf through.

    One HTML file that needs nothing else: mail it, or open it on a phone.

    Example: otter data show store --n 20 --out page.html
    """
    from otter.build.show import choose, find_rows, write_show
    from otter.data import DataError, Store

    try:
        opened = Store(store)
        chosen = find_rows(opened, names) if names else choose(opened, n, task, split, seed)
        path = out or Path(f"{opened.folder.name}-show.html")
        write_show(opened, path, chosen)
    except (DataError, OSError, ValueError) as error:
        fail("data show", error)
    size = path.stat().st_size
    told = f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"
    print(f"{path}: {len(chosen.rows):,} of {len(opened):,} records, {told}")
