"""Scenes: what is said about them is true, and drawing shows it."""

import numpy as np
import pytest

from otter.nano.scenes import (
    COLOURS,
    DIRECTIONS,
    HELD_OUT,
    KINDS,
    PLACES,
    SHAPES,
    SIZES,
    TRAINED,
    Scene,
    Thing,
    difference,
    draw,
    draw_frames,
    motion,
    random_scene,
    story,
)

SEEDS = range(150)


def test_eight_kinds_are_held_out_one_of_each_shape_and_colour() -> None:
    assert len(KINDS) == 64
    assert len(set(HELD_OUT)) == 8
    assert {shape for shape, _ in HELD_OUT} == set(SHAPES)
    assert {colour for _, colour in HELD_OUT} == set(COLOURS)
    assert set(TRAINED) == set(KINDS) - set(HELD_OUT)


@pytest.mark.parametrize("seed", range(30))
def test_things_of_a_scene_differ_in_kind_and_place_and_no_kind_is_held_out(seed: int) -> None:
    things = random_scene(np.random.default_rng(seed)).things
    assert 1 <= len(things) <= 4
    assert len({thing.kind for thing in things}) == len({t.place for t in things}) == len(things)
    assert {thing.kind for thing in things} <= set(TRAINED)


def test_a_kind_that_is_asked_for_comes_first() -> None:
    rng = np.random.default_rng(0)
    for kind in KINDS:
        scene = random_scene(rng, kind=kind)
        assert scene.things[0].kind == kind
        assert len({thing.kind for thing in scene.things}) == len(scene.things)
    assert len(random_scene(rng, 1, KINDS[3]).things) == 1


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("shape", ["circle", "square", "diamond", "cross", "star", "triangle"])
def test_a_thing_is_drawn_in_its_colour_where_it_is(shape: str, place: int) -> None:
    for colour, wanted in COLOURS.items():
        scene = Scene((Thing(shape, colour, "large", place),))
        pixels = draw(scene, np.random.default_rng(0)).astype(float)
        x, y = (round(c) for c in scene.things[0].centre)
        assert (x >= 24, y >= 24) == ("right" in PLACES[place], "bottom" in PLACES[place])
        assert pixels[y - 1 : y + 2, x - 1 : x + 2].mean((0, 1)) == pytest.approx(wanted, abs=45)


def test_a_large_thing_covers_more_than_a_small_one() -> None:
    empty = draw(Scene(()), np.random.default_rng(0)).astype(float)

    def covered(size: str) -> float:
        scene = Scene((Thing("circle", "white", size, 0),))
        pixels = draw(scene, np.random.default_rng(0)).astype(float)
        return float((np.abs(pixels - empty).mean(-1) > 60).mean())

    small, large = (covered(size) for size in SIZES)
    assert large > 2 * small > 0


def test_a_difference_is_in_one_thing_and_the_words_say_which() -> None:
    for seed in SEEDS:
        before, after, words = difference(np.random.default_rng(seed))
        gone = set(before.things) - set(after.things)
        new = set(after.things) - set(before.things)
        assert len(gone) <= 1
        assert len(new) <= 1
        assert words == said(gone, new)
        assert {thing.kind for thing in (*before.things, *after.things)} <= set(TRAINED)
        places = [thing.place for thing in after.things]
        assert len(set(places)) == len(places)


def said(gone: set[Thing], new: set[Thing]) -> str:
    """The difference in words, worked out from what went and what came."""
    if not gone:
        [thing] = new
        return f"a {thing.colour} {thing.shape} was added"
    [old] = gone
    known = f"the {old.colour} {old.shape}"
    if not new:
        return f"{known} was removed"
    [thing] = new
    if thing.place != old.place:
        assert thing.kind == old.kind
        return f"{known} moved to the {PLACES[thing.place]}"
    assert thing.shape == old.shape
    assert thing.colour != old.colour
    return f"{known} became {thing.colour}"


def test_a_motion_is_of_one_thing_in_the_direction_that_is_said() -> None:
    for seed in SEEDS:
        scenes, mover, direction = motion(np.random.default_rng(seed))
        assert len(scenes) == 4
        across, down = DIRECTIONS[direction]
        for scene in scenes:
            assert scene.things[-1].kind == mover.kind
            assert scene.things[:-1] == scenes[0].things[:-1]
        steps = np.diff([scene.things[-1].centre for scene in scenes], axis=0)
        assert (steps * [across, down] >= 0).all()
        assert (np.abs(steps @ [across, down]) > 5).all()
        assert np.allclose(steps @ [down, across], 0)


def test_a_story_goes_up_or_down_by_one() -> None:
    for seed in SEEDS:
        scenes, following = story(np.random.default_rng(seed))
        counts = [len(scene.things) for scene in scenes]
        assert len(counts) == 3
        steps = set(np.diff([*counts, following]).tolist())
        assert steps in ({1}, {-1})


def test_frames_of_a_clip_share_their_ground() -> None:
    scenes, *_ = motion(np.random.default_rng(3))
    frames = np.stack(draw_frames(scenes, np.random.default_rng(0))).astype(float)
    still = np.abs(np.diff(frames, axis=0)).mean(-1) == 0
    assert still.mean() > 0.5
