"""``otter data context``: choosing the worked examples of a store."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from otter.cli.failure import fail

if TYPE_CHECKING:
    from otter.build.selection import SelectionReport


class PolicyName(StrEnum):
    """The policies of otter.data, which is not loaded before one is used."""

    SAME_MEDIA = "same-media"
    SAME_INSTRUCTION = "same-instruction"
    SIMILAR_INSTRUCTION = "similar-instruction"
    SIMILAR_MEDIA = "similar-media"
    IMAGE_THEN_TEXT = "image-then-text"
    NEIGHBOURS_IN_TIME = "neighbours-in-time"
    LABEL_BALANCED = "label-balanced"
    RANDOM = "random"
    RELATED = "related"


def _option(flag: str, metavar: str | None, text: str) -> Any:
    return typer.Option(flag, metavar=metavar, help=text, show_default=False)


Folder = Annotated[
    Path, typer.Argument(metavar="STORE", help="The folder of a store.", show_default=False)
]
Policy = Annotated[PolicyName, _option("--policy", None, "By what examples are chosen.")]
Shots = Annotated[int, typer.Option("--shots", min=1, metavar="K", help="Examples per question.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Of what is drawn.")]
Split = Annotated[str | None, _option("--split", "NAME", "Only questions of this split.")]
Tasks = Annotated[str | None, _option("--tasks", "A,B,...", "Only questions of these tasks.")]
ExamplesFrom = Annotated[
    str, typer.Option("--examples-from", metavar="SPLIT", help="Whose records are the examples.")
]
AcrossTasks = Annotated[
    bool, typer.Option("--across-tasks", help="Let records of any task be examples.")
]
KeepExisting = Annotated[
    bool, typer.Option("--keep-existing", help="Only questions that have no example yet.")
]
MaxSimilarity = Annotated[
    float | None,
    _option("--max-similarity", "X", "Pictures nearer than this cosine are copies: no examples."),
]
Model = Annotated[
    str | None, _option("--model", "NAME|DIR", "Whose vision tower compares pictures; otter-nano.")
]
TextEncoder = Annotated[
    str | None,
    _option("--text-encoder", "ID|DIR", "A model of sentence-transformers; by default TF-IDF."),
]
AllowDownload = Annotated[
    bool, typer.Option("--allow-download", help="Fetch models that are not in the cache.")
]


def context(
    store: Folder,
    policy: Policy,
    shots: Shots = 4,
    seed: Seed = 0,
    split: Split = None,
    tasks: Tasks = None,
    examples_from: ExamplesFrom = "train",
    across_tasks: AcrossTasks = False,
    keep_existing: KeepExisting = False,
    max_similarity: MaxSimilarity = None,
    model: Model = None,
    text_encoder: TextEncoder = None,
    allow_download: AllowDownload = False,
) -> None:
    """Choose the worked examples of every question, and write them into the store.

    A question is never among its own examples, nor is a copy of it; held-out records never lend
    themselves to training. Says how near the examples are to their questions, compared to random
    ones.

    Example: otter data context store --policy similar-media --shots 4
    """
    from otter.build.selection import select
    from otter.cli.data_progress import stages
    from otter.data import DataError, Store

    try:
        opened = Store(store)
        with stages("choosing") as show:
            report = select(
                opened,
                policy.value,
                shots,
                seed,
                split=split,
                tasks=None if tasks is None else [task.strip() for task in tasks.split(",")],
                examples_from=examples_from,
                within_task=not across_tasks,
                keep_existing=keep_existing,
                max_similarity=max_similarity,
                model=model,
                text_encoder=text_encoder,
                allow_download=allow_download,
                on_progress=show,
            )
    except (DataError, ImportError, OSError, ValueError) as error:
        fail("data context", error)
    for line in _summary(report):
        print(line)


def _summary(report: "SelectionReport") -> list[str]:
    lines = [f"{report.policy}: {report.questions:,} questions, {report.shots} examples wanted"]
    for count, questions in enumerate(report.with_count):
        if questions:
            examples = "example" if count == 1 else "examples"
            lines.append(f"  {questions:>9,} got {count} {examples}")
    for kind, measured in report.relevance.items():
        lines.append(
            f"  {kind}: {measured.chosen:.3f} with these examples, {measured.random:.3f} with "
            "random ones"
        )
    if report.unreadable:
        lines.append(
            f"  {report.unreadable:,} pictures cannot be decoded: `otter data check` names them"
        )
    return lines
