"""A mixture is a function of seed and position: exact shares, exact resuming, nothing lost."""

import os
import pickle
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import otter.data
from otter.data import Mixture, Part, Record, Store, StoreWriter
from otter.data.mixture import Draw, MixtureRow
from otter.data.mixture_order import LONGEST_PATTERN, quotas, shuffled

SOURCE = Path(otter.data.__file__).parents[2]


def numbers(folder: Path, count: int) -> Store:
    """A store whose record n has the three records before it as examples."""
    with StoreWriter(folder) as writer:
        for number in range(count):
            before = tuple(str(other) for other in range(max(0, number - 3), number))
            writer.add_record(Record(str(number), f"number {number}?", "!", related=before))
    return Store(folder)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return numbers(tmp_path_factory.mktemp("stores") / "small", 50)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return numbers(tmp_path_factory.mktemp("stores") / "large", 1_000)


def draws(mixture: Mixture) -> list[Draw]:
    return [mixture.draw(position) for position in range(len(mixture))]


def test_a_position_gives_the_same_episode_in_a_fresh_process(small: Store, large: Store) -> None:
    code = (
        "import sys; from otter.data import Mixture, Part, Store;"
        "small, large = map(Store, sys.argv[1:]);"
        "m = Mixture([Part(small, weight=3, shots=(0, 3)), Part(large)], seed=5, length=9000);"
        "print([tuple(m.draw(p)) for p in range(8000, 8050)]); print(m[8765])"
    )
    output = subprocess.run(
        [sys.executable, "-c", code, small.folder, large.folder],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONHASHSEED": "77"},
    ).stdout
    parts = [Part(small, weight=3, shots=(0, 3)), Part(large)]
    mixture = Mixture(parts, seed=5, length=9000)
    expected = [tuple(mixture.draw(position)) for position in range(8000, 8050)]
    assert output == f"{expected}\n{mixture[8765]}\n"


def test_the_order_never_changes_between_versions(large: Store) -> None:
    mixture = Mixture([Part(large, weight=2, shots=(0, 3)), Part(large)], seed=11)
    assert [tuple(mixture.draw(position)) for position in (0, 1, 2, 1999)] == FROZEN


FROZEN = [(0, 317, 0), (0, 158, 2), (1, 778, None), (0, 230, 1)]


def test_resuming_anywhere_goes_on_as_if_never_stopped(small: Store, large: Store) -> None:
    def fresh(length: int = 600) -> Mixture:
        return Mixture([Part(small, shots=(0, 3)), Part(large)], seed=3, length=length)

    unbroken = draws(fresh())
    for start in (1, 217, 599):
        resumed = fresh()
        assert [resumed.draw(position) for position in range(start, 600)] == unbroken[start:]
    assert draws(fresh(200)) == unbroken[:200], "another length is another end, not another order"
    assert draws(pickle.loads(pickle.dumps(fresh()))) == unbroken
    mixture = fresh()
    backwards = [mixture.draw(position) for position in reversed(range(600))]
    assert backwards[::-1] == unbroken


@pytest.mark.parametrize("size", [1, 2, 3, 50, 64, 65])
def test_every_record_comes_once_in_every_pass(large: Store, size: int) -> None:
    rows = np.arange(100, 100 + 3 * size, 3)
    mixture = Mixture([Part(large, rows)], seed=1, length=4 * size)
    assert len(mixture) == 4 * size
    found = [draw.row for draw in draws(mixture)]
    passes = [found[start : start + size] for start in range(0, 4 * size, size)]
    assert all(sorted(one) == rows.tolist() for one in passes)
    if size > 10:
        assert len(set(map(tuple, passes))) == 4, "every pass is shuffled anew"
        assert all(one != sorted(one) for one in passes)


def test_no_record_of_a_part_is_lost_or_repeated_within_a_pass_of_a_mixture(
    small: Store, large: Store
) -> None:
    mixture = Mixture([Part(small, weight=1), Part(large, weight=7)], seed=4, length=5_000)
    for part, size in enumerate([50, 1_000]):
        found = [draw.row for draw in draws(mixture) if draw.part == part]
        for start in range(0, len(found) - size, size):
            assert sorted(found[start : start + size]) == list(range(size))


def test_an_epoch_goes_on_where_the_one_before_ended(large: Store) -> None:
    rows = np.arange(70)
    both = draws(Mixture([Part(large, rows)], seed=2, length=140))
    assert draws(Mixture([Part(large, rows)], seed=2)) == both[:70]
    assert draws(Mixture([Part(large, rows)], seed=2, epoch=1)) == both[70:]
    assert both[:70] != both[70:]


@pytest.mark.parametrize(
    "weights", [(1, 1), (3, 1), (0.7, 0.2, 0.1), (5, 0.05), (1, 0.001), (1, 2, 3, 4, 5, 6)]
)
def test_shares_match_the_weights_within_one_percent(
    small: Store, weights: tuple[float, ...]
) -> None:
    mixture = Mixture([Part(small, weight=weight) for weight in weights], seed=0)
    for row, weight in zip(mixture.table(), weights, strict=True):
        assert row.share == pytest.approx(weight / sum(weights), rel=0.01)


def test_any_stretch_of_a_mixture_has_nearly_the_right_shares(small: Store, large: Store) -> None:
    mixture = Mixture([Part(small, weight=3), Part(large)], seed=8, length=10_000)
    parts = np.array([draw.part for draw in draws(mixture)])
    assert parts.mean() == pytest.approx(0.25, rel=0.01)
    for start in range(0, 10_000, 100):
        assert 22 <= parts[start : start + 100].sum() <= 28
    gaps = np.diff(np.flatnonzero(parts))
    assert len(set(gaps.tolist())) > 3, "the parts do not alternate like clockwork"


def test_a_part_of_any_weight_comes_at_least_once_in_a_pattern() -> None:
    assert quotas([1e9, 1e-9]) == [LONGEST_PATTERN, 1]
    assert quotas([5.0]) == [1]
    assert quotas([3.0, 1.0]) == [768, 256]
    assert sum(quotas([1.0, 1.0, 1.0])) == 1024


def test_written_order_is_the_order_of_the_rows(large: Store, small: Store) -> None:
    rows = np.array([7, 3, 3, 900, 0])
    mixture = Mixture([Part(large, rows)], order="written", length=8)
    assert [draw.row for draw in draws(mixture)] == [7, 3, 3, 900, 0, 7, 3, 3]
    assert [episode.question for episode in mixture][:2] == ["number 7?", "number 3?"]
    both = draws(Mixture([Part(small), Part(large)], order="written", length=100))
    for part in (0, 1):
        found = [draw.row for draw in both if draw.part == part]
        assert found == list(range(len(found)))


def test_shots_say_how_many_examples_go_before_a_question(large: Store) -> None:
    rows = np.arange(3, 1_000)

    def counts(shots: Any) -> Counter[int]:
        mixture = Mixture([Part(large, rows, shots=shots)], seed=6)
        return Counter(len(episode.examples) for episode in mixture)

    assert counts(None) == {3: 997}
    assert counts(0) == {0: 997}
    assert counts(2) == {2: 997}
    assert counts(99) == {3: 997}
    drawn = counts((0, 3))
    assert sorted(drawn) == [0, 1, 2, 3]
    assert all(200 <= count <= 300 for count in drawn.values())
    assert sorted(counts((1, 2))) == [1, 2]


def test_examples_are_the_first_related_records(large: Store) -> None:
    rows = np.array([500])
    (episode,) = Mixture([Part(large, rows, shots=2)])
    assert [example.question for example in episode.examples] == ["number 497?", "number 498?"]


def test_the_seed_changes_order_and_shots(large: Store) -> None:
    one, two = (draws(Mixture([Part(large, shots=(0, 3))], seed=seed)) for seed in (1, 2))
    assert [draw.row for draw in one] != [draw.row for draw in two]
    assert [draw.shots for draw in one] != [draw.shots for draw in two]
    assert sorted(draw.row for draw in one) == sorted(draw.row for draw in two)


def test_no_global_random_state_is_read_or_changed(small: Store) -> None:
    np.random.seed(0)
    before = np.random.get_state()[1].tolist()  # type: ignore[index]
    first = draws(Mixture([Part(small, shots=(0, 3))], seed=1))
    assert np.random.get_state()[1].tolist() == before  # type: ignore[index]
    np.random.seed(1)
    assert draws(Mixture([Part(small, shots=(0, 3))], seed=1)) == first


def test_the_table_names_parts_records_weights_and_shares(small: Store, large: Store) -> None:
    mixture = Mixture([Part(small, np.arange(8), weight=3, name="warm-up"), Part(large, weight=1)])
    assert mixture.table() == [
        MixtureRow("warm-up", 8, 3, 0.75),
        MixtureRow("large", 1_000, 1, 0.25),
    ]
    assert len(mixture) == 1_008


def test_a_mixture_is_a_map_style_dataset(small: Store) -> None:
    mixture = Mixture([Part(small)], seed=1)
    assert [episode.question for episode in mixture] == [
        mixture[position].question for position in range(50)
    ]
    for position in (-1, 50):
        with pytest.raises(IndexError) as raised:
            mixture[position]
        assert str(raised.value) == f"position {position}: expected a position from 0 to 49"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda s: Mixture([]), "parts is empty: expected at least one Part(store)"),
        (lambda s: Mixture([Part(s)], length=0), "length = 0: expected at least 1 episode"),
        (
            lambda s: Mixture([Part(s)], order="random"),
            "order = 'random': expected 'shuffled' or 'written'",
        ),
        (lambda s: Mixture([Part(s)], epoch=-1), "epoch = -1: expected 0 or more"),
        (
            lambda s: Part(s, np.array([], dtype=np.int64)),
            "part 'small': rows is empty: expected at least one record; "
            "choose others or leave the part out",
        ),
        (
            lambda s: Part(s, np.array([3, 50])),
            "part 'small': rows from 3 to 50: expected rows of its store, 0 to 49",
        ),
        (
            lambda s: Part(s, np.ones(50, dtype=bool)),
            "part 'small': rows is a mask: expected row numbers; use np.flatnonzero",
        ),
        (
            lambda s: Part(s, weight=0),
            "part 'small': weight = 0: expected a number above 0; "
            "to leave the part out, do not list it",
        ),
        (
            lambda s: Part(s, shots=(3, 1)),
            "part 'small': shots = (3, 1): expected None, a number from 0, or (fewest, most)",
        ),
        (
            lambda s: Part(s, shots=-1),
            "part 'small': shots = -1: expected None, a number from 0, or (fewest, most)",
        ),
    ],
)
def test_an_impossible_mixture_is_refused(
    small: Store, make: Callable[[Store], object], message: str
) -> None:
    with pytest.raises(ValueError) as raised:
        make(small)
    assert str(raised.value) == message


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 16, 17, 100, 1_000])
def test_shuffling_is_a_permutation_for_every_key(size: int) -> None:
    for key in range(0, 2**64, 2**61 + 12_345):
        places = [shuffled(index, size, key) for index in range(size)]
        assert sorted(places) == list(range(size))


def test_shuffling_puts_every_index_everywhere_equally_often() -> None:
    counts = np.zeros((5, 5))
    for key in range(4_000):
        counts[range(5), [shuffled(index, 5, key << 20) for index in range(5)]] += 1
    assert np.abs(counts - 800).max() < 5 * 800**0.5
    places = [shuffled(index, 10_000, 3) for index in range(10_000)]
    assert abs(np.corrcoef(range(10_000), places)[0, 1]) < 0.05
    assert abs(np.corrcoef(places[1:], places[:-1])[0, 1]) < 0.05
