"""The arithmetic of a mixture: shuffles, patterns and random numbers that nothing remembers.

Everything here is a pure function of integers, the same on every machine and in every version.
"""

import math

SHORTEST_PATTERN = 1_024
LONGEST_PATTERN = 131_072

# What the random numbers of a mixture are for; each use has its own stream.
PATTERN, ORDER, SHOTS, EXAMPLES, EPOCH = 1, 2, 3, 4, 5


def shuffled(index: int, size: int, key: int) -> int:
    """The place that ``index`` has after shuffling ``range(size)``; the key is the shuffle.

    For every key ``[shuffled(i, 3, key) for i in range(3)]`` is a permutation such as [2, 0, 1],
    but none is ever held in memory: a Feistel network permutes the next power of four, and is
    applied again until it lands inside.
    """
    half = ((size - 1).bit_length() + 1) // 2
    mask = (1 << half) - 1
    while True:
        left, right = index >> half, index & mask
        for turn in range(1, 7):
            left, right = right, left ^ (_scrambled(key + (turn << 40) + right) & mask)
        index = left << half | right
        if index < size:
            return index


def mix(*values: int) -> int:
    """Integers to 64 random-looking bits, the same everywhere and for ever."""
    state = 0
    for value in values:
        state = _scrambled(state + value)
    return state


def _scrambled(state: int) -> int:
    """The next number of the generator splitmix64."""
    state = (state + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
    state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
    state = (state ^ state >> 27) * 0x94D049BB133111EB & 0xFFFFFFFFFFFFFFFF
    return state ^ state >> 31


def quotas(weights: list[float]) -> list[int]:
    """How often each part comes in one pattern, so long that shares are right to half a percent.

    [3.0, 1.0] gives [768, 256]. A part so small that the longest pattern cannot hold it exactly
    comes once.
    """
    if len(weights) == 1:
        return [1]
    total = math.fsum(weights)
    length = min(max(math.ceil(100 * total / min(weights)), SHORTEST_PATTERN), LONGEST_PATTERN)
    exact = [weight / total * length for weight in weights]
    counts = [max(1, math.floor(share)) for share in exact]
    by_remainder = sorted(range(len(weights)), key=lambda part: counts[part] - exact[part])
    for part in by_remainder[: max(0, length - sum(counts))]:
        counts[part] += 1
    return counts


def spread(counts: list[int], seed: int) -> tuple[list[int], list[int]]:
    """The order of the parts within a pattern, and for each place which one of its part it is.

    The j-th of n comes at a random time between j/n and (j+1)/n, so that every stretch has nearly
    the right shares.
    """
    times = [
        ((nth + mix(seed, PATTERN, part, nth) / 2**64) / count, part, nth)
        for part, count in enumerate(counts)
        for nth in range(count)
    ]
    times.sort()
    return [part for _, part, _ in times], [nth for _, _, nth in times]
