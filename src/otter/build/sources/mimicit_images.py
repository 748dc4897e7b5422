"""The pictures of MIMIC-IT files, one at a time: ``{id: base64}`` JSON, parquet, or a folder."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from otter.build.sources import BrokenPicture, PictureBytes, PictureFile, PictureItem
from otter.build.sources.base64_text import picture_of
from otter.build.sources.json_stream import members
from otter.data.records import Problem

BATCH_ROWS = 64
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp")


def pictures_in(path: Path) -> Iterator[PictureItem | Problem]:
    """The pictures of an images file.

    Args:
        path: JSON; parquet; or a folder of either, or of picture files named ``{id}.png``.
    """
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        parts = [file for file in files if file.suffix in (".json", ".parquet")]
        for file in parts:
            yield from pictures_in(file)
        for file in () if parts else files:
            if file.suffix.lower() in _SUFFIXES:
                yield PictureFile(file.stem, file)
    elif path.suffix == ".parquet":
        yield from _of_parquet(path)
    else:
        yield from _of_json(path)


def count_in(path: Path) -> int | None:
    """How many pictures a file says that it has; JSON does not say it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    if not files or any(file.suffix != ".parquet" for file in files):
        return None
    try:
        return sum(pq.read_metadata(file).num_rows for file in files)
    except (pa.ArrowException, OSError):
        return None


def _of_json(path: Path) -> Iterator[PictureBytes | BrokenPicture | Problem]:
    for found in members(path, "base64"):
        if isinstance(found, Problem):
            yield found
        else:
            place, image_id, value = found
            yield picture_of(image_id, value, place)


def _of_parquet(path: Path) -> Iterator[PictureBytes | BrokenPicture | Problem]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    step = "Get the file again, or name another with --images."
    try:
        with pq.ParquetFile(path) as file:
            columns = _columns(file.schema_arrow)
            if columns is None:
                names = ", ".join(file.schema_arrow.names)
                expected = "a column base64, and one of ids"
                yield Problem(str(path), "columns", names, expected, step)
                return
            for group in range(file.num_row_groups):
                batches = file.iter_batches(BATCH_ROWS, row_groups=[group], columns=list(columns))
                for batch in batches:
                    ids, texts = (batch.column(name) for name in columns)
                    for image_id, text in zip(ids, texts, strict=True):
                        yield picture_of(str(image_id.as_py()), text.as_py(), str(path))
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        yield Problem(str(path), "", reason, "a parquet file", step)


def _columns(schema: Any) -> tuple[str, str] | None:
    """The names of the columns of ids and of pictures; pandas names its index as it likes."""
    import pyarrow as pa

    names = list(schema.names)
    pictures = next((name for name in ("base64", "bytes", "image") if name in names), None)
    if pictures is None:
        return None
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_dictionary)
    others = [
        name
        for name in names
        if name != pictures and any(t(schema.field(name).type) for t in texts)
    ]
    preferred = [name for name in ("__index_level_0__", "id", "IMG_ID", "index") if name in others]
    chosen = (preferred or others)[:1]
    return (chosen[0], pictures) if chosen else None
