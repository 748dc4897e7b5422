"""Pictures: the same bytes whoever draws them, and what was drawn is remembered."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from otter.nano.glyphs import SIZE
from otter.nano.pictures import draw_pictures
from otter.nano.scenes import HELD_OUT, TRAINED

from .conftest import MANY_CLASSES, TINY, Drawn


def test_the_bytes_and_their_order_do_not_depend_on_the_number_of_workers() -> None:
    drawn = []
    for workers in (1, 3):
        pictures: list[tuple[str, bytes]] = []
        draw_pictures(MANY_CLASSES, lambda *both: pictures.append(both), 5, workers)  # noqa: B023
        drawn.append(pictures)
    assert drawn[0] == drawn[1]
    assert len({name for name, _ in drawn[0]}) == len(drawn[0]) == 320 + 56 + 3 + 4 + 8 + 6


def test_another_seed_draws_other_pictures_of_the_same_classes(drawn: Drawn) -> None:
    other = Drawn(replace(TINY, held_out_kinds=True), seed=6)
    assert other.jpegs.keys() == drawn.jpegs.keys()
    assert not set(other.jpegs.values()) & set(drawn.jpegs.values())


def test_every_picture_is_48_pixels_wide_and_high(drawn: Drawn) -> None:
    for name in list(drawn.jpegs)[::37]:
        assert Image.open(io.BytesIO(drawn.jpegs[name])).size == (SIZE, SIZE), name


def test_all_that_was_asked_for_is_there_under_its_id(drawn: Drawn) -> None:
    pictures = drawn.pictures
    assert [len(ids) for ids in pictures.glyphs] == [10] * 12
    assert pictures.glyphs[3][1] == "glyph/7003/1"
    assert {kind: len(ids) for kind, ids in pictures.kinds.items()} == dict.fromkeys(
        [*TRAINED, *HELD_OUT], 3
    )
    assert len(pictures.scenes) == 60
    assert len(pictures.held_out_scenes) == 15
    assert [len(c) for c in (pictures.pairs, pictures.clips, pictures.stories)] == [40, 30, 30]
    assert [len(clip.frames) for clip in pictures.pairs[:1]] == [2]
    assert {len(clip.frames) for clip in pictures.clips} == {4}
    assert {len(clip.frames) for clip in pictures.stories} == {3}
    named = {name for ids in (*pictures.glyphs, *pictures.kinds.values()) for name in ids}
    named |= {shown.id for shown in (*pictures.scenes, *pictures.held_out_scenes)}
    named |= {name for frames in drawn.scenes_of for name in frames}
    assert named == drawn.jpegs.keys()


def drawn_scenes(drawn: Drawn) -> list:
    """All scenes but the pictures of single things."""
    shown = [picture.scene for picture in drawn.pictures.scenes]
    return shown + [scene for scenes in drawn.scenes_of.values() for scene in scenes]


def test_no_scene_or_clip_shows_a_kind_that_is_held_out(drawn: Drawn) -> None:
    kinds = {thing.kind for scene in drawn_scenes(drawn) for thing in scene.things}
    assert kinds <= set(TRAINED)
    assert {shown.scene.things[0].kind for shown in drawn.pictures.held_out_scenes} <= set(HELD_OUT)


def test_groups_by_shape_and_by_colour_leave_held_out_kinds_aside(drawn: Drawn) -> None:
    for groups, part in ((drawn.pictures.by_shape(), 1), (drawn.pictures.by_colour(), 0)):
        assert len(groups) == 8
        for ids in groups:
            words = [name.split("/")[1].split() for name in ids]
            assert len({colour_and_shape[part] for colour_and_shape in words}) == 1
            assert not {(shape, colour) for colour, shape in words} & set(HELD_OUT)


@pytest.mark.parametrize("held_out", [False, True])
@pytest.mark.parametrize("mark", ["shape", "colour"])
def test_the_thing_to_ask_about_is_the_only_one_with_its_mark(
    drawn: Drawn, mark: str, held_out: bool
) -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        shown, thing = drawn.pictures.telling(mark, rng, held_out=held_out)
        same = [t for t in shown.scene.things if getattr(t, mark) == getattr(thing, mark)]
        assert same == [thing]
        assert (thing.kind in HELD_OUT) == held_out
