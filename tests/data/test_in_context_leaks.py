"""No policy leaks, whatever the store: random small stores, checked against the plain records."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from tests.data.nearness import near_candidates

from otter.data import POLICIES, Candidates, Record, Store, StoreWriter

SHARING = ("same-media", "related")
"""The policies that may show a picture of the question again."""

INSTRUCTIONS = ("How many?", "how  many? ", "What colour?", "WHAT COLOUR?", "Who runs?", "")
STRETCHES = ((None, None), (0.0, 4.0), (3.0, 8.0), (4.0, 6.0), (8.0, None))


@dataclass
class World:
    """A random store, with what the test itself knows of each record."""

    store: Store
    records: list[Record]
    shown: list[set[tuple[str, float]]]

    def asks_same(self, one: int, other: int) -> bool:
        return plain(self.records[one]) == plain(self.records[other])

    def shares(self, one: int, other: int) -> bool:
        return not self.shown[one].isdisjoint(self.shown[other])


def plain(record: Record) -> str:
    return " ".join(record.instruction.lower().split())


def random_world(folder: Path, seed: int, picture: Callable[[int], bytes]) -> World:
    generator = np.random.default_rng(seed)
    images, videos = int(generator.integers(2, 9)), int(generator.integers(0, 3))
    seconds: dict[str, set[tuple[str, float]]] = {}
    with StoreWriter(folder) as writer:
        for number in range(images):
            # Some pictures stand under two ids.
            writer.add_image(f"v{number % 2}_{number:03}", picture(number))
            writer.add_image(f"copy{number}", picture(number))
            for name in (f"v{number % 2}_{number:03}", f"copy{number}"):
                seconds[name] = {("picture", number)}
        for number in range(videos):
            (folder.parent / f"{number}.mp4").write_bytes(bytes([number]))
            for start, end in STRETCHES:
                name = f"video {number} {start} {end}"
                writer.add_video(name, folder.parent / f"{number}.mp4", start=start, end=end)
                stop = 20 if end is None else end
                seconds[name] = {
                    (f"{number}.mp4", half / 2)
                    for half in range(int(2 * (start or 0)), int(2 * stop))
                }
        names = sorted(seconds)
        still = [name for name in names if not name.startswith("video")]
        records: list[Record] = []
        for number in range(int(generator.integers(3, 40))):
            media: list[tuple[str, ...]] = []
            for _ in range(int(generator.choice([0, 1, 1, 1, 2]))):
                if generator.random() < 0.3:
                    media.append(tuple(generator.choice(still, size=3).tolist()))
                else:
                    media.append((str(generator.choice(names)),))
            instruction = str(generator.choice(INSTRUCTIONS if media else INSTRUCTIONS[:-1]))
            split = "train" if number == 0 or generator.random() < 0.7 else "test"
            lenders = [r.id for r in records if split != "train" or r.split == "train"]
            related = generator.choice(lenders, size=min(len(lenders), 3), replace=False)
            records.append(
                Record(
                    f"r{number}",
                    instruction,
                    str(generator.choice(["yes", "no", "two"])),
                    tuple(media),
                    tuple(related.tolist()) if lenders else (),
                    split=split,
                )
            )
            writer.add_record(records[-1])
    shown = [
        {second for medium in record.media for name in medium for second in seconds[name]}
        for record in records
    ]
    return World(Store(folder), records, shown)


@pytest.fixture(scope="module")
def worlds(
    tmp_path_factory: pytest.TempPathFactory, picture: Callable[[int], bytes]
) -> list[World]:
    folder = tmp_path_factory.mktemp("worlds")
    worlds = []
    for seed in range(12):
        (folder / str(seed)).mkdir()
        worlds.append(random_world(folder / str(seed) / "store", seed, picture))
    return worlds


@pytest.mark.parametrize("name", POLICIES)
def test_no_policy_leaks_in_any_store(name: str, worlds: list[World]) -> None:
    given = 0
    for seed, world in enumerate(worlds):
        candidates = near_candidates(world.store, seed=seed)
        for row, question in enumerate(world.records):
            chosen = POLICIES[name](candidates, row, 4, np.random.default_rng((seed, row)))
            given += len(chosen)
            assert len(set(chosen.tolist())) == len(chosen) <= 4
            for other in chosen.tolist():
                assert other != row
                if question.split == "train":
                    assert world.records[other].split == "train"
                shares = world.shares(row, other)
                if name not in SHARING:
                    assert not shares, (question, world.records[other])
                is_bare = not world.shown[row] and not world.shown[other]
                assert not (world.asks_same(row, other) and (shares or is_bare))
    assert given > 0


@pytest.mark.parametrize("name", [name for name in POLICIES if name != "neighbours-in-time"])
def test_fewer_come_only_where_there_are_no_more(name: str, worlds: list[World]) -> None:
    for seed, world in enumerate(worlds):
        candidates = near_candidates(world.store, seed=seed)
        for row in range(len(world.records)):
            fitting = [
                other for other in range(len(world.records)) if fits(world, name, row, other)
            ]
            if name in ("similar-media", "image-then-text") and not world.shown[row]:
                fitting = []
            chosen = POLICIES[name](candidates, row, 4, np.random.default_rng((seed, row)))
            assert len(chosen) == min(4, len(fitting))
            assert set(chosen.tolist()) <= set(fitting)


def fits(world: World, name: str, row: int, other: int) -> bool:
    """What a policy may give, in the terms of the records."""
    question, example = world.records[row], world.records[other]
    shares, same = world.shares(row, other), world.asks_same(row, other)
    is_bare = not world.shown[row] and not world.shown[other]
    if row == other or (question.split == "train" != example.split) or (same and is_bare):
        return False
    if same and shares:
        return False
    kind = {
        "related": example.id in question.related,
        "same-media": shares and not same,
        "same-instruction": same and not shares,
        "similar-media": bool(example.media) and not shares,
        "image-then-text": bool(example.media) and not shares,
    }
    return kind.get(name, not shares)


def test_one_record_and_many_are_judged_alike(worlds: list[World]) -> None:
    for world in worlds:
        candidates = Candidates(world.store)
        for row in range(len(world.records)):
            for other_media in (False, True):
                guard = candidates.guard(row, other_media=other_media)
                together = candidates.allowed(row, candidates.rows, other_media=other_media)
                assert together.tolist() == [r for r in candidates.rows.tolist() if guard(r)]
                drawn = candidates.draw(
                    candidates.rows, 1, row, np.random.default_rng(0), other_media=other_media
                )
                assert sorted(drawn) == together.tolist()


def test_sharing_media_means_a_common_picture_or_second(worlds: list[World]) -> None:
    for world in worlds:
        candidates = Candidates(world.store)
        for row in range(len(world.records)):
            for other in range(len(world.records)):
                assert candidates.share_media(row, other) == world.shares(row, other)


def test_equal_media_have_one_code(worlds: list[World]) -> None:
    for world in worlds:
        codes = Candidates(world.store).index.media.tolist()
        media = [
            tuple(image for medium in world.store.record(row).media for image in medium)
            for row in range(len(codes))
        ]
        for one, own in zip(media, codes, strict=True):
            assert (own == -1) == (not one)
            for other, others in zip(media, codes, strict=True):
                assert (own == others) == (one == other)
