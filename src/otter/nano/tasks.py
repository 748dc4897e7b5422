"""What is asked about nano pictures: turns in groups that share a task, earlier ones teach later.

In *naming*, *rule* and *format* tasks the answer is set within the group alone: nobody can know it
from the picture and the question. The others (:data:`ANSWERABLE`) have a true answer that the
picture shows. Two turns of a naming group, the first of which nobody could answer:

    Turn((("glyph/7/0",),), "what is this?", "tridoo", weight=0.0)
    Turn((("glyph/7/3",),), "what is this?", "tridoo", weight=1.0)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np

from otter.nano.names import distinct_names, made_up
from otter.nano.pictures import Pictures, Shown
from otter.nano.scenes import COLOURS, PLACES, SHAPES
from otter.nano.wording import NUMBERS, ask, ask_name

RULES = {"plus one": (1, 1), "plus two": (1, 2), "plus three": (1, 3), "twice": (2, 0)}
"""By what a count is multiplied, and what is then added."""
ANSWERABLE = (
    "count", "count_colour", "colour", "shape", "where", "at", "yes_no", "describe",
    "difference", "motion", "story", "same",
)  # fmt: skip
"""Tasks whose answer the picture and the question give."""

T = TypeVar("T")
Rng = np.random.Generator
Media = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Turn:
    """A question about media, and its answer.

    Args:
        media: ids of pictures; several ids in one medium are a clip.
        question: what is asked.
        answer: what is right.
        weight: 0 where nobody could know the answer yet.
    """

    media: Media
    question: str
    answer: str
    weight: float = 1.0


@dataclass(frozen=True)
class Naming:
    """How a naming group is drawn.

    Args:
        turns: pictures in the group.
        ways: names in the group; the first turns show each once.
        short: names of one piece only.
        held_out_names: names that training never uses.
        held_out_wording: questions in words that training never uses.
        repeat: how often a picture is one that was shown already.
        reword: how often a turn words its question anew.
        names: draw the names from these.
    """

    turns: int = 9
    ways: int = 2
    short: bool = False
    held_out_names: bool = False
    held_out_wording: bool = False
    repeat: float = 0.0
    reword: float = 0.15
    names: tuple[str, ...] = ()


def naming(classes: Sequence[Sequence[str]], how: Naming, rng: Rng) -> list[Turn]:
    """Names for classes of pictures.

    Args:
        classes: the ids of the pictures of each class.
        how: see :class:`Naming`.
        rng: where choices come from.
    """
    names = distinct_names(
        rng, how.ways, short=how.short, held_out=how.held_out_names, among=how.names
    )
    chosen = [classes[n] for n in rng.choice(len(classes), how.ways, replace=False)]
    first = rng.permutation(how.ways)
    later = rng.integers(how.ways, size=max(0, how.turns - how.ways))
    question = ask_name(rng, held_out=how.held_out_wording)
    shown: list[list[str]] = [[] for _ in names]
    turns = []
    for way in [*first, *later][: how.turns]:
        picture = _picture(chosen[way], shown[way], how.repeat, rng)
        if rng.random() < how.reword:
            question = ask_name(rng, held_out=how.held_out_wording)
        weight = 1.0 if shown[way] else 0.0
        turns.append(Turn(((picture,),), question, names[way], weight))
        shown[way].append(picture)
    return turns


def _picture(ids: Sequence[str], shown: Sequence[str], repeat: float, rng: Rng) -> str:
    """One of a class: now and then one that was shown before, else a new one."""
    if shown and rng.random() < repeat:
        return _any(shown, rng)
    # A class with fewer pictures than turns must show some of them again.
    new = [picture for picture in ids if picture not in shown] if len(shown) < len(ids) else ids
    return _any(new, rng)


def standard(task: str, pictures: Pictures, turns: int, rng: Rng) -> list[Turn]:
    """Questions of one answerable task, each about a picture drawn anew."""
    return [ASK[task](pictures, rng) for _ in range(turns)]


def count_rule(pictures: Pictures, turns: int, rng: Rng) -> list[Turn]:
    """The number of shapes, changed by a rule that only the group's examples show."""
    times, plus = _any(list(RULES.values()), rng)
    group = []
    for n in range(turns):
        shown = pictures.scene(rng)
        answer = NUMBERS[len(shown.scene.things) * times + plus]
        group.append(Turn(((shown.id,),), ask("rule", rng), answer, weight=1.0 if n else 0.0))
    return group


def answer_format(pictures: Pictures, turns: int, rng: Rng) -> list[Turn]:
    """A colour or a shape, said in a form that only the group's examples show."""
    word = made_up(rng)
    forms: list[Callable[[str], str]] = [
        lambda a: f"it is {a}",
        lambda a: f"{a} {a}",
        lambda a: f"I see {a}.",
        lambda a: f"{a.upper()}!",
        lambda a: f'{{"answer": "{a}"}}',
        lambda a: f"{word} {a}",
        lambda a: f"{a} {word}",
    ]
    form = _any(forms, rng)
    task = _any(("colour", "shape"), rng)
    group = []
    for n in range(turns):
        shown, thing = pictures.telling("shape" if task == "colour" else "colour", rng)
        words = {"shape": thing.shape} if task == "colour" else {"colour": thing.colour}
        answer = thing.colour if task == "colour" else thing.shape
        question = ask(f"format_{task}", rng, **words)
        group.append(Turn(((shown.id,),), question, form(answer), weight=1.0 if n else 0.0))
    return group


def _count(pictures: Pictures, rng: Rng) -> Turn:
    shown = pictures.scene(rng)
    return _turn(shown, ask("count", rng), NUMBERS[len(shown.scene.things)])


def _count_colour(pictures: Pictures, rng: Rng) -> Turn:
    shown = pictures.scene(rng)
    colour = (
        _any(shown.scene.things, rng).colour if rng.random() < 0.75 else _any(list(COLOURS), rng)
    )
    found = sum(thing.colour == colour for thing in shown.scene.things)
    return _turn(shown, ask("count_colour", rng, colour=colour), NUMBERS[found])


def _colour(pictures: Pictures, rng: Rng, held_out: bool = False) -> Turn:
    shown, thing = pictures.telling("shape", rng, held_out=held_out)
    return _turn(shown, ask("colour", rng, shape=thing.shape), thing.colour)


def _shape(pictures: Pictures, rng: Rng, held_out: bool = False) -> Turn:
    shown, thing = pictures.telling("colour", rng, held_out=held_out)
    return _turn(shown, ask("shape", rng, colour=thing.colour), thing.shape)


def _where(pictures: Pictures, rng: Rng) -> Turn:
    shown = pictures.scene(rng)
    thing = _any(shown.scene.things, rng)
    question = ask("where", rng, colour=thing.colour, shape=thing.shape)
    return _turn(shown, question, PLACES[thing.place])


def _at(pictures: Pictures, rng: Rng) -> Turn:
    shown = pictures.scene(rng)
    thing = _any(shown.scene.things, rng)
    question = ask("at", rng, place=PLACES[thing.place])
    return _turn(shown, question, f"a {thing.colour} {thing.shape}")


def _yes_no(pictures: Pictures, rng: Rng) -> Turn:
    shown = pictures.scene(rng)
    thing = _any(shown.scene.things, rng)
    shape, colour = thing.kind
    there = bool(rng.integers(2))
    while not there and (shape, colour) in {t.kind for t in shown.scene.things}:
        if rng.random() < 0.5:
            shape, colour = thing.shape, _any(list(COLOURS), rng)
        else:
            shape, colour = _any(SHAPES, rng), thing.colour
    return _turn(shown, ask("yes_no", rng, colour=colour, shape=shape), "yes" if there else "no")


def _describe(pictures: Pictures, rng: Rng) -> Turn:
    shown = pictures.scene(rng)
    things = sorted(shown.scene.things, key=lambda thing: thing.place)
    said = " and ".join(f"a {t.size} {t.colour} {t.shape} at the {PLACES[t.place]}" for t in things)
    return _turn(shown, ask("describe", rng), said)


def _difference(pictures: Pictures, rng: Rng) -> Turn:
    pair = _any(pictures.pairs, rng)
    return Turn((pair.frames,), ask("difference", rng), pair.answer)


def _motion(pictures: Pictures, rng: Rng) -> Turn:
    clip = _any(pictures.clips, rng)
    shape, colour = clip.mover
    return Turn((clip.frames,), ask("motion", rng, colour=colour, shape=shape), clip.answer)


def _story(pictures: Pictures, rng: Rng) -> Turn:
    story = _any(pictures.stories, rng)
    return Turn((story.frames,), ask("story", rng), story.answer)


def _same(pictures: Pictures, rng: Rng) -> Turn:
    same = bool(rng.integers(2))
    a, b = rng.choice(len(pictures.glyphs), 2, replace=False)
    left, right = rng.choice(len(pictures.glyphs[a]), 2, replace=False)
    media = ((pictures.glyphs[a][left],), (pictures.glyphs[a if same else b][right],))
    return Turn(media, ask("same", rng), "yes" if same else "no")


ASK: dict[str, Callable[[Pictures, Rng], Turn]] = {
    "count": _count,
    "count_colour": _count_colour,
    "colour": _colour,
    "shape": _shape,
    "where": _where,
    "at": _at,
    "yes_no": _yes_no,
    "describe": _describe,
    "difference": _difference,
    "motion": _motion,
    "story": _story,
    "same": _same,
    "colour_held_out": partial(_colour, held_out=True),
    "shape_held_out": partial(_shape, held_out=True),
}
"""How a turn of each task is made."""


def _turn(shown: Shown, question: str, answer: str) -> Turn:
    return Turn(((shown.id,),), question, answer)


def _any(items: Sequence[T], rng: Rng) -> T:
    return items[int(rng.integers(len(items)))]
