"""What is in a store, in figures: the JSON from which the page of ``otter data report`` is drawn.

    figures = measure(Store("store"))
    figures["copies"]["exact"]["record"]["share"]

What can be counted is counted over every record; what has to be compared is looked at in a sample,
whose size stands beside every figure that comes from it.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from otter.build.report_answers import answer_bias
from otter.build.report_composition import composition, text_lengths
from otter.build.report_copies import exact_copies, near_pictures, near_texts
from otter.build.report_language import languages
from otter.build.report_relevance import relevance
from otter.build.report_wording import wording
from otter.data import Store

Rows = npt.NDArray[np.int64]
OnProgress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class SampleSizes:
    """How much is looked at where not everything can be.

    Args:
        lengths: records whose words are counted.
        wording: records whose instructions are taken apart.
        near_texts: different texts that are compared with each other.
        pictures: pictures that are compared with each other.
        questions: questions whose examples are looked at.
        languages: records whose language is looked at.
        seed: of the choice.
    """

    lengths: int = 100_000
    wording: int = 100_000
    near_texts: int = 20_000
    pictures: int = 3_000
    questions: int = 2_000
    languages: int = 5_000
    seed: int = 0


def measure(
    store: Store, sizes: SampleSizes | None = None, on_progress: OnProgress | None = None
) -> dict[str, Any]:
    """All figures of a store.

    Args:
        store: not empty.
        sizes: of the samples.
        on_progress: told (what is done, how much, of how much) now and then.

    Raises:
        ValueError: the store has no records.
    """
    if not len(store):
        raise ValueError(f"{store.folder}: has no records: expected at least one to report on")
    sizes, show = sizes or SampleSizes(), on_progress or (lambda *_: None)
    begin = time.perf_counter()
    generator = np.random.default_rng(sizes.seed)

    def sample(count: int, among: int = len(store)) -> Rows:
        if count >= among:
            return np.arange(among, dtype=np.int64)
        return np.sort(generator.choice(among, size=count, replace=False))

    figures: dict[str, Any] = {"store": store.folder.name, "sample_sizes": asdict(sizes)}
    show("composition", 0, 1)
    figures["composition"] = composition(store)
    show("lengths", 0, 1)
    figures["lengths"] = text_lengths(store, sample(sizes.lengths))
    show("wording", 0, 1)
    figures["wording"] = wording(_distinct(store, "instruction", sample(sizes.wording)))
    show("copies", 0, 1)
    near = {
        field: near_texts(_distinct(store, field, sample(sizes.near_texts)))
        for field in ("instruction", "answer")
    }
    pictures = near_pictures(
        store,
        sample(sizes.pictures, store.image_count),
        lambda done, total: show("pictures", done, total),
    )
    figures["copies"] = {"exact": exact_copies(store), "near": near, "near_pictures": pictures}
    show("examples", 0, 1)
    figures["relevance"] = relevance(
        store, _with_examples(store, sizes.questions, generator), sample(20_000), generator
    )
    show("answers", 0, 1)
    figures["answers"] = answer_bias(store)
    show("languages", 0, 1)
    figures["languages"] = _languages(store, sample(sizes.languages))
    figures["seconds"] = round(time.perf_counter() - begin, 1)
    return figures


def _distinct(store: Store, field: str, rows: Rows) -> list[str]:
    texts = store.column(field).take(pa.array(rows)).to_pylist()
    return list(dict.fromkeys(texts))


def _with_examples(store: Store, count: int, generator: np.random.Generator) -> Rows:
    """int64[...]: questions that have examples, by chance."""
    lengths = [chunk.value_lengths().to_numpy() for chunk in store.column("related").chunks]
    rows = np.flatnonzero(np.concatenate(lengths) > 0).astype(np.int64)
    if len(rows) > count:
        rows = np.sort(generator.choice(rows, size=count, replace=False))
    return rows


def _languages(store: Store, rows: Rows) -> dict[str, Any]:
    columns = {
        name: store.column(name).take(pa.array(rows)).to_pylist()
        for name in ("id", "instruction", "answer", "language")
    }
    texts = [
        f"{question} {answer}"
        for question, answer in zip(columns["instruction"], columns["answer"], strict=True)
    ]
    return languages(texts, columns["language"], columns["id"])
