"""Examples chosen for whole stores, written into them, and measured."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.build.stores import encoded, picture

from otter.build import choosing
from otter.build.selection import SelectionReport, select
from otter.data import POLICIES, Record, Store, StoreWriter
from otter.model.answer import Otter, load

QUESTIONS = ("How many cats?", "How many dogs?", "What colour is the sky?", "Who is running?")


@pytest.fixture(scope="module")
def nano() -> Otter:
    return load("otter-nano", device="cpu")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two tasks of 12 pictures with 4 questions each, a quarter held out; and texts."""
    with StoreWriter(tmp_path / "store") as writer:
        for number in range(24):
            writer.add_image(f"I{number}", picture(number % 12))
        for number in range(24):
            for place, question in enumerate(QUESTIONS):
                writer.add_record(
                    Record(
                        f"{number}.{place}",
                        question,
                        ("yes", "no")[(number + place) % 2],
                        ((f"I{number % 12}",),),
                        related=("0.0",) if number == 1 else (),
                        task="AB"[number // 12],
                        split="test" if number % 4 == 3 else "train",
                    )
                )
        for number in range(4):
            writer.add_record(Record(f"t{number}", f"What is {number}?", "!", task="texts"))
    return Store(tmp_path / "store")


def related(store: Store) -> list[tuple[int, ...]]:
    again = Store(store.folder)
    return [again.record(row).related for row in range(len(again))]


@pytest.mark.parametrize("policy", [name for name in POLICIES if name != "related"])
def test_every_policy_fills_the_store_without_a_leak(
    policy: str, store: Store, nano: Otter
) -> None:
    report = select(store, policy, 3, seed=1, model=nano)
    assert report.questions == len(store)
    counts = [0] * 4
    for row, examples in enumerate(related(store)):
        question = store.record(row)
        counts[len(examples)] += 1
        assert len(set(examples)) == len(examples)
        for other in map(store.record, examples):
            assert other.split == "train"
            assert other.task == question.task
            assert (other.media, other.instruction) != (question.media, question.instruction)
            if policy != "same-media":
                assert not (set(other.media) & set(question.media))
    assert report.with_count == tuple(counts)
    if policy not in ("same-media", "same-instruction", "neighbours-in-time"):
        assert report.fewer <= 4, "only the texts may lack something"


def test_examples_of_a_similarity_are_nearer_than_random_ones(store: Store, nano: Otter) -> None:
    by_text = select(store, "similar-instruction", 2, model=nano).relevance
    assert by_text["instruction"].chosen > by_text["instruction"].random + 0.2
    by_look = select(store, "similar-media", 2, model=nano).relevance
    assert by_look["media"].chosen > by_look["media"].random
    both = select(store, "image-then-text", 2, model=nano).relevance
    assert both["instruction"].chosen > by_look["instruction"].chosen
    assert both["media"].chosen > by_text["media"].chosen
    assert both["media"].pairs == 2 * 96
    none = select(store, "random", 2, model=nano, examples_from=None).relevance
    assert none["media"].chosen == pytest.approx(none["media"].random, abs=0.05)
    balanced = select(store, "label-balanced", 2).relevance
    assert set(balanced) == {"instruction", "same answer"}, "no model, so no pictures are compared"
    # The four texts have two examples each, with the only answer that there is among them.
    assert balanced["same answer"].chosen == pytest.approx((96 + 8) / (192 + 8))


def test_the_same_seed_chooses_the_same_whatever_the_blocks(
    store: Store, nano: Otter, monkeypatch: pytest.MonkeyPatch
) -> None:
    for policy in ("random", "similar-media"):
        select(store, policy, 3, seed=7, model=nano)
        first = related(store)
        monkeypatch.setattr(choosing, "BLOCK", 5)
        select(store, policy, 3, seed=7, model=nano)
        assert related(store) == first
        monkeypatch.undo()
        select(store, policy, 3, seed=8, model=nano)
        assert related(store) != first


def test_other_questions_keep_their_examples(store: Store) -> None:
    before = related(store)
    report = select(store, "random", 2, split="test", tasks="A")
    assert report.questions == 12
    after = related(Store(store.folder))
    for row in range(len(store)):
        record = store.record(row)
        if (record.split, record.task) == ("test", "A"):
            assert len(after[row]) == 2
        else:
            assert after[row] == before[row]


def test_existing_examples_can_be_kept(store: Store) -> None:
    before = related(store)
    report = select(store, "random", 2, keep_existing=True)
    assert report.questions == len(store) - 4
    after = related(store)
    kept = [row for row, examples in enumerate(before) if examples]
    assert len(kept) == 4
    assert all(after[row] == before[row] for row in kept)
    assert select(Store(store.folder), "random", 2, keep_existing=True).questions == 0


def test_examples_may_come_from_other_tasks_when_so_said(store: Store) -> None:
    select(store, "random", 4, seed=3, within_task=False)
    tasks = {
        (store.record(row).task, store.record(other).task)
        for row, examples in enumerate(related(store))
        for other in examples
    }
    assert len(tasks) == 9


def test_held_out_questions_may_have_examples_of_their_own_split(store: Store) -> None:
    report = select(store, "random", 2, split="test", examples_from="test")
    assert report.fewer == 0
    chosen = related(store)
    for row in store.rows("test").tolist():
        assert {store.record(other).split for other in chosen[row]} == {"test"}
    assert select(store, "random", 2, split="train", examples_from="test").with_count == (76, 0, 0)


def test_related_keeps_of_the_old_choice_what_is_sound(store: Store) -> None:
    assert select(store, "related", 4).with_count == (96, 4, 0, 0, 0)


def test_the_manifest_says_how_examples_were_chosen(store: Store, nano: Otter) -> None:
    select(store, "image-then-text", 2, seed=5, tasks=["A", "B"], model=nano)
    chosen = json.loads((store.folder / "manifest.json").read_text())["selection"]
    assert (chosen["policy"], chosen["shots"], chosen["seed"]) == ("image-then-text", 2, 5)
    assert (chosen["tasks"], chosen["split"]) == (["A", "B"], None)
    assert (chosen["model"], chosen["text_encoder"]) == ("otter-nano", "tfidf")
    assert len(chosen["model_checksum"]) == 64
    assert (chosen["questions"], chosen["examples"]) == (96, 192)


def test_a_choice_can_be_measured_without_being_written(store: Store) -> None:
    before = (store.folder / "manifest.json").read_bytes()
    assert select(store, "random", 2, save=False).questions == len(store)
    assert (store.folder / "manifest.json").read_bytes() == before


def test_any_encoder_of_texts_decides_what_is_similar(store: Store) -> None:
    def last_letters(texts: object) -> object:
        # "dogs?" and "sky?" are near to each other here, and to nothing else.
        return np.array([[1.0, 0.0] if "dogs" in t or "sky" in t else [0.0, 1.0] for t in texts])  # type: ignore[attr-defined]

    select(store, "similar-instruction", 12, text_encoder=last_letters, tasks="A")  # type: ignore[arg-type]
    for row, examples in enumerate(related(store)[:48]):
        asked = {row % 4 for row in examples}
        assert asked <= ({1, 2} if row % 4 in (1, 2) else {0, 3})


def test_the_same_photograph_in_another_file_can_be_refused(tmp_path: Path, nano: Otter) -> None:
    with StoreWriter(tmp_path / "store") as writer:
        for number in range(8):
            writer.add_image(f"png {number}", picture(number))
            with Image.open(io.BytesIO(picture(number))) as image:
                writer.add_image(f"bmp {number}", encoded(image, "BMP"))
            for kind in ("png", "bmp"):
                media = ((f"{kind} {number}",),)
                writer.add_record(Record(f"{kind} {number}", "What is it?", str(number), media))
    store = Store(tmp_path / "store")
    same = select(store, "similar-media", 1, model=nano).relevance["same answer"]
    assert same.chosen == 1, "the nearest picture is the same in another format"
    report = select(store, "similar-media", 3, model=nano, max_similarity=0.9999)
    assert report.relevance["same answer"].chosen == 0
    assert report.fewer == 0


def test_progress_is_told(store: Store, nano: Otter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "BLOCK", 40)
    told: list[tuple[str, int, int]] = []
    select(store, "similar-media", 1, model=nano, on_progress=lambda *counts: told.append(counts))
    assert told == [
        ("pictures", 12, 12),
        ("questions", 40, 100),
        ("questions", 48, 100),
        ("questions", 88, 100),
        ("questions", 96, 100),
        ("questions", 100, 100),
    ]


def test_a_report_counts_what_is_missing() -> None:
    report = SelectionReport("random", 2, 0, (3, 2, 5))
    assert (report.questions, report.fewer) == (10, 5)
    assert json.loads(json.dumps(report.as_json()))["with_count"] == [3, 2, 5]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"policy": "similar-image"},
            f"policy = 'similar-image': expected one of {', '.join(POLICIES)}; did you mean "
            "'similar-media'?",
        ),
        ({"shots": 0}, "shots = 0: expected at least 1 example"),
        ({"seed": -1}, "seed = -1: expected 0 or more"),
        ({"split": "dev"}, "store: split = 'dev': expected one of 'test', 'train'"),
        ({"examples_from": "dev"}, "store: split = 'dev': expected one of 'test', 'train'"),
        ({"tasks": ["C"]}, "store: task = 'C': expected one of 'A', 'B', 'texts'"),
    ],
)
def test_an_impossible_choice_is_refused(
    store: Store, options: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError) as raised:
        select(store, **{"policy": "random", "shots": 1, **options})  # type: ignore[arg-type]
    assert str(raised.value) == message
