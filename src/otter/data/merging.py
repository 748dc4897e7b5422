"""Several stores as one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from otter.data.copying import Copy
from otter.data.publishing import published, refuse_existing
from otter.data.records import Problem, Problems
from otter.data.resolving import repeated
from otter.data.store import Store


def merge(
    stores: Sequence[Store | Path | str],
    out: Path | str,
    *,
    on_collision: Literal["error", "prefix"] = "error",
    overwrite: bool = False,
) -> Store:
    """Writes the records of several stores, one store after the other, to a new one.

    A picture that several stores hold is stored once. Splits, tasks and examples stay as they are.

    Args:
        stores: two or more stores or their folders.
        out: where the new store shall stand.
        on_collision: what to do about ids: "error" refuses records that share an id, and pictures
            or videos that share an id and differ; "prefix" puts the name of its store before every
            id, as in ``LA/CAT_1``.
        overwrite: replace a store that stands there already.

    Raises:
        DataError: a folder is not a store; or naming every id that collides.
        FileExistsError: ``out`` exists and may not be replaced.
        ValueError: no stores, or with "prefix" two of the same name.
    """
    folder = Path(out).absolute()
    refuse_existing(folder, overwrite)
    opened = [store if isinstance(store, Store) else Store(store) for store in stores]
    names = [store.folder.name for store in opened]
    _check(names, on_collision)
    prefix = on_collision == "prefix"
    step = "Merge with prefix, which puts the name of its store before every id."
    copy = Copy(folder, step)
    if not prefix:
        _report_repeated(opened, copy.problems, folder.name, step)
    for store in opened:
        copy.take(store, prefix=f"{store.folder.name}/" if prefix else "")
    copy.problems.raise_if_any()
    with published(folder, overwrite) as partial:
        copy.write(partial, merged=[_summary(store) for store in opened])
    return Store(folder)


def _check(names: list[str], on_collision: str) -> None:
    if on_collision not in ("error", "prefix"):
        raise ValueError(f"on_collision = {on_collision!r}: expected 'error' or 'prefix'")
    if not names:
        raise ValueError("stores is empty: expected at least one store")
    twice = sorted({name for name in names if names.count(name) > 1})
    if on_collision == "prefix" and twice:
        raise ValueError(
            f"stores named {', '.join(map(repr, twice))} come several times: expected names that "
            "differ, since they go before the ids; rename a folder"
        )


def _summary(store: Store) -> dict[str, Any]:
    summary: dict[str, Any] = {
        "store": store.folder.name,
        "records": len(store),
        "images": store.image_count,
    }
    for key in ("selection", "merged"):
        if key in store.manifest:
            summary[key] = store.manifest[key]
    return summary


def _report_repeated(stores: list[Store], problems: Problems, where: str, step: str) -> None:
    chunks = [chunk for store in stores for chunk in store.column("id").chunks]
    names = [name for name, _ in repeated(pa.chunked_array(chunks, pa.string()))]
    holders: dict[str, list[str]] = {name: [] for name in names}
    for store in stores:
        ids = store.column("id")
        for name in ids.filter(pc.is_in(ids, value_set=pa.array(names, pa.string()))):
            holders[name.as_py()].append(store.folder.name)
    for name, found in holders.items():
        value = f"in {' and in '.join(found)}"
        problems.add(Problem(where, "id", value, "each id once", step, f"record {name!r}"))
