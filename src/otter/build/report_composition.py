"""What a store is made of: tasks, sources, splits, languages, kinds of media, lengths of texts.

All of it is counted over every record, but for words, which are counted in a sample.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from otter.build.text_hashes import text_hashes
from otter.data import Store

Rows = npt.NDArray[np.int64]

NAMES_LISTED = 15
"""Of tasks, sources and the like so many are listed; the rest is added up."""
MEDIA_KINDS = (
    "no media",
    "one picture",
    "several pictures",
    "one clip",
    "several media with clips",
    "a video file",
)
_PERCENTILES = (5, 25, 50, 75, 95, 99)


def composition(store: Store) -> dict[str, Any]:
    """Counts of records by task, source, split and language, of media and of examples."""
    examples = np.concatenate(
        [np.empty(0, np.int64), *(_lengths(chunk) for chunk in store.column("related").chunks)]
    )
    most = int(examples.max(initial=0))
    with_examples = int((examples > 0).sum())
    return {
        "records": len(store),
        "pictures": store.image_count,
        "videos": store.video_count,
        **{
            f"by_{field}": tally(store.column(field))
            for field in ("task", "source", "split", "language")
        },
        "by_media": _media_kinds(store),
        "examples": {
            "records_with": with_examples,
            "mean_where_any": float(examples[examples > 0].mean()) if with_examples else 0.0,
            "most": most,
            "by_number": [
                {"examples": number, "records": int(count)}
                for number, count in enumerate(np.bincount(np.minimum(examples, 32)))
                if count
            ],
        },
        "distinct": {
            field: len(np.unique(text_hashes(store.column(field))))
            for field in ("instruction", "answer")
        },
    }


def tally(column: pa.ChunkedArray, listed: int = NAMES_LISTED) -> list[dict[str, Any]]:
    """How many records have each value, the most frequent first."""
    counted = sorted(
        ((entry["counts"], entry["values"]) for entry in pc.value_counts(column).to_pylist()),
        key=lambda entry: (-entry[0], entry[1]),
    )
    total = len(column) or 1
    rows = [
        {"name": name, "records": count, "share": count / total} for count, name in counted[:listed]
    ]
    rest = sum(count for count, _ in counted[listed:])
    if rest:
        name = f"{len(counted) - listed:,} others"
        rows.append({"name": name, "records": rest, "share": rest / total, "is_rest": True})
    return rows


def text_lengths(store: Store, sample: Rows) -> dict[str, Any]:
    """Lengths of instructions and answers.

    Args:
        store: whose texts.
        sample: int64[rows], in which words are counted.
    """
    tasks = store.column("task").take(pa.array(sample))
    lengths: dict[str, Any] = {"words_counted_in": len(sample)}
    for field in ("instruction", "answer"):
        column = store.column(field)
        characters = np.concatenate(
            [np.empty(0, np.int64), *(pc.utf8_length(chunk).to_numpy() for chunk in column.chunks)]
        )
        words = pc.count_substring_regex(column.take(pa.array(sample)), r"\S+").to_numpy()
        lengths[field] = {
            "characters": _spread(characters),
            "words": _spread(words),
            "histogram": histogram(words),
            "words_by_task": _by_task(tasks, words),
        }
    return lengths


def histogram(values: npt.NDArray[Any], bins: int = 40) -> dict[str, Any]:
    """Shares by bins of whole numbers; the last bin holds all beyond the 99th percentile."""
    if not len(values):
        return {"edges": [0, 1], "shares": [0.0], "open_end": False}
    end = max(int(np.percentile(values, 99)) + 1, 2)
    width = max(1, -(-end // bins))
    edges = np.arange(0, end + width, width)
    counts, _ = np.histogram(np.minimum(values, edges[-1] - 0.5), edges)
    return {
        "edges": edges.tolist(),
        "shares": (counts / len(values)).tolist(),
        "open_end": bool(values.max() >= edges[-1]),
    }


def _spread(values: npt.NDArray[Any]) -> dict[str, float]:
    if not len(values):
        return {}
    points = np.percentile(values, _PERCENTILES, method="lower").tolist()
    spread = {f"p{name}": float(value) for name, value in zip(_PERCENTILES, points, strict=True)}
    return {"mean": float(values.mean()), **spread, "most": float(values.max())}


def _by_task(tasks: pa.ChunkedArray, words: npt.NDArray[Any]) -> list[dict[str, Any]]:
    listed = []
    for entry in tally(tasks):
        if not entry.get("is_rest"):
            own = words[np.asarray(pc.equal(tasks, entry["name"]))]
            listed.append({"task": entry["name"], **_spread(own)})
    return listed


def _media_kinds(store: Store) -> list[dict[str, Any]]:
    counts = np.zeros(len(MEDIA_KINDS), dtype=np.int64)
    for media in store.column("media").chunks:
        number = _lengths(media)
        frames = media.flatten()
        owners = np.repeat(np.arange(len(media)), number)
        clips = np.bincount(owners, weights=_lengths(frames) > 1, minlength=len(media))
        owner_of_frame = np.repeat(owners, _lengths(frames))
        is_video = frames.flatten().to_numpy() < 0
        videos = np.bincount(owner_of_frame, weights=is_video, minlength=len(media))
        kinds = np.select(
            [number == 0, videos > 0, (number == 1) & (clips == 0), clips == 0, number == 1],
            [0, 5, 1, 2, 3],
            4,
        )
        counts += np.bincount(kinds, minlength=len(MEDIA_KINDS))
    total = len(store) or 1
    return [
        {"name": name, "records": int(count), "share": int(count) / total}
        for name, count in zip(MEDIA_KINDS, counts, strict=True)
        if count
    ]


def _lengths(lists: pa.Array) -> npt.NDArray[np.int64]:
    lengths: npt.NDArray[np.int64] = pc.list_value_length(lists).to_numpy().astype(np.int64)
    return lengths
