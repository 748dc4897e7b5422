"""Examples that are like the question: nearest first, and what happens where there are few."""

from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from tests.data.nearness import BruteNeighbours

from otter.data import Candidates, Record, Store, StoreWriter
from otter.data.in_context import image_then_text, similar_instruction, similar_media
from otter.data.in_context_similar import first_request, one_of_each

QUESTIONS = ("how many?", "how much?", "what colour?", "who runs?")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, picture: Callable[[int], bytes]) -> Store:
    """Four questions about each of 20 pictures; row 4 n + q is question q about picture n."""
    folder = tmp_path_factory.mktemp("stores") / "line"
    with StoreWriter(folder) as writer:
        for number in range(20):
            writer.add_image(f"I{number}", picture(number))
        for number, (place, question) in product(range(20), enumerate(QUESTIONS)):
            writer.add_record(Record(f"{number}.{place}", question, "!", ((f"I{number}",),)))
        writer.add_record(Record("text", "HOW many?", "!"))
    return Store(folder)


@pytest.fixture
def candidates(store: Store) -> Candidates:
    """Pictures of neighbouring numbers are near, and so are neighbouring questions."""
    candidates = Candidates(store)
    angles = {"media": np.arange(20) / 20, "instruction": np.arange(4) / 4}
    for kind, angle in angles.items():
        vectors = np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)
        candidates.neighbours[kind] = BruteNeighbours(vectors, np.arange(len(angle)))
    return candidates


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_similar_media_takes_one_record_of_each_of_the_nearest_pictures(
    candidates: Candidates,
) -> None:
    chosen = similar_media(candidates, 40, 4, generator())  # about picture 10
    pictures = (chosen // 4).tolist()
    assert set(pictures) == {8, 9, 11, 12}
    assert {*pictures[:2]} == {9, 11}
    questions = {
        int(row) % 4
        for seed in range(20)
        for row in similar_media(candidates, 40, 1, generator(seed))
    }
    assert questions == {0, 1, 2, 3}, "which of its records is left to chance"


def test_similar_media_takes_further_records_only_when_the_pictures_run_out(
    store: Store, candidates: Candidates
) -> None:
    few = Candidates(store, np.arange(36, 48), neighbours=candidates.neighbours)
    neighbours = candidates.neighbours["media"]
    few.neighbours["media"] = BruteNeighbours(neighbours.vectors, np.array([9, 10, 11]))  # type: ignore[attr-defined]
    chosen = similar_media(few, 40, 5, generator())
    assert sorted((chosen[:2] // 4).tolist()) == [9, 11]
    assert sorted((chosen[2:4] // 4).tolist()) == [9, 11]
    assert len(set(chosen.tolist())) == 5
    assert len(similar_media(few, 40, 50, generator())) == 8


def test_a_question_without_pictures_has_no_similar_media(candidates: Candidates) -> None:
    assert similar_media(candidates, 80, 4, generator()).tolist() == []
    assert image_then_text(candidates, 80, 4, generator()).tolist() == []


def test_similar_instruction_begins_with_those_that_ask_the_same(candidates: Candidates) -> None:
    chosen = similar_instruction(candidates, 41, 25, generator())  # "how much?" of picture 10
    assert [row % 4 for row in chosen[:19].tolist()] == [1] * 19
    assert {row % 4 for row in chosen[19:].tolist()} <= {0, 2}
    assert 10 not in (chosen // 4).tolist()[:24]


def test_letter_case_does_not_make_another_instruction(candidates: Candidates) -> None:
    chosen = similar_instruction(candidates, 80, 3, generator())
    assert {row % 4 for row in chosen.tolist()} == {0}
    drawn = {
        int(row)
        for seed in range(80)
        for row in similar_instruction(candidates, 80, 3, generator(seed))
    }
    assert len(drawn) == 20, "each of the records that ask the same may come"


def test_image_then_text_asks_the_most_similar_about_the_nearest_pictures(
    candidates: Candidates,
) -> None:
    chosen = image_then_text(candidates, 42, 3, generator())  # "what colour?" of picture 10
    assert [row % 4 for row in chosen.tolist()] == [2, 2, 2]
    assert set((chosen[:2] // 4).tolist()) == {9, 11}, (
        "of those that ask alike, the nearest picture"
    )
    # 13 pictures are looked at, so that 12 others ask the same; then comes what is near to it.
    many = image_then_text(candidates, 42, 16, generator())
    assert [row % 4 for row in many.tolist()][:16] == [2] * 16


def test_neighbours_are_asked_for_more_until_there_are_enough(
    store: Store, candidates: Candidates
) -> None:
    neighbours = candidates.neighbours["media"]
    assert isinstance(neighbours, BruteNeighbours)
    similar_media(candidates, 40, 1, generator())
    assert neighbours.asked == [first_request(1)]
    neighbours.asked.clear()
    similar_media(candidates, 40, 19, generator())
    assert neighbours.asked == [first_request(19)], "all pictures at once: none is left to ask for"
    lonely = Candidates(store, np.array([0, 76]), neighbours=candidates.neighbours)
    assert similar_media(lonely, 40, 2, generator()).tolist() in ([0, 76], [76, 0])


def test_policies_without_their_neighbours_say_what_is_missing(store: Store) -> None:
    with pytest.raises(ValueError) as raised:
        similar_media(Candidates(store), 0, 4, generator())
    assert str(raised.value) == (
        "neighbours of kind 'media': expected in Candidates(neighbours=...), but there are none; "
        "otter.build.selection makes them"
    )


def test_one_of_each_goes_round() -> None:
    groups = [[1, 2, 3], [], [4], [5, 6]]

    def chosen(count: int) -> list[int]:
        return one_of_each((iter(group) for group in groups), count).tolist()

    assert chosen(0) == []
    assert chosen(2) == [1, 4]
    assert chosen(3) == [1, 4, 5]
    assert chosen(5) == [1, 4, 5, 2, 6]
    assert chosen(9) == [1, 4, 5, 2, 6, 3]


def test_no_examples_are_no_rows(candidates: Candidates) -> None:
    for policy in (similar_media, similar_instruction, image_then_text):
        assert policy(candidates, 0, 0, generator()).tolist() == []


def test_a_store_without_a_record_in_a_chapter_is_no_problem(
    tmp_path: Path, picture: Callable[[int], bytes]
) -> None:
    with StoreWriter(tmp_path / "store") as writer:
        writer.add_record(Record("a", "one?", "!"))
        writer.add_record(Record("b", "two?", "!"))
    candidates = Candidates(Store(tmp_path / "store"))
    assert candidates.index.media.tolist() == [-1, -1]
    assert candidates.index.clip_times.videos.tolist() == [-1, -1]
    assert candidates.by_media.members(-1).tolist() == []
