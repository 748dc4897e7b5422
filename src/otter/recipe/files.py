"""Where recipes lie, and how a file of them is read."""

import tomllib
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from otter.recipe.reading import RecipeError, nearest, read
from otter.recipe.training import Recipe

T = TypeVar("T")


@typing.overload
def load(path: str | Path, *, overrides: Sequence[str] = ()) -> Recipe: ...
@typing.overload
def load(path: str | Path, kind: type[T], *, overrides: Sequence[str] = ()) -> T: ...
def load(path: str | Path, kind: type[Any] = Recipe, *, overrides: Sequence[str] = ()) -> Any:
    """Read a recipe file.

    Args:
        path: the file.
        kind: the dataclass that it describes.
        overrides: ``key.sub=value`` as on a command line; the value is TOML, or a bare word.

    Raises:
        RecipeError: the file is missing, is no TOML, or does not fit; with every problem.
    """
    path = Path(path)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(str(path), [f"cannot be read: {error.strerror}"]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(str(path), [f"is not TOML: {error}"]) from error
    return read(kind, table, origin=str(path), overrides=overrides)


def find(name: str | Path) -> Path:
    """The file of a recipe: a path, or the name of one that is shipped.

    ``find("nano-tune")`` is ``recipes/nano-tune.toml`` of the package or the checkout.

    Raises:
        RecipeError: there is no such file.
    """
    path = Path(name)
    if path.is_file():
        return path
    folder = shipped_folder()
    files = (file.relative_to(folder) for file in folder.rglob("*.toml"))
    names = sorted(file.with_suffix("").as_posix() for file in files)
    if str(name).removesuffix(".toml") in names:
        return folder / f"{str(name).removesuffix('.toml')}.toml"
    shipped = f"; shipped recipes: {', '.join(names)}" if names else "; no recipe is shipped"
    raise RecipeError(str(name), [f"no such file{nearest(str(name), names)}{shipped}"])


def shipped_folder() -> Path:
    """Where the shipped recipes lie: in the package once installed, else in the checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "recipes"
    return inside if inside.is_dir() else package.parents[1] / "recipes"
