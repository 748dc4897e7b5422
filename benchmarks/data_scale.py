"""A store of 3,000,000 instructions over 1,000,000 small pictures; Linux only.

    python benchmarks/data_scale.py --scratch FOLDER

builds the store, opens it, reads episodes out of it at random places, goes through a whole epoch
with two workers of torch's DataLoader while it watches their memory, and runs ``otter data check``;
each in a process of its own. It writes results/data-scale.json. The folder needs 6 GB of room; what
is made there is removed again.

The pictures are JPEG files of 32 x 32 pixels and about 1 KB, no two with the same bytes: some
hundred different ones, each numbered in a comment of the file. A record has about 12 words of
question, 25 words of answer, one picture and four examples, each of which may be any record. An
episode is five records, its texts and the bytes of its pictures; nothing is decoded.
"""

import argparse
import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from otter.cli.measured import machine
from process_memory import peak, private, proportional

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "data-scale.json"
OTTER = "import sys; from otter.cli import main; sys.exit(main())"

SHOTS = 4
TEMPLATES = 512
WORKERS = 2
BATCH = 64
SAMPLES = 50
"""How often the memory of the workers is looked at in an epoch."""
TASKS = ("LADD", "LACR_I2I", "LACR_T2T", "LACONV", "SD", "CGD", "VST", "TVC", "DC", "E4D")


def small_pictures(count: int) -> Iterator[bytes]:
    """JPEG files that differ in what they show or, at least, in a comment."""
    from PIL import Image

    generator = np.random.default_rng(0)
    templates = []
    for _ in range(TEMPLATES):
        values = generator.integers(256, size=(8, 8, 3)).astype(np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(values).resize((32, 32)).save(buffer, "JPEG", quality=80)
        templates.append(buffer.getvalue())
    for number in range(count):
        start, rest = templates[number % TEMPLATES][:2], templates[number % TEMPLATES][2:]
        text = f"picture {number}".encode()
        yield start + b"\xff\xfe" + (len(text) + 2).to_bytes(2) + text + rest


def build(folder: Path, records: int, images: int) -> dict[str, float]:
    """Writes the store, as a script of somebody's would."""
    from otter.data import Record, StoreWriter

    generator = np.random.default_rng(1)
    words = [f"{a}{b}" for a in "bcdfglmnprst" for b in ("ar", "en", "ill", "oma", "uty", "ix")]
    begin = time.perf_counter()
    with StoreWriter(folder, overwrite=True) as writer:
        for number, data in enumerate(small_pictures(images)):
            writer.add_image(f"IMG_{number:07d}", data)
        pictures = time.perf_counter() - begin
        for start in range(0, records, 10_000):
            count = min(10_000, records - start)
            chosen = generator.integers(len(words), size=(count, 37))
            shown = generator.integers(images, size=count).tolist()
            others = generator.integers(records - 1, size=(count, SHOTS)).tolist()
            for row in range(start, start + count):
                said = [words[i] for i in chosen[row - start]]
                near = [other + (other >= row) for other in others[row - start]]
                writer.add_record(
                    Record(
                        f"INS_{row:07d}",
                        f"{' '.join(said[:12])} {row}?",
                        f"{' '.join(said[12:])}.",
                        media=((f"IMG_{shown[row - start]:07d}",),),
                        related=tuple(f"INS_{other:07d}" for other in near),
                        task=TASKS[row % len(TASKS)],
                        source="made",
                    )
                )
        rows = time.perf_counter() - begin
    return {
        "pictures": pictures,
        "records": rows - pictures,
        "finish": time.perf_counter() - begin - rows,
        "seconds": time.perf_counter() - begin,
        "peak": peak(os.getpid()),
    }


def opened(folder: Path) -> dict[str, float]:
    """Opens the store and reads one episode; the library is loaded before the clock starts."""
    from otter.data import Mixture, Part, Store

    begin = time.perf_counter()
    store = Store(folder)
    seconds = time.perf_counter() - begin
    mixture = Mixture([Part(store, shots=SHOTS)])
    first = mixture[len(mixture) // 2]
    until = time.perf_counter() - begin
    return {"open": seconds, "first episode": until, "examples": len(first.examples)}


def assemble(folder: Path, episodes: int, seed: int) -> dict[str, float]:
    """Records a second, of episodes in random order, in one process."""
    from otter.data import Mixture, Part, Store

    mixture = Mixture([Part(Store(folder), shots=SHOTS)], seed=seed)
    records = 0
    begin = time.perf_counter()
    for position in range(episodes):
        records += 1 + len(mixture[position].examples)
    return {"rate": records / (time.perf_counter() - begin), "records": records}


def epoch(folder: Path, episodes: int | None) -> dict[str, Any]:
    """Goes through an epoch with workers, and looks at their memory on the way."""
    from torch.utils.data import DataLoader

    from otter.data import Mixture, Part, Store

    mixture: Any = Mixture([Part(Store(folder), shots=SHOTS)], length=episodes)
    begin = time.perf_counter()
    loader: Any = DataLoader(mixture, BATCH, num_workers=WORKERS, collate_fn=sizes)
    batches = iter(loader)
    workers = [worker.pid for worker in batches._workers]
    every = max(1, len(loader) // SAMPLES)
    records, held = 0, []
    for number, (rows, _) in enumerate(batches):
        records += rows
        if number % every == every - 1 and len(held) < SAMPLES:
            held.append([(proportional(pid), private(pid)) for pid in workers])
    seconds = time.perf_counter() - begin
    return {"records": records, "seconds": seconds, "held": held, "episodes": len(mixture)}


def sizes(episodes: Sequence[Any]) -> tuple[int, int]:
    """How many records and bytes of pictures a batch has: all that is sent to the main process."""
    turns = [turn for episode in episodes for turn in (*episode.examples, episode)]
    return len(turns), sum(len(medium) for turn in turns for medium in turn.media)


def check(folder: Path) -> float:
    """Seconds of ``otter data check``, as a person would run it.

    Raises:
        RuntimeError: it found a problem.
    """
    begin = time.perf_counter()
    command = [sys.executable, "-c", OTTER, "data", "check", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - begin
    if done.returncode:
        raise RuntimeError(f"otter data check: {done.stdout}{done.stderr}")
    print(done.stdout, flush=True)
    return seconds


STAGES = ("build", "opened", "assemble", "epoch")


def run(stage: str, options: argparse.Namespace) -> dict[str, Any]:
    """One stage, in this process."""
    store = options.scratch / "store"
    if stage == "build":
        return build(store, options.records, options.images)
    if stage == "opened":
        return opened(store)
    if stage == "assemble":
        return assemble(store, options.assembled, options.seed)
    return epoch(store, options.episodes)


def started(stage: str, options: argparse.Namespace, seed: int = 0) -> dict[str, Any]:
    """One stage, in a process of its own."""
    command = [sys.executable, __file__, "--stage", stage, "--seed", str(seed)]
    for name in ("scratch", "records", "images", "assembled", "episodes"):
        value = getattr(options, name)
        command += [f"--{name}={value}"] if value is not None else []
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(stage, {key: value for key, value in found.items() if key != "held"}, flush=True)
    return found


def measured(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Every stage, and the lines of the table."""
    store = options.scratch / "store"
    repeats = range(options.repeats)
    facts = options.scratch / "build.json"
    if not facts.exists():
        facts.write_text(json.dumps(started("build", options)), encoding="utf-8")
    made = json.loads(facts.read_text(encoding="utf-8"))
    size = sum(file.stat().st_size for file in store.iterdir()) / 1e9
    first = [started("opened", options) for _ in repeats]
    rates = [started("assemble", options, seed)["rate"] for seed in repeats]
    went = started("epoch", options)
    held = np.array(went["held"], dtype=float) / 1e6  # [samples, workers, (PSS, private)]
    quarter = max(1, len(held) // 4)
    early, late = held[quarter : 2 * quarter, :, 0], held[-quarter:, :, 0]
    lines = [
        ("records", options.records, ""),
        ("pictures", options.images, ""),
        ("size of the store", size, "GB"),
        ("building", made["seconds"], "s"),
        ("memory of building, at most", made["peak"] / 1e6, "MB"),
        ("opening", statistics.median(one["open"] for one in first), "s"),
        ("first episode", statistics.median(one["first episode"] for one in first), "s"),
        ("records assembled in episodes, one process", statistics.median(rates), "/s"),
        ("episodes of the epoch", went["episodes"], ""),
        ("records in the epoch, two workers", went["records"] / went["seconds"], "/s"),
        ("memory of a worker, at most", held[..., 0].max(), "MB"),
        ("of it its own alone", held[..., 1].max(), "MB"),
        ("last quarter of the epoch over the second", late.mean() / early.mean(), "×"),
        ("checking", check(store), "s"),
    ]
    return [
        {"row": row, "column": "measured", "value": float(f"{value:.4g}"), "unit": unit}
        if unit
        else {"row": row, "column": "measured", "value": value, "unit": unit}
        for row, value, unit in lines
    ]


def main() -> None:
    """Make, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scratch", type=Path, required=True, help="an empty or new folder")
    parser.add_argument("--records", type=int, default=3_000_000)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--assembled", type=int, default=40_000, help="episodes that are timed")
    parser.add_argument("--episodes", type=int, help="of the epoch; every record once by default")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--keep", action="store_true", help="keep the store, and use it again")
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.scratch = options.scratch.resolve()
    if options.stage:
        print(json.dumps(run(options.stage, options)))
        return
    if not options.keep and options.scratch.exists() and any(options.scratch.iterdir()):
        parser.error(f"{options.scratch} is not empty: everything in it would be removed")
    options.scratch.mkdir(parents=True, exist_ok=True)
    begin = time.perf_counter()
    try:
        figures = measured(options)
    finally:
        if not options.keep:
            shutil.rmtree(options.scratch, ignore_errors=True)
    here = machine()
    table = {
        "title": "A store of three million records",
        "command": "python benchmarks/data_scale.py",
        "hardware": f"{here['cores']} cores of {here['processor']}",
        "seconds": round(time.perf_counter() - begin, 1),
        "date": time.strftime("%Y-%m-%d"),
        "seeds": list(range(options.repeats)),
        "figures": figures,
    }
    RESULT.write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
