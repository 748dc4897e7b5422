"""How long ``import otter`` and ``otter --help`` take; writes results/startup.json.

    python benchmarks/startup.py

Each is run in a process of its own, ten times; what is written is the fastest, since anything
slower is the machine doing something else.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

from otter.cli.measured import machine

RESULTS = Path(__file__).resolve().parent / "results"
TIMES = 10
MEASURED = {
    "import otter": ([sys.executable, "-c", "import otter"], [sys.executable, "-c", ""]),
    "otter --help": ([str(Path(sys.executable).with_name("otter")), "--help"], None),
}


def main() -> None:
    """Measure and write."""
    begin = time.perf_counter()
    figures = []
    for name, (command, without) in MEASURED.items():
        # Of the import only what it adds to an empty interpreter; of the command all of it.
        value = fastest(command) - (fastest(without) if without else 0.0)
        figures.append({"row": name, "column": "seconds", "value": round(value, 3), "unit": "s"})
    found = machine()
    result = {
        "title": "Starting",
        "command": "python benchmarks/startup.py",
        "hardware": f"{found['processor']}, {found['cores']} cores",
        "seconds": round(time.perf_counter() - begin, 1),
        "date": time.strftime("%Y-%m-%d"),
        "seeds": [],
        "figures": figures,
    }
    (RESULTS / "startup.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def fastest(command: list[str]) -> float:
    """Seconds of the fastest of several runs."""
    seconds = []
    for _ in range(TIMES):
        begin = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        seconds.append(time.perf_counter() - begin)
    return min(seconds)


if __name__ == "__main__":
    main()
