"""What an episode of a part looks like: how many examples, in which order, and what has to fit."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from otter.data import Mixture, Part, Record, Store, StoreWriter
from otter.data.mixture_part import TURN_TOKENS, estimated_tokens
from otter.prompt import Episode, is_clip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, picture: Callable[[int], bytes]) -> Store:
    """Text, a picture, two, or a clip; the examples of record n are n-1, n-2, down to n-6."""
    folder = tmp_path_factory.mktemp("stores") / "kinds"
    with StoreWriter(folder) as writer:
        for number in range(20):
            writer.add_image(f"I{number}", picture(number))
        for number in range(200):
            one, two = f"I{number % 20}", f"I{(number + 7) % 20}"
            media = ((), ((one,),), ((one,), (two,)), ((one, two, one),))[number % 4]
            related = tuple(str(other) for other in range(number - 1, max(-1, number - 7), -1))
            words = " ".join(["word"] * (number * number % 11))
            writer.add_record(Record(str(number), f"{number} {words}", "!", media, related))
    return Store(folder)


ROWS = np.arange(6, 200)


def episodes(part: Part, seed: int = 0) -> dict[int, Episode]:
    """The episodes by the row of their question."""
    mixture = Mixture([part], seed=seed)
    return {mixture.draw(place).row: mixture[place] for place in range(len(mixture))}


def numbers(episode: Episode) -> list[int]:
    return [int(example.question.split()[0]) for example in episode.examples]


def images(*turns: Any) -> int:
    media = [medium for turn in turns for medium in turn.media]
    return sum(len(medium) if is_clip(medium) else 1 for medium in media)


def tokens(turn: Any) -> int:
    text = estimated_tokens(turn.question) + estimated_tokens(turn.answer)
    return text + TURN_TOKENS + len(turn.media)


def test_shots_are_drawn_with_the_stated_probabilities(store: Store) -> None:
    part = Part(store, ROWS, shots={0: 0.2, 1: 0.0, 2: 0.3, 5: 0.5})
    mixture = Mixture([part], length=20_000)
    counts = Counter(mixture.draw(place).shots for place in range(len(mixture)))
    assert set(counts) == {0, 2, 5}
    for shots, share in ((0, 0.2), (2, 0.3), (5, 0.5)):
        assert counts[shots] == pytest.approx(20_000 * share, rel=0.05)
    assert {len(episode.examples) for episode in episodes(part).values()} == {0, 2, 5}


def test_a_certain_number_of_shots_is_always_that(store: Store) -> None:
    mixture = Mixture([Part(store, ROWS, shots={3: 1.0})])
    assert {mixture.draw(place).shots for place in range(len(mixture))} == {3}


def test_most_similar_last_is_the_stored_order_backwards(store: Store) -> None:
    stored = episodes(Part(store, ROWS, shots=4))
    turned = episodes(Part(store, ROWS, shots=4, example_order="most-similar-last"))
    for row in ROWS.tolist():
        assert numbers(stored[row]) == [row - 1, row - 2, row - 3, row - 4]
        assert numbers(turned[row]) == numbers(stored[row])[::-1]


def test_shuffled_examples_are_the_same_in_another_order(store: Store) -> None:
    part = Part(store, ROWS, shots=4, example_order="shuffled")
    found = episodes(part)
    for row in ROWS.tolist():
        assert sorted(numbers(found[row])) == [row - 4, row - 3, row - 2, row - 1]
    orders = Counter(tuple(row - n for n in numbers(found[row])) for row in ROWS.tolist())
    assert len(orders) > 15
    assert {row: numbers(e) for row, e in episodes(part).items()} == {
        row: numbers(e) for row, e in found.items()
    }
    other = episodes(part, seed=1)
    assert any(numbers(other[row]) != numbers(found[row]) for row in ROWS.tolist())


def test_examples_are_shuffled_anew_in_every_pass(store: Store) -> None:
    mixture = Mixture([Part(store, np.array([50]), example_order="shuffled")], length=30)
    assert len({tuple(numbers(episode)) for episode in mixture}) > 10


@pytest.mark.parametrize("order", ["as-stored", "most-similar-last", "shuffled"])
@pytest.mark.parametrize("cap", [1, 3, 4, 7])
def test_no_episode_has_more_images_than_the_cap(store: Store, cap: int, order: Any) -> None:
    free = episodes(Part(store, ROWS))
    for row, episode in episodes(Part(store, ROWS, max_images=cap, example_order=order)).items():
        kept = sorted(numbers(episode), reverse=True)
        assert kept == numbers(free[row])[: len(kept)], "the most similar ones stay"
        assert len(episode.media) == len(free[row].media), "the question always stays whole"
        total = images(episode, *episode.examples)
        assert total <= cap or not kept
        if len(kept) < len(free[row].examples):
            assert total + images(free[row].examples[len(kept)]) > cap, "nothing is left out idly"


@pytest.mark.parametrize("cap", [1, 30, 50, 70])
def test_no_episode_has_more_text_than_the_cap(store: Store, cap: int) -> None:
    free = episodes(Part(store, ROWS))
    counts = set()
    for row, episode in episodes(Part(store, ROWS, max_tokens=cap)).items():
        kept = numbers(episode)
        counts.add(len(kept))
        assert kept == numbers(free[row])[: len(kept)]
        total = tokens(episode) + sum(map(tokens, episode.examples))
        assert total <= cap or not kept
        if len(kept) < len(free[row].examples):
            assert total + tokens(free[row].examples[len(kept)]) > cap
    assert len(counts) > 1 or cap == 1, counts


def test_both_caps_hold_together_with_drawn_shots(store: Store) -> None:
    part = Part(store, ROWS, shots=(0, 6), max_images=5, max_tokens=45)
    for episode in episodes(part).values():
        if episode.examples:
            assert images(episode, *episode.examples) <= 5
            assert tokens(episode) + sum(map(tokens, episode.examples)) <= 45


def test_the_length_of_texts_may_be_counted_in_any_way(store: Store) -> None:
    part = Part(store, ROWS, max_tokens=60, text_length=lambda text: 10)
    free, capped = episodes(Part(store, ROWS)), episodes(part)
    for row in ROWS.tolist():
        sizes = [28 + len(example.media) for example in free[row].examples]
        left = 60 - 28 - len(free[row].media)
        assert len(capped[row].examples) == (1 if sizes[0] <= left else 0)


def test_text_pictures_several_of_them_and_clips_come_together(store: Store) -> None:
    kinds = set()
    for episode in episodes(Part(store, ROWS, shots=6)).values():
        turns = [episode, *episode.examples]
        kinds |= {(len(turn.media), any(map(is_clip, turn.media))) for turn in turns}
        assert len({(len(turn.media), any(map(is_clip, turn.media))) for turn in turns}) == 4
    assert kinds == {(0, False), (1, False), (2, False), (1, True)}


def test_frames_of_a_video_file_count_as_pictures(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video, and never opened")
    with StoreWriter(tmp_path / "store") as writer:
        writer.add_video("v", tmp_path / "a.mp4")
        writer.add_record(Record("watch", "?", "!", (("v",),)))
        writer.add_record(Record("ask", "??", "!", related=("watch",)))
    for cap, count in ((8, 1), (7, 0)):
        part = Part(Store(tmp_path / "store"), np.array([1]), max_images=cap)
        question = part.store.record(1)
        assert len(part._fitting(question, list(question.related))) == count


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("word", 2),
        ("How many cats are there?", 8),
        ("sechs-undzwanzig_drei", 7),
        ("猫は何匹ですか", 10),
        ("고양이", 4),
    ],
)
def test_tokens_are_estimated_by_words_and_signs(text: str, count: int) -> None:
    assert estimated_tokens(text) == count


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"shots": {0: 0.5, 4: 0.6}},
            "shots = {0: 0.5, 4: 0.6}: expected numbers from 0 with their probabilities, which sum "
            "to 1",
        ),
        (
            {"shots": {-1: 1.0}},
            "shots = {-1: 1.0}: expected numbers from 0 with their probabilities, which sum to 1",
        ),
        (
            {"shots": {}},
            "shots = {}: expected numbers from 0 with their probabilities, which sum to 1",
        ),
        (
            {"example_order": "best-last"},
            "example_order = 'best-last': expected one of 'as-stored', 'most-similar-last', "
            "'shuffled'",
        ),
        ({"max_images": 0}, "max_images = 0: expected at least 1, or None for no cap"),
        ({"max_tokens": -5}, "max_tokens = -5: expected at least 1, or None for no cap"),
    ],
)
def test_an_impossible_part_is_refused(store: Store, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as raised:
        Part(store, **options)
    assert str(raised.value) == f"part 'kinds': {message}"
