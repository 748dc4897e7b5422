"""What processes really hold in memory, on Linux: shared pages are split between their sharers."""

from collections.abc import Iterable
from pathlib import Path


def proportional(pid: int) -> int:
    """Bytes of a process (PSS): pages that n processes share count one n-th in each."""
    return _rollup(pid)["Pss"]


def private(pid: int) -> int:
    """Bytes that nobody shares with a process: what would be free if it ended."""
    found = _rollup(pid)
    return found["Private_Clean"] + found["Private_Dirty"]


def all_of(pids: Iterable[int]) -> int:
    """Bytes that some processes hold together, each shared page counted once among them."""
    return sum(map(proportional, pids))


def peak(pid: int) -> int:
    """The most bytes that were ever resident in a process, mapped files included."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return 1024 * int(line.split()[1])
    return 0


def _rollup(pid: int) -> dict[str, int]:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()
    pairs = (line.split() for line in lines if line.endswith(" kB"))
    return {pair[0].rstrip(":"): 1024 * int(pair[1]) for pair in pairs}
