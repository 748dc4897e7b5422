"""How far converted checkpoints are from the code that made them.

    python benchmarks/exactness.py

converts every fixture of the original code in tests/fixtures, gives the model the very tensors that
the original was given, and writes ``results/exactness.json``. The tests in tests/convert hold the
same figures to their bounds.
"""

import json
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import torch

from otter.cli.measured import machine

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.convert.conftest import convert_fixture  # noqa: E402
from tests.convert.originals import OPENFLAMINGO_NAMES, OTTER_NAMES, Converted  # noqa: E402

SURPLUS = "quirk_more_image_tokens_than_media"


def main() -> None:
    """Measure every fixture and write the table."""
    began, found = time.perf_counter(), machine()
    figures = []
    for name in (*OPENFLAMINGO_NAMES, *OTTER_NAMES):
        with tempfile.TemporaryDirectory() as scratch:
            converted = convert_fixture(name, Path(scratch))
            row = f"{'OpenFlamingo' if name in OPENFLAMINGO_NAMES else 'Otter 2023'}: {name}"
            for column, value in _measured(converted).items():
                figures.append({"row": row, "column": column, "value": value, "unit": ""})
    result = {
        "title": "Largest difference from the original",
        "command": "python benchmarks/exactness.py",
        "hardware": f"{found['cores']} cores of {found['processor']}",
        "seconds": round(time.perf_counter() - began, 1),
        "date": date.today().isoformat(),
        "seeds": [],
        "figures": figures,
    }
    path = ROOT / "benchmarks" / "results" / "exactness.json"
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def _measured(converted: Converted) -> dict[str, float]:
    original = converted.original
    logits = max(converted.logits_difference(c) for c in original.cases("logits") if c != SURPLUS)
    with torch.no_grad():
        losses = [
            abs(float(converted.forward(case).loss - original.expected(case, "loss")[0]))
            for case in original.cases("loss")
        ]
    return {"logits": logits, "loss": max(losses)}


if __name__ == "__main__":
    main()
