"""The files of an unfinished store, and how a build goes on after it was interrupted.

    .NAME.partial/
      images.arrow aliases.arrow videos.arrow unresolved.arrow
      checkpoint.json      how many bytes of each were on the disk when all of them were in order

What stands behind a checkpoint may be torn, so it is cut off when the build goes on.
"""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from otter.data.arrow import (
    ALIAS_SCHEMA,
    ALIASES,
    IMAGE_SCHEMA,
    IMAGES,
    UNRESOLVED_SCHEMA,
    VIDEO_SCHEMA,
    VIDEOS,
    ArrowStream,
    whole_batches,
)
from otter.data.manifest import FORMAT, VERSION, replace_file
from otter.data.records import DataError, Problem

UNRESOLVED = "unresolved.arrow"
CHECKPOINT = "checkpoint.json"

SCHEMAS = {
    IMAGES: IMAGE_SCHEMA,
    ALIASES: ALIAS_SCHEMA,
    VIDEOS: VIDEO_SCHEMA,
    UNRESOLVED: UNRESOLVED_SCHEMA,
}


class BuildFiles:
    """The open files of a build.

    Args:
        folder: where they are; what an earlier build left there is kept as far as its last
            checkpoint.

    Raises:
        DataError: the checkpoint is of another version of Otter.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        sizes = _checkpoint_sizes(folder)
        self.kept: dict[str, list[pa.RecordBatch]] = {}
        streams = {}
        for name, schema in SCHEMAS.items():
            size = sizes.get(name, 0)
            end, batches = whole_batches(folder / name, schema, size)
            if end < size and name == IMAGES:
                sizes[ALIASES] = 0  # they may name rows that were lost: all are added anew
            self.kept[name] = batches
            rows = sum(batch.num_rows for batch in batches)
            streams[name] = ArrowStream(folder / name, schema, keep=end, rows=rows)
        self.images, self.aliases = streams[IMAGES], streams[ALIASES]
        self.videos, self.records = streams[VIDEOS], streams[UNRESOLVED]

    def checkpoint(self) -> None:
        """Brings everything to the disk, and notes that it is there."""
        sizes = {stream.path.name: stream.sync() for stream in self._streams()}
        state = {"format": FORMAT, "version": VERSION, "bytes": sizes}
        replace_file(self.folder / CHECKPOINT, json.dumps(state).encode())

    def close(self) -> None:
        """Ends all files."""
        for stream in self._streams():
            stream.close()

    def _streams(self) -> tuple[ArrowStream, ...]:
        # Pictures before the aliases and records that speak of them.
        return self.images, self.aliases, self.videos, self.records


def _checkpoint_sizes(folder: Path) -> dict[str, int]:
    path = folder / CHECKPOINT
    if not path.is_file():
        return {}
    state: Any = json.loads(path.read_text(encoding="utf-8"))
    if (state.get("format"), state.get("version")) != (FORMAT, VERSION):
        next_step = f"Remove {folder} to begin anew, or go on with the version that wrote it."
        value = repr(state.get("version"))
        raise DataError([Problem(str(path), "version", value, str(VERSION), next_step)])
    return dict(state["bytes"])
