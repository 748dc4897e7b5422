"""Label bias: how far one gets by always giving the most frequent answer.

Counted over every record, by the hashes of instructions and answers.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from otter.build.text_hashes import text_hashes
from otter.data import Store

TASKS = 20
INSTRUCTIONS = 15
_MIN_ASKED = 10

Rows = npt.NDArray[np.int64]


def answer_bias(store: Store) -> dict[str, Any]:
    """How uneven the answers are, for every task and for the most frequent instructions."""
    answers = text_hashes(store.column("answer"))
    instructions = text_hashes(store.column("instruction"))
    tasks = pc.index_in(store.column("task"), value_set=pc.unique(store.column("task"))).to_numpy()
    by_task = [
        {"task": store.record(int(rows[0])).task, **_uneven(store, answers, rows)}
        for rows in _groups(tasks, TASKS, 1)
    ]
    by_instruction = [
        {"instruction": store.record(int(rows[0])).instruction, **_uneven(store, answers, rows)}
        for rows in _groups(instructions, INSTRUCTIONS, _MIN_ASKED)
    ]
    return {"by_task": by_task, "by_instruction": by_instruction}


def _groups(keys: npt.NDArray[Any], count: int, least: int) -> list[Rows]:
    """The rows of the most frequent keys, each group in the order of rows."""
    found, inverse, sizes = np.unique(keys, return_inverse=True, return_counts=True)
    largest = np.argsort(-sizes, kind="stable")[:count]
    order = np.argsort(inverse, kind="stable")
    starts = np.concatenate([[0], np.cumsum(sizes)])
    return [
        order[starts[place] : starts[place + 1]]
        for place in largest.tolist()
        if sizes[place] >= least and len(found)
    ]


def _uneven(store: Store, answers: npt.NDArray[np.uint64], rows: Rows) -> dict[str, Any]:
    _, first, counts = np.unique(answers[rows], return_index=True, return_counts=True)
    shares = counts / len(rows)
    bits = float(-(shares * np.log2(shares)).sum())
    top = np.argsort(-counts, kind="stable")[:5]
    texts = store.column("answer").take(pa.array(rows[first[top]])).to_pylist()
    return {
        "records": len(rows),
        "different_answers": len(counts),
        "majority_share": float(shares.max()),
        "entropy_bits": abs(bits),
        # 1 where all answers are as frequent, 0 where there is only one.
        "evenness": abs(bits) / float(np.log2(len(counts))) if len(counts) > 1 else 0.0,
        "top": [
            {"answer": text, "share": float(shares[place])}
            for text, place in zip(texts, top.tolist(), strict=True)
        ],
    }
