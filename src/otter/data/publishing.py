"""How a folder appears whole or not at all, and how two writers are kept apart."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from otter.data.manifest import MANIFEST


def refuse_existing(folder: Path, overwrite: bool) -> None:
    """Makes sure that a store may be written to a path.

    Raises:
        FileExistsError: something is there that may not be replaced.
    """
    if not folder.exists():
        return
    if not overwrite:
        raise FileExistsError(
            f"{folder}: exists already: choose another folder, or replace it (overwrite=True, "
            "--overwrite)"
        )
    if not (folder / MANIFEST).is_file():
        raise FileExistsError(
            f"{folder}: has no {MANIFEST}, so it is not a store and is not overwritten: "
            "choose another folder"
        )


def hidden_name(folder: Path) -> Path:
    """A new name beside ``folder``, on the same disk, that a listing does not show."""
    return folder.with_name(f".{folder.name}.writing-{secrets.token_hex(4)}")


def publish(partial: Path, folder: Path, overwrite: bool) -> None:
    """Gives a finished folder its name."""
    refuse_existing(folder, overwrite)
    if not folder.exists():
        partial.rename(folder)
        return
    old = hidden_name(folder).with_suffix(".replaced")
    folder.rename(old)
    try:
        partial.rename(folder)
    except OSError:
        old.rename(folder)
        raise
    shutil.rmtree(old)


@contextmanager
def published(folder: Path, overwrite: bool = False) -> Iterator[Path]:
    """A hidden folder to write to, which becomes ``folder`` unless there is an error.

    Raises:
        FileExistsError: something is there that may not be replaced.
    """
    refuse_existing(folder, overwrite)
    partial = hidden_name(folder)
    partial.mkdir(parents=True)
    try:
        yield partial
        publish(partial, folder, overwrite)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps every other writer away from a folder; ends with the process, however that ends.

    Raises:
        BlockingIOError: somebody else writes there.
    """
    try:
        import fcntl
    except ImportError:  # no such locks on Windows
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BlockingIOError(
                f"{folder}: another process is writing there: wait until it has ended"
            ) from error
        except OSError:  # a network disk without locks: writing is worth more than the guard
            pass
        yield
    finally:
        os.close(descriptor)
