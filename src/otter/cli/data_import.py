"""``otter data import`` and ``otter data formats``: a dataset that people have becomes a store."""

import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from otter.cli.failure import fail

if TYPE_CHECKING:
    from otter.build.importing import ImportResult

COMMAND = "data import"


class Clean(StrEnum):
    """Ways to clean texts."""

    AS_2023 = "2023"
    AS_2023_SYMBOLS = "2023-symbols"


def _option(flag: str, metavar: str | None, text: str) -> Any:
    return typer.Option(flag, metavar=metavar, help=text, show_default=False)


FormatName = Annotated[
    str, typer.Argument(metavar="FORMAT", help="See `otter data formats`.", show_default=False)
]
Paths = Annotated[
    list[Path],
    typer.Argument(metavar="SRC...", help="The dataset's files or folders.", show_default=False),
]
Out = Annotated[Path, _option("--out", "STORE", "The folder of the new store.")]
Images = Annotated[
    list[Path] | None, _option("--images", "PATH", "Pictures: a folder, or a file of them.")
]
Train = Annotated[Path | None, _option("--train", "FILE", "The examples of each record (mimicit).")]
MediaRoot = Annotated[
    Path | None, _option("--media-root", "DIR", "The folder that paths of media start from.")
]
Split = Annotated[str | None, _option("--split", "NAME", "The split of all records.")]
Map = Annotated[
    str | None, _option("--map", "a=b,...", "Columns: question=prompt,answer=label,image=file.")
]
Options = Annotated[
    list[str] | None, _option("--option", "KEY=VALUE", "Whatever else the format can set.")
]
Resize = Annotated[
    int | None, _option("--resize", "N", "Pixels of the shorter side of larger pictures.")
]
Workers = Annotated[
    int | None, _option("--workers", "N", "Decoding processes; one for each processor.")
]
MaxBroken = Annotated[
    float, typer.Option("--max-broken", help="The share of pictures that may be broken.")
]
CleanTexts = Annotated[
    Clean | None, _option("--clean", None, "Clean texts as the training code of 2023 did.")
]
KeepGoing = Annotated[
    bool, typer.Option("--keep-going", help="Leave out what is wrong, and list it.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a store.")]
KeepJournal = Annotated[
    bool,
    typer.Option("--keep-journal", help="After a failure keep the pictures that are done."),
]
NoResume = Annotated[
    bool, typer.Option("--no-resume", help="Do not go on with an interrupted import.")
]


def data_import(
    format_name: FormatName,
    paths: Paths,
    out: Out,
    images: Images = None,
    train: Train = None,
    media_root: MediaRoot = None,
    split: Split = None,
    columns: Map = None,
    options: Options = None,
    resize: Resize = None,
    workers: Workers = None,
    max_broken: MaxBroken = 0.01,
    clean: CleanTexts = None,
    keep_going: KeepGoing = False,
    overwrite: Overwrite = False,
    no_resume: NoResume = False,
    keep_journal: KeepJournal = False,
) -> None:
    """Import a dataset into a new store.

    Pictures are decoded to see that they are sound. What an interrupted import has done is not
    done again. If anything is wrong, all of it is said, and nothing is left behind.

    Example: otter data import llava chats.json --images photos --out store --resize 336
    """
    from otter.build.text_of_2023 import CLEANINGS

    given = {"images": images, "train": train, "media_root": media_root, "split": split}
    chosen: dict[str, Any] = {key: value for key, value in given.items() if value}
    if columns:
        chosen["map"] = columns
    for entry in options or ():
        key, sign, value = entry.partition("=")
        if not sign:
            fail(COMMAND, f"--option {entry}: expected KEY=VALUE, such as --option fps=1")
        chosen[key.strip()] = value
    settings: dict[str, Any] = {
        "resize": resize,
        "workers": workers,
        "max_broken": max_broken,
        "overwrite": overwrite,
        "resume": not no_resume,
        "keep_going": keep_going,
        "clean": CLEANINGS[clean.value] if clean else None,
    }
    _show(_import(format_name, paths, out, chosen, settings, keep_journal))


def _import(
    format_name: str,
    paths: list[Path],
    out: Path,
    options: dict[str, Any],
    settings: dict[str, Any],
    keep_journal: bool,
) -> "ImportResult":
    import shutil

    from otter.build.importing import import_source, journal_of
    from otter.build.sources import open_source
    from otter.data.records import DataError

    try:
        source = open_source(format_name, paths, options)
        return _with_progress(lambda show: import_source(source, out, on_progress=show, **settings))
    except DataError as error:
        lines = [f"{error.count:,} problems; nothing was written to {out}:"]
        lines += [f"  {problem}" for problem in error.problems]
        if error.count > len(error.problems):
            lines.append(f"  ... and {error.count - len(error.problems):,} more")
        if error.count == 1:
            lines = [str(error)]
        if not keep_journal:
            shutil.rmtree(journal_of(out), ignore_errors=True)
        lines += _resumable(journal_of(out))
        fail(COMMAND, "\n".join(lines))
    except KeyboardInterrupt:
        fail(COMMAND, "\n".join(["interrupted; nothing was written", *_resumable(journal_of(out))]))
    except (OSError, ValueError, ImportError, RuntimeError) as error:
        fail(COMMAND, error)


def _resumable(journal: Path) -> list[str]:
    if not journal.exists():
        return []
    return [f"The pictures that are done are kept in {journal}; the same command goes on there."]


def _with_progress(run: "Callable[[Callable[..., None]], ImportResult]") -> "ImportResult":
    """Runs with a bar on the terminal; the time left is guessed only where the total is known."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        tasks: dict[str, Any] = {}
        shown_at = 0.0

        def show(stage: str, done: int, total: int | None) -> None:
            nonlocal shown_at
            now = time.monotonic()
            if stage in tasks and now - shown_at < 0.1 and done != total:
                return
            shown_at = now
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=total)
            progress.update(tasks[stage], completed=done, total=total)

        return run(show)


def _show(result: "ImportResult") -> None:
    print(f"{result.folder}")
    print(f"  {result.records:>12,} records")
    clips = f", of them the frames of {result.clips:,} clips" if result.clips else ""
    print(f"  {result.pictures:>12,} pictures{clips}")
    for count, text in (
        (result.resumed, "pictures and clips were done by an earlier, interrupted import"),
        (result.broken, "pictures and clips are broken: broken.jsonl lists them"),
        (result.left_out, "records needed one of them and were left out"),
        (result.examples_dropped, "examples were among the records that were left out"),
        (result.problems, "problems were passed over: problems.jsonl lists them"),
    ):
        if count:
            print(f"  {count:>12,} {text}")


def data_formats(
    name: Annotated[
        str | None,
        typer.Argument(metavar="FORMAT", help="One of them, with its layout.", show_default=False),
    ] = None,
) -> None:
    """List the formats that can be imported, or say what one of them expects on disk."""
    from otter.build.sources import FORMATS, find_format
    from otter.data.records import DataError

    if name is None:
        width = max(map(len, FORMATS))
        for known, spec in FORMATS.items():
            code = f" ({spec.code})" if spec.code else ""
            print(f"{known:<{width}}  {spec.description}{code}")
        print("\n`otter data formats FORMAT` says what is expected on disk, and the options.")
        return
    try:
        known, spec = find_format(name)
        print(f"{known}: {spec.layout()}\n\nOptions (--option KEY=VALUE):\n")
        options = spec.load().Options
        print(_described(options))
    except (DataError, ImportError) as error:
        fail("data formats", error)


def _described(options: type) -> str:
    import inspect

    text = inspect.cleandoc(options.__doc__ or "")
    return text.partition("Args:\n")[2] or text
