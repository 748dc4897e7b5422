"""Any number of ranks and workers share an epoch: nothing lost, nothing twice, resumed exactly."""

import pickle
from collections import Counter
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from otter.data import Mixture, Part, Record, Store, StoreWriter


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("stores") / "hundred"
    with StoreWriter(folder) as writer:
        for number in range(100):
            related = tuple(str((number + step) % 100) for step in (1, 2, 3))
            writer.add_record(Record(str(number), f"number {number}?", "!", related=related))
    return Store(folder)


def random_mixture(store: Store, generator: np.random.Generator, **options: Any) -> Mixture:
    parts = [
        Part(
            store,
            generator.choice(100, size=int(generator.integers(1, 60)), replace=False),
            weight=float(generator.uniform(0.5, 3)),
            shots=[None, 2, (0, 3), {0: 0.5, 3: 0.5}][int(generator.integers(4))],
            example_order=str(generator.choice(["as-stored", "shuffled"])),  # type: ignore[arg-type]
        )
        for _ in range(int(generator.integers(1, 4)))
    ]
    return Mixture(parts, seed=int(generator.integers(1_000)), **options)


def all_positions(mixture: Mixture, ranks: int, workers: int, **options: int) -> list[list[int]]:
    """What each worker of each rank reads, rank by rank."""
    return [
        list(mixture.positions(rank=rank, ranks=ranks, worker=worker, workers=workers, **options))
        for rank in range(ranks)
        for worker in range(workers)
    ]


def test_every_position_belongs_to_exactly_one_worker_of_one_rank(store: Store) -> None:
    generator = np.random.default_rng(0)
    for _ in range(200):
        mixture = random_mixture(store, generator, length=int(generator.integers(1, 90)))
        start = int(generator.integers(0, len(mixture) + 1))
        shares = all_positions(
            mixture,
            int(generator.integers(1, 5)),
            int(generator.integers(1, 5)),
            start=start,
            batch_size=int(generator.integers(1, 6)),
        )
        assert sorted(chain(*shares)) == list(range(start, len(mixture)))
        assert all(share == sorted(share) for share in shares)


def test_a_run_goes_on_with_other_ranks_and_workers_where_it_stopped(store: Store) -> None:
    generator = np.random.default_rng(1)
    for _ in range(100):
        mixture = Mixture([Part(store)], length=100)
        batch = int(generator.integers(1, 5))
        seen: list[int] = []
        start = 0
        while start < 100:
            ranks, workers = (int(n) for n in generator.integers(1, 5, size=2))
            steps = int(generator.integers(1, 6))
            for rank in range(ranks):
                streams = [
                    mixture.positions(
                        rank=rank,
                        ranks=ranks,
                        worker=worker,
                        workers=workers,
                        start=start,
                        batch_size=batch,
                    )
                    for worker in range(workers)
                ]
                # A loader takes a batch from each of its workers in turn.
                for step in range(steps):
                    stream = streams[step % workers]
                    seen += islice(stream, batch)
            start = min(100, start + steps * ranks * batch)
            assert sorted(seen) == list(range(start))


def test_batches_are_dealt_as_the_docstring_says(store: Store) -> None:
    shares = all_positions(Mixture([Part(store)], length=16), 2, 2, batch_size=2)
    assert shares == [[0, 1, 8, 9], [4, 5, 12, 13], [2, 3, 10, 11], [6, 7, 14, 15]]


def test_a_stream_gives_the_episodes_of_its_positions(store: Store) -> None:
    generator = np.random.default_rng(2)
    for _ in range(10):
        mixture = random_mixture(store, generator)
        copy = pickle.loads(pickle.dumps(mixture))
        for place, episode in copy.stream(rank=1, ranks=3, start=2, batch_size=2):
            assert episode == mixture[place]


@pytest.mark.parametrize("order", ["shuffled", "written"])
def test_repeats_show_every_record_as_often_as_its_weight_says(store: Store, order: Any) -> None:
    generator = np.random.default_rng(3)
    for _ in range(40):
        sizes = generator.integers(1, 30, size=3)
        repeats = generator.choice([1, 2, 5], size=3)
        parts = [
            Part(store, generator.choice(100, size=size, replace=False), weight=float(repeat))
            for size, repeat in zip(sizes, repeats, strict=True)
        ]
        mixture = Mixture(parts, seed=int(generator.integers(99)), weights="repeats", order=order)
        assert len(mixture) == int((sizes * repeats).sum())
        for epoch in range(3):
            later = mixture.at_epoch(epoch)
            shares = all_positions(later, 2, 3, batch_size=2)
            seen = Counter(
                (draw.part, draw.row) for p in chain(*shares) for draw in [later.draw(p)]
            )
            expected = {
                (number, row): repeat
                for number, (part, repeat) in enumerate(zip(parts, repeats, strict=True))
                for row in np.asarray(part.rows).tolist()
            }
            assert seen == expected


def test_a_part_of_half_weight_shows_its_other_half_in_the_next_epoch(store: Store) -> None:
    parts = [Part(store, np.arange(40), weight=0.5), Part(store, np.arange(40, 100))]
    mixture = Mixture(parts, seed=5, weights="repeats")
    assert len(mixture) == 80
    halves = [
        {draw.row for draw in map(mixture.at_epoch(epoch).draw, range(80)) if draw.part == 0}
        for epoch in range(2)
    ]
    assert len(halves[0]) == len(halves[1]) == 20
    assert halves[0] | halves[1] == set(range(40))


def test_repeats_go_on_behind_the_first_epoch_of_a_longer_run(store: Store) -> None:
    parts = [Part(store, np.arange(7), weight=2), Part(store, np.arange(7, 20))]
    short, long = (Mixture(parts, seed=9, weights="repeats", length=n) for n in (27, 81))
    draws = [long.draw(place) for place in range(81)]
    assert draws == [short.at_epoch(e).draw(place) for e in range(3) for place in range(27)]
    assert [draw.row for draw in draws[:27]] != [draw.row for draw in draws[27:54]]


def test_the_written_order_of_repeats_is_part_after_part(store: Store) -> None:
    parts = [Part(store, np.array([5, 3]), weight=2), Part(store, np.array([8]))]
    mixture = Mixture(parts, weights="repeats", order="written")
    assert [mixture.draw(p).row for p in range(len(mixture))] == [5, 3, 5, 3, 8]
    assert [row.share for row in mixture.table()] == [0.8, 0.2]


def test_repeats_are_mixed_well(store: Store) -> None:
    parts = [Part(store, np.arange(50)), Part(store, np.arange(50, 100))]
    mixture = Mixture(parts, seed=1, weights="repeats", length=1_000)
    firsts = np.array([mixture.draw(place).part for place in range(1_000)])
    for start in range(0, 1_000, 100):
        assert firsts[start : start + 100].sum() == 50
        assert 10 <= firsts[start : start + 50].sum() <= 40


def test_an_epoch_is_the_same_from_wherever_it_is_reached(store: Store) -> None:
    generator = np.random.default_rng(4)
    for weights in ("shares", "repeats"):
        mixture = random_mixture(store, generator, weights=weights, epoch=3)
        again = mixture.at_epoch(0).at_epoch(3)
        assert [again[p] for p in range(len(again))] == [mixture[p] for p in range(len(mixture))]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 2, "ranks": 2}, "rank = 2: expected 0 to 1"),
        ({"worker": -1}, "worker = -1: expected 0 to 0"),
        ({"start": 101}, "start = 101: expected 0 to 100"),
        ({"batch_size": 0}, "batch_size = 0: expected 1 or more"),
    ],
)
def test_an_impossible_share_is_refused(
    store: Store, options: dict[str, int], message: str
) -> None:
    with pytest.raises(ValueError) as raised:
        Mixture([Part(store)]).stream(**options)
    assert str(raised.value) == message


def test_impossible_weights_are_refused(store: Store) -> None:
    with pytest.raises(ValueError) as raised:
        Mixture([Part(store)], weights="odds")  # type: ignore[arg-type]
    assert str(raised.value) == "weights = 'odds': expected 'shares' or 'repeats'"
    with pytest.raises(ValueError) as raised:
        Mixture([Part(store, weight=0.004)], weights="repeats")
    assert str(raised.value) == (
        "part 'hundred': weight = 0.004 of 100 records repeats none: expected at least 0.01; "
        "leave the part out"
    )


def test_a_mixture_needs_no_folder_but_that_of_its_stores(store: Store, tmp_path: Path) -> None:
    before = sorted(store.folder.iterdir())
    list(Mixture([Part(store, example_order="shuffled")]).stream())
    assert sorted(store.folder.iterdir()) == before
