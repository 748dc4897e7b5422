"""Damaged datasets against the importers: 2,000 of them, and what is to be held against any.

    python benchmarks/data_fuzz.py

draws damage by a seed: files cut short, bytes flipped, noise, values of wrong types, bytes that are
not UTF-8, broken base64, pictures and videos that cannot be decoded or would unpack to gigabytes,
ids that come twice or lead nowhere. Each dataset is imported twice, by default and with
``keep_going``, and every hundredth with worker processes too; tests/build/fuzz/verdict.py says what
must hold. Importing is done in a process of its own, so that a crash or an endless loop of a
decoder is one case and not the end. It writes results/data-fuzz.json, and prints what was wrong.
"""

import argparse
import json
import queue
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any

from otter.cli.measured import machine

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "data-fuzz.json"
LIMIT = 120.0
"""Seconds that one case may take; a sound dataset takes a twentieth of one."""
WITH_WORKERS = 100

sys.path.insert(0, str(ROOT))

from tests.build.fuzz.damage import cases  # noqa: E402
from tests.build.fuzz.datasets import datasets  # noqa: E402
from tests.build.fuzz.verdict import Case, Outcome, faults, run  # noqa: E402


def drawn(seed: int, start: int, count: int) -> Iterator[tuple[int, Case]]:
    """Cases ``start`` to ``start + count``, of each dataset in turn."""
    sources = [cases(dataset, seed) for dataset in datasets()]
    for number in range(start + count):
        case = next(sources[number % len(sources)])
        if number >= start:
            yield number, case


def work(seed: int, start: int, count: int) -> None:
    """Judges cases in this process, and prints a line of JSON before and after each."""
    sound: dict[str, Outcome] = {}
    for number, case in drawn(seed, start, count):
        print(json.dumps({"case": str(case), "number": number}), flush=True)
        name = case.dataset.name
        with tempfile.TemporaryDirectory() as folder:
            if name not in sound:
                case.dataset.write(Path(folder))
                sound[name] = run(case.dataset, Path(folder), keep_going=False)
        begin = time.perf_counter()
        workers = 2 if number % WITH_WORKERS == 7 else 0
        with tempfile.TemporaryDirectory() as folder:
            found = faults(case, sound[name], Path(folder), workers=workers)
        line = {
            "number": number,
            "faults": [list(fault) for fault in found],
            "seconds": time.perf_counter() - begin,
            "workers": workers,
            "peak": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        }
        print(json.dumps(line), flush=True)


def judged(seed: int, count: int) -> Iterator[dict[str, Any]]:
    """What came of each case; a case that ended its process, or never ends, is a fault as well."""
    following = 0
    while following < count:
        command = [sys.executable, __file__, "--work", f"--seed={seed}", f"--cases={count}"]
        child = subprocess.Popen(
            [*command, f"--start={following}"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        lines: queue.Queue[bytes] = queue.Queue()
        threading.Thread(target=_pass_on, args=(child.stdout, lines), daemon=True).start()
        current: dict[str, Any] = {}
        while following < count:
            try:
                line = lines.get(timeout=LIMIT)
            except queue.Empty:
                child.kill()
                line = b""
            if not line:
                code = child.wait()
                kind = "hang" if code == -9 else "crash"
                yield {**current, "faults": [[kind, f"the process ended with {code}"]]}
                following = current.get("number", following) + 1
                break
            found = json.loads(line)
            if "case" in found:
                current = found
            else:
                following = found["number"] + 1
                yield {**current, **found}
        else:
            child.wait()


def _pass_on(stream: IO[bytes] | None, lines: "queue.Queue[bytes]") -> None:
    for line in stream or ():
        lines.put(line)
    lines.put(b"")


def main() -> int:
    """Draw, import, judge, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.seed, options.start, options.cases - options.start)
        return 0
    begin = time.perf_counter()
    kinds: Counter[str] = Counter()
    seconds, peaks, done = [], [0], 0
    for found in islice(judged(options.seed, options.cases), options.cases):
        done += 1
        if found.get("workers") == 0:
            seconds.append(found["seconds"])
            peaks.append(found["peak"])
        kinds.update({kind for kind, _ in found["faults"]})
        for kind, text in found["faults"]:
            print(f"{kind}: {found.get('number')} {found.get('case')}\n    {text}", flush=True)
    figures = [
        ("datasets damaged", done, ""),
        ("of formats and layouts", len(datasets()), ""),
        ("crashes", kinds["crash"], ""),
        ("imports that do not end", kinds["hang"], ""),
        ("with a good record lost", kinds["lost"], ""),
        ("with a problem that is not named", kinds["unnamed"], ""),
        ("with an error badly said, or traces left", kinds["manners"], ""),
        ("longest case, both imports", round(max(seconds), 2), "s"),
        ("most memory", round(max(peaks) / 1e6), "MB"),
    ]
    here = machine()
    table = {
        "title": "Importing damaged datasets",
        "command": "python benchmarks/data_fuzz.py",
        "hardware": f"{here['cores']} cores of {here['processor']}",
        "seconds": round(time.perf_counter() - begin, 1),
        "date": time.strftime("%Y-%m-%d"),
        "seeds": [options.seed],
        "figures": [
            {"row": row, "column": "found", "value": value, "unit": unit}
            for row, value, unit in figures
        ],
    }
    RESULT.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    return int(bool(kinds))


if __name__ == "__main__":
    sys.exit(main())
