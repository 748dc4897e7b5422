"""A bar for commands that go through stages: what is done now, and how far it is."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def stages(title: str) -> Iterator[Callable[[str, int, int], None]]:
    """Gives a function to call with (stage, done, of how much); silent where nobody watches.

    Args:
        title: what the command does, such as "checking".
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    quiet = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=quiet) as progress:
        task = progress.add_task(title)

        def show(stage: str, done: int, total: int) -> None:
            progress.update(task, description=f"{title} {stage}", completed=done, total=total)

        yield show
