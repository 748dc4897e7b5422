"""``otter data report``: what is in a store, in figures."""

from pathlib import Path
from typing import Annotated, Any

import typer

from otter.cli.failure import fail

Folder = Annotated[
    Path, typer.Argument(metavar="STORE", help="The folder of a store.", show_default=False)
]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="For report.html and report.json; STORE-report."),
]
Pictures = Annotated[
    int, typer.Option("--pictures", min=0, metavar="N", help="So many are compared by their look.")
]
Seed = Annotated[int, typer.Option("--seed", help="Of the samples.")]


def report(store: Folder, out: Out = None, pictures: Pictures = 3_000, seed: Seed = 0) -> None:
    """Write a page about a store: composition, lengths, copies, examples, answers, languages.

    The same figures stand in report.json. Of huge stores samples are taken, as the page says.

    Example: otter data report store --out about-store
    """
    from otter.build.report import SampleSizes
    from otter.build.report_page import write_report
    from otter.cli.data_progress import stages
    from otter.data import DataError, Store

    try:
        opened = Store(store)
        folder = out or Path(f"{opened.folder.name}-report")
        sizes = SampleSizes(pictures=pictures, seed=seed)
        with stages("measuring") as show:
            figures = write_report(opened, folder, sizes, show)
    except (DataError, OSError, ValueError) as error:
        fail("data report", error)
    for line in _summary(figures):
        print(line)
    print(f"{folder / 'report.html'}")


def _summary(figures: dict[str, Any]) -> list[str]:
    made, copies = figures["composition"], figures["copies"]
    records = made["records"]
    lines = [
        f"{records:,} records about {made['pictures']:,} pictures, "
        f"{made['examples']['records_with']:,} with worked examples",
        f"{made['distinct']['instruction']:,} different instructions, "
        f"{made['distinct']['answer']:,} different answers",
        f"{copies['exact']['record']['repeated']:,} records repeat another; near copies: "
        f"{100 * copies['near']['instruction']['share']:.1f} % of instructions, "
        f"{100 * copies['near_pictures']['share']:.1f} % of pictures, in samples",
    ]
    for measured in figures["relevance"]["measures"] if figures["relevance"] else ():
        groups = {group["name"]: group for group in measured["groups"]}
        nearer = groups["same task"]["chosen_is_nearer"]
        if nearer is not None:
            lines.append(
                f"examples are nearer in {measured['name']} than others of their task: "
                f"{100 * nearer:.0f} % (chance: 50 %)"
            )
    return lines
