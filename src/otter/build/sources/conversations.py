"""From a conversation about pictures to records, for every format that has conversations.

A conversation with one question becomes one record. Of one with several,

    human  <image> What is this?      record 7_0, with the picture
    gpt    A dog.
    human  What colour is it?         record 7_1, without media, related to 7_0
    gpt    Brown.

each question becomes a record whose examples (``related``) are the questions before it. So its
episode reads as the conversation does, with each picture shown once, where it came; and it is
learned at each question. If the first record is left out because its picture is broken, those that
follow are left out with it. With ``repeat_media`` the later records also have the media that came
before, so that they make sense when other examples are chosen for them.

A marker such as ``<image>`` stands for the next medium. In an episode media stand before the
question, so a marker at either end is taken away; one within a question about several media
becomes "image 1", "image 2"; any other is taken away as well. Where there are no markers at all,
the media belong to the first question.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeAlias

from otter.build.sources import PictureItem
from otter.build.sources.json_stream import short
from otter.build.sources.media_files import MediaFiles, Named
from otter.data.records import DataError, Problem, Record
from otter.prompt import IMAGE

MARKERS = (IMAGE, "<video>")
_MARKER = re.compile("|".join(re.escape(marker) for marker in MARKERS))

QUESTION = "question"
ANSWER = "answer"
SYSTEM = "system"
ROLES = {
    "human": QUESTION,
    "user": QUESTION,
    "gpt": ANSWER,
    "assistant": ANSWER,
    "chatgpt": ANSWER,
    "bing": ANSWER,
    "bard": ANSWER,
    "model": ANSWER,
    "bot": ANSWER,
    "system": SYSTEM,
    "developer": SYSTEM,
}
"""The words for who speaks, of all the formats."""


@dataclass(slots=True)
class Turn:
    """What somebody says.

    Args:
        role: QUESTION, ANSWER or SYSTEM.
        text: may have markers.
        media: shown with this turn in particular, and not by markers.
        weight: of an answer, in training.
    """

    role: str
    text: str
    media: list[Named] = field(default_factory=list)
    weight: float = 1.0


@dataclass(slots=True)
class Conversation:
    """A conversation as it was read.

    Args:
        id: as in the file; may be empty, or that of another one as well.
        where: its file, with the line or element.
        turns: what is said, in order.
        media: what the markers stand for, in order.
        media_field: where they stand, for messages.
        task: groups records.
        source: where it comes from.
        related: ids of the records that come before it as examples.
        split: its split, where that is not the one of all records.
        language: likewise.
        is_clip: all media are the frames of one.
    """

    id: str
    where: str
    turns: list[Turn]
    media: list[Named] = field(default_factory=list)
    media_field: str = "image"
    task: str = ""
    source: str = ""
    related: tuple[Any, ...] = ()
    split: str = ""
    language: str = ""
    is_clip: bool = False


Reader: TypeAlias = Callable[[], Iterable[Conversation | Problem]]


@dataclass(frozen=True, slots=True)
class ConversationSettings:
    """How conversations become records.

    Args:
        task: of records whose file does not say.
        split: of all records.
        language: of all records.
        system: "drop" what the system says, or put it before the "first" question.
        repeat_media: later questions of a conversation also have the media of the earlier ones.
        number_repeats: conversations may share an id; further ones become ``id~2`` and so on.
    """

    task: str = ""
    split: str = "train"
    language: str = "en"
    system: str = "drop"
    repeat_media: bool = False
    number_repeats: bool = True

    def __post_init__(self) -> None:
        """Checks what is one of a few words."""
        if self.system not in ("drop", "first"):
            step = "Correct --option system."
            value = repr(self.system)
            raise DataError([Problem("the command", "system", value, "'drop' or 'first'", step)])


class Conversations:
    """The pictures and records of conversations.

    Args:
        read: yields the conversations from the first on, whenever it is called.
        files: finds what they name.
        settings: how they become records.
    """

    def __init__(self, read: Reader, files: MediaFiles, settings: ConversationSettings) -> None:
        self.read = read
        self.files = files
        self.settings = settings
        self.where = ""
        self._ids: dict[str, int] = {}

    def pictures(self) -> Iterator[PictureItem]:
        """Every picture and video once; what is wrong with the records is said with them."""
        self.files.restart()
        for conversation in self.read():
            if isinstance(conversation, Problem):
                continue
            for named in _all_media(conversation):
                item = self.files.item(named, conversation.where)
                if item is not None:
                    yield item

    def picture_count(self) -> int:
        """How many pictures and videos are named; reads the text of everything."""
        names: set[str] = set()
        for conversation in self.read():
            if isinstance(conversation, Conversation):
                names.update(named.id for named in _all_media(conversation))
        return len(names)

    def records(self, frames: Mapping[str, tuple[str, ...]]) -> Iterator[Record | Problem]:
        """A record for each question that has an answer; problems for what is wrong."""
        self._ids.clear()
        for conversation in self.read():
            if isinstance(conversation, Problem):
                yield conversation
                continue
            self.where = conversation.where
            name = self._unique_id(conversation)
            problems = list(self._missing(conversation, name))
            if not problems:
                problems = _assign_media(conversation, name)
            if problems:
                yield from problems
            else:
                yield from self._records_of(conversation, name, frames)

    def _unique_id(self, conversation: Conversation) -> str:
        """LLaVA gives the id of a picture to each conversation about it; further ones get numbers.

        Nothing refers to these ids, so nothing is lost.
        """
        name = conversation.id or conversation.where.rpartition("/")[2]
        if not self.settings.number_repeats:
            return name
        count = self._ids.get(name, 0)
        self._ids[name] = count + 1
        return f"{name}~{count + 1}" if count else name

    def _missing(self, conversation: Conversation, name: str) -> Iterator[Problem]:
        for named in dict.fromkeys(_all_media(conversation)):
            field_name = conversation.media_field
            record = f"record {name!r}"
            problem = self.files.problem(named, conversation.where, field_name, record)
            if problem is not None:
                yield problem

    def _records_of(
        self, conversation: Conversation, name: str, frames: Mapping[str, tuple[str, ...]]
    ) -> Iterator[Record | Problem]:
        pairs = list(_pairs(conversation.turns, self.settings.system))
        if not pairs:
            step = "Correct it or leave it out."
            value = ", ".join(turn.role for turn in conversation.turns) or "no turns"
            expected = "a question and an answer after it"
            yield Problem(conversation.where, "turns", value, expected, step, f"record {name!r}")
            return
        earlier: list[str] = []
        shown: list[tuple[str, ...]] = []
        for number, (question, answer) in enumerate(pairs):
            media = [frames.get(named.id, (named.id,)) for named in question.media]
            if conversation.is_clip and media:
                media = [tuple(image for medium in media for image in medium)]
            shown += media
            record_id = name if len(pairs) == 1 else f"{name}_{number}"
            yield Record(
                record_id,
                question.text,
                answer.text,
                media=tuple(shown if self.settings.repeat_media else media),
                related=(*conversation.related, *earlier),
                task=self.settings.task or conversation.task,
                source=conversation.source,
                split=conversation.split or self.settings.split,
                language=conversation.language or self.settings.language,
                weight=answer.weight,
            )
            earlier.append(record_id)


def read_turns(
    value: Any,
    names: tuple[str, str],
    where: str,
    record: str,
    read_content: Callable[[Any], tuple[str, list[Named]] | None],
) -> list[Turn] | Problem:
    """The turns of a list of ``{"from": "human", "value": ...}`` objects.

    Args:
        value: the list.
        names: of the fields for the speaker and the words.
        where: the file.
        record: for messages.
        read_content: text and media of the words; None where they are of a wrong type.
    """

    def wrong(place: str, found: Any, expected: str) -> Problem:
        return Problem(where, place, short(found), expected, "Correct it or leave it out.", record)

    if not isinstance(value, list):
        return wrong("turns", value, "a list of turns")
    turns: list[Turn] = []
    speaker, words = names
    for index, entry in enumerate(value):
        if not isinstance(entry, dict):
            return wrong(f"turns[{index}]", entry, f"an object with {speaker} and {words}")
        spoken_by = entry.get(speaker)
        role = ROLES.get(spoken_by.lower()) if isinstance(spoken_by, str) else None
        if role is None:
            expected = f"one of {', '.join(ROLES)}"
            return wrong(f"turns[{index}].{speaker}", spoken_by, expected)
        content = read_content(entry.get(words))
        if content is None:
            return wrong(f"turns[{index}].{words}", entry.get(words), "text, or parts of a message")
        weight = entry.get("weight", 1.0)
        if isinstance(weight, bool) or not isinstance(weight, int | float):
            return wrong(f"turns[{index}].weight", weight, "a number")
        turns.append(Turn(role, content[0], content[1], float(weight)))
    return turns


def _all_media(conversation: Conversation) -> Iterator[Named]:
    yield from conversation.media
    for turn in conversation.turns:
        yield from turn.media


def _assign_media(conversation: Conversation, name: str) -> list[Problem]:
    """Gives each medium to the question whose marker stands for it, and takes the markers away."""
    turns, media = conversation.turns, conversation.media
    markers = sum(len(_MARKER.findall(turn.text)) for turn in turns if turn.role == QUESTION)
    own = any(turn.media for turn in turns)
    if media and not markers:
        for turn in turns:
            if turn.role == QUESTION:
                turn.media = [*media, *turn.media]
                break
    elif not own and markers != len(media):
        value = f"{markers} markers for {len(media)} media"
        expected = "as many markers in the questions as media, or none"
        step = "Add the markers or the media that are missing."
        field_name = conversation.media_field
        return [Problem(conversation.where, field_name, value, expected, step, f"record {name!r}")]
    waiting = iter(media if markers else ())
    for turn in turns:
        if turn.role == QUESTION:
            count = len(_MARKER.findall(turn.text))
            turn.media = [*islice(waiting, count), *turn.media]
            turn.text = without_markers(turn.text)
    return []


def without_markers(text: str) -> str:
    r"""A question without its markers.

    >>> without_markers("<image>\\nDescribe it.")
    'Describe it.'
    >>> without_markers("What sets <image> apart from <image>?")
    'What sets image 1 apart from image 2?'
    """
    parts = _MARKER.split(text)
    count = len(parts) - 1
    if not count:
        return text
    first, last = 0, count
    while first < count and not parts[first].strip():
        first += 1
    while last > first and not parts[last].strip():
        last -= 1
    kept = parts[first]
    for number in range(first + 1, last + 1):
        following = parts[number]
        if count > 1:
            kept += f"image {number}"
        elif kept[-1:].isspace():
            following = following.lstrip()
        kept += following
    return kept.strip()


def _pairs(turns: list[Turn], system: str) -> Iterator[tuple[Turn, Turn]]:
    """Each question with its answer; a question of several turns is joined, and so is an answer.

    What is said before the first question, and a question without an answer, are passed over.
    """
    question: Turn | None = None
    answer: Turn | None = None
    said = [turn.text for turn in turns if turn.role == SYSTEM and turn.text.strip()]
    preface = "\n".join(said) if system == "first" else ""
    for turn in [turn for turn in turns if turn.role != SYSTEM]:
        if turn.role == QUESTION:
            if question is not None and answer is not None:
                yield question, answer
                question = answer = None
            if question is None:
                text = f"{preface}\n{turn.text}" if preface else turn.text
                preface = ""
                question = Turn(QUESTION, text, list(turn.media))
            else:
                question.text = f"{question.text}\n{turn.text}"
                question.media += turn.media
        elif question is not None:
            if answer is None:
                answer = Turn(ANSWER, turn.text, [], turn.weight)
            else:
                answer.text = f"{answer.text}\n{turn.text}"
    if question is not None and answer is not None:
        yield question, answer
