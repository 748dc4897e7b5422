"""The rules for pictures: their ids and bytes by columns, and decoding in several processes."""

import hashlib
import multiprocessing
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from otter.build import checking_rules as rules
from otter.build.checking_findings import Findings, short
from otter.build.text_hashes import repeated, text_hashes
from otter.data.arrow import ALIASES, IMAGE_SCHEMA, IMAGES, VIDEOS
from otter.data.table import ArrowTable
from otter.data.videos import VideoReference, find_changes
from otter.media import MediaError, open_image

SAMPLE = 4_096
"""So many pictures are decoded where not all are asked for."""
SERIAL = 512
"""Fewer pictures are decoded sooner by this process than by others that must start first."""
_CHUNK = 128
_MIN_SIDE, _MAX_ASPECT = 8, 20

Verdict = tuple[int, str, str]
"""(row of a picture, which test it failed: "decode", "bytes", "tiny" or "slim", why)."""
_RULE_OF_TEST = {
    "decode": rules.NOT_A_PICTURE,
    "bytes": rules.IMAGE_CHANGED,
    "tiny": rules.TINY,
    "slim": rules.SLIM,
}


def check_picture_columns(images: ArrowTable, aliases: ArrowTable, findings: Findings) -> None:
    """Checks ids, checksums and aliases of all pictures without reading the pictures."""
    if not images.length:
        return
    own = [text_hashes(chunk) for chunk in images.columns["id"]]
    further = [text_hashes(chunk) for chunk in aliases.columns["id"]]
    again = repeated(np.concatenate([*own, *further]))
    findings.note_all(
        rules.IMAGE_ID_TWICE,
        len(again),
        (_id_place(int(row), images, aliases) for row in again),
    )
    digests = [_first_bytes(chunk) for chunk in images.columns["sha256"]]
    twice = repeated(np.concatenate(digests))
    findings.note_all(
        rules.IMAGE_TWICE,
        len(twice),
        ((IMAGES, picture_name(images, int(row)), "sha256", f"row {row}") for row in twice),
    )
    targets = np.concatenate(
        [np.empty(0, np.int32), *(c.to_numpy() for c in aliases.columns["image"])]
    )
    lost = np.flatnonzero((targets < 0) | (targets >= images.length))
    findings.note_all(
        rules.ALIAS,
        len(lost),
        (
            (
                ALIASES,
                f"picture {short(value_at(aliases, 'id', int(row)))}",
                "image",
                f"row {targets[row]}",
            )
            for row in lost
        ),
    )


def check_videos(folder: Path, videos: ArrowTable, findings: Findings) -> None:
    """Looks for the videos, and compares those whose checksum was noted."""
    references = (
        VideoReference(**{name: value_at(videos, name, row) for name in videos.schema.names})
        for row in range(videos.length)
    )
    for problem in find_changes(references, folder):
        value = f"{problem.value} (expected {problem.expected})"
        findings.note(rules.VIDEO, VIDEOS, value, item=problem.record, name=problem.field)


def decode_pictures(
    images: ArrowTable,
    files: Sequence[Path],
    rows: npt.NDArray[np.int64],
    findings: Findings,
    *,
    workers: int = 1,
    on_progress: Callable[[int, int], None] | None = None,
) -> None:
    """Decodes pictures and compares their bytes with their checksums.

    Args:
        images: the table of pictures.
        files: those of the table, for other processes to open.
        rows: int64[pictures], which ones.
        findings: where broken rules are noted.
        workers: processes that decode.
        on_progress: told (pictures decoded, pictures) now and then.
    """
    done = 0
    for count, verdicts in _verdicts(images, tuple(files), rows, workers):
        for row, test, why in sorted(verdicts):
            findings.note(
                _RULE_OF_TEST[test], IMAGES, why, item=picture_name(images, row), name="bytes"
            )
        done += count
        images.release()
        if on_progress is not None:
            on_progress(done, len(rows))


def _verdicts(
    images: ArrowTable, files: tuple[Path, ...], rows: npt.NDArray[np.int64], workers: int
) -> Iterable[tuple[int, list[Verdict]]]:
    """(how many pictures were decoded, what is wrong with them), chunk by chunk."""
    chunks = [rows[first : first + _CHUNK].tolist() for first in range(0, len(rows), _CHUNK)]
    if workers < 2 or len(rows) < SERIAL:
        yield from ((len(chunk), judge(images, chunk)) for chunk in chunks)
        return
    lost = []
    with _pool(workers) as pool:
        waiting = {pool.submit(_judge_elsewhere, files, chunk): chunk for chunk in chunks}
        for future in as_completed(waiting):
            chunk = waiting.pop(future)
            try:
                yield len(chunk), future.result()
            except BrokenProcessPool:
                lost.append(chunk)
    if len(lost) == len(chunks):
        raise RuntimeError(
            "a worker process ended before it began: in a script, call check_store below "
            "`if __name__ == '__main__':`, or with workers=1"
        )
    # One process that dies takes the work of all with it: what is left is done chunk by chunk.
    for chunk in lost:
        yield len(chunk), _judge_apart(files, chunk)


def _pool(workers: int) -> ProcessPoolExecutor:
    # Started afresh: a fork would copy whatever threads of this process hold at the moment.
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))


def _judge_apart(files: tuple[Path, ...], rows: list[int]) -> list[Verdict]:
    """Decodes pictures of which one may end the process; halves them until it is alone."""
    try:
        with _pool(1) as pool:
            return pool.submit(_judge_elsewhere, files, rows).result()
    except BrokenProcessPool:
        if len(rows) == 1:
            return [(rows[0], "decode", "the decoder crashed")]
    middle = len(rows) // 2
    return _judge_apart(files, rows[:middle]) + _judge_apart(files, rows[middle:])


def judge(images: ArrowTable, rows: Sequence[int]) -> list[Verdict]:
    """What is wrong with some pictures."""
    verdicts = []
    for row in rows:
        data = value_at(images, "bytes", row)
        if hashlib.sha256(data).digest() != value_at(images, "sha256", row):
            verdicts.append((row, "bytes", "another SHA-256"))
        try:
            width, height = open_image(data).size
        except MediaError as error:
            verdicts.append((row, "decode", str(error)))
            continue
        size = f"{width} x {height} pixels"
        if min(width, height) < _MIN_SIDE:
            verdicts.append((row, "tiny", size))
        elif max(width, height) > _MAX_ASPECT * min(width, height):
            verdicts.append((row, "slim", size))
    return verdicts


def picture_name(images: ArrowTable, row: int) -> str:
    """What to call a picture."""
    return f"picture {short(value_at(images, 'id', row))}"


def value_at(table: ArrowTable, column: str, row: int) -> Any:
    """A value of a table."""
    batch, index = table.locate(row)
    return table.columns[column][batch][index].as_py()


def _judge_elsewhere(files: tuple[Path, ...], rows: Sequence[int]) -> list[Verdict]:
    return judge(_table(files), rows)


@lru_cache(maxsize=1)
def _table(files: tuple[Path, ...]) -> ArrowTable:
    """The pictures, opened once in each process that decodes."""
    return ArrowTable(*files, schema=IMAGE_SCHEMA)


def _id_place(row: int, images: ArrowTable, aliases: ArrowTable) -> tuple[str, str, str, str]:
    table, name, row = (
        (images, IMAGES, row) if row < images.length else (aliases, ALIASES, row - images.length)
    )
    value = short(value_at(table, "id", row))
    return name, f"picture {value}", "id", value


def _first_bytes(digests: pa.Array) -> npt.NDArray[np.uint64]:
    """The first 8 of 32 bytes of each checksum: enough to tell a billion pictures apart."""
    buffer = np.frombuffer(digests.buffers()[1], np.uint64)
    return buffer[digests.offset * 4 : (digests.offset + len(digests)) * 4 : 4]
