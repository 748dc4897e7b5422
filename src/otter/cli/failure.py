"""How a command ends when the user can mend it: one line on stderr, exit code 2, no traceback."""

from typing import NoReturn

import typer


def fail(command: str, message: object) -> NoReturn:
    """End the command.

    Args:
        command: what was called, such as ``ask``.
        message: the value, the expectation and the next step; often the error that was caught.
    """
    typer.echo(f"otter {command}: {message}", err=True)
    raise typer.Exit(2)
