"""``otter nano``: the shipped models, made again from nothing, and examined."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from otter.cli.failure import fail

app = typer.Typer(
    help="Make the shipped models again.", no_args_is_help=True, rich_markup_mode=None
)

Out = Annotated[
    Path, typer.Option(help="Folder of the run; one that was interrupted is gone on with.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a key of the recipe; may be repeated.",
        show_default=False,
    ),
]


@app.command()
def base(out: Out = Path("runs/nano-base"), overrides: Overrides = None) -> None:
    """Draw the world, train the tower, then the foundation: nano-base."""
    from otter.cli.making import make_base

    _run("base", lambda: make_base(out, overrides or ()))


@app.command()
def tune(out: Out = Path("runs/nano"), overrides: Overrides = None) -> None:
    """Tune nano-base with worked examples: otter-nano."""
    from otter.cli.making import make_tuned

    _run("tune", lambda: make_tuned(out, overrides or ()))


@app.command()
def exam(
    model: Annotated[list[str], typer.Argument(help="Names or folders of checkpoints.")],
    out: Annotated[Path, typer.Option(help="Where results go.")] = Path("runs/exam"),
    questions: Annotated[int, typer.Option(min=1, help="Of each task.")] = 300,
) -> None:
    """Examine models on everything that no training stage sees."""
    from otter.cli.making import examine

    _run("exam", lambda: examine(model, out, questions))


def _run(command: str, work: Callable[[], object]) -> None:
    from otter.data import DataError
    from otter.recipe import RecipeError
    from otter.train import TrainingInterruptedError

    try:
        work()
    except (RecipeError, DataError, FloatingPointError, ImportError, OSError) as error:
        fail(f"nano {command}", error)
    except (KeyboardInterrupt, TrainingInterruptedError):
        typer.echo("\nStopped. The same command goes on from here.", err=True)
        raise typer.Exit(130) from None
