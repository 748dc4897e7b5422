"""LLaVA, ShareGPT and chat messages: the same conversation gives the same records."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from tests.build.sources.trees import (
    Imported,
    imported,
    problems,
    write_json,
    write_lines,
    write_picture,
    write_video,
)

from otter.build.importing import import_source
from otter.build.sources import open_source
from otter.build.sources.conversations import without_markers
from otter.data import Store

MISSING = "Name the folder with --images, or leave such records out with --keep-going."


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for n in range(1, 4):
        write_picture(tmp_path / "photos" / "cats" / f"{n}.png", 40 * n)
    return tmp_path / "photos"


def llava(*turns: str, **fields: Any) -> dict[str, Any]:
    said = [{"from": ("human", "gpt")[n % 2], "value": text} for n, text in enumerate(turns)]
    return {"conversations": said, **fields}


def brought_in(tmp_path: Path, name: str, values: Any, **options: Any) -> Imported:
    path = write_json(tmp_path / "chats.json", values)
    return imported(name, [path], tmp_path / "store", images=tmp_path / "photos", **options)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("What is it?", "What is it?"),
        (" kept as it is ", " kept as it is "),
        ("<image>\nDescribe it.", "Describe it."),
        ("Describe it.\n<image>", "Describe it."),
        ("<image>", ""),
        ("<image>\n<image>\nCompare.", "Compare."),
        ("Look at <image> and answer.", "Look at and answer."),
        ("What sets <image> apart from <image>?", "What sets image 1 apart from image 2?"),
        ("<image> Is it like <image>?", "Is it like image 2?"),
        ("<video>\nWhat happens?", "What happens?"),
    ],
)
def test_markers_are_taken_out_of_questions(text: str, expected: str) -> None:
    assert without_markers(text) == expected


def test_one_question_is_one_record(tmp_path: Path, photos: Path) -> None:
    values = [
        llava("<image>\nHow many?", "Two.", id="a", image="cats/1.png", source="cc"),
        llava("Why?", "So.", id="b"),
        llava("What sets <image> apart from <image>?", "Hue.", id=3, image=PAIR),
    ]
    found = brought_in(tmp_path, "llava", values)
    assert list(found.records) == ["a", "b", "3"]
    record = found.records["a"]
    assert (record.instruction, record.answer, record.task) == ("How many?", "Two.", "chats")
    assert (record.source, record.split) == ("cc", "train")
    assert found.media("a") == [["cats/1.png"]]
    assert found.media("b") == []
    assert found.media("3") == [["cats/2.png"], ["cats/3.png"]]


PAIR = ["cats/2.png", "cats/3.png"]


def test_each_later_question_has_the_earlier_ones_as_examples(tmp_path: Path, photos: Path) -> None:
    turns = ("<image>\nWhat?", "A dog.", "And <image>?", "A cat.", "Which is older?", "The dog.")
    found = brought_in(tmp_path, "llava", [llava(*turns, id="a", image=PAIR)])
    assert list(found.records) == ["a_0", "a_1", "a_2"]
    assert [found.media(f"a_{n}") for n in range(3)] == [[["cats/2.png"]], [["cats/3.png"]], []]
    assert found.related("a_2") == ["a_0", "a_1"]
    episode = found.store.episode(2)
    assert [len(turn.media) for turn in (*episode.examples, episode)] == [1, 1, 0]


def test_later_questions_may_have_the_earlier_media(tmp_path: Path, photos: Path) -> None:
    turns = ("<image>What?", "A dog.", "Its colour?", "Brown.")
    values = [llava(*turns, id="a", image="cats/1.png")]
    found = brought_in(tmp_path, "llava", values, repeat_media="true")
    assert found.media("a_1") == [["cats/1.png"]]


def test_conversations_about_one_picture_keep_apart(tmp_path: Path, photos: Path) -> None:
    values = [llava(f"What is {n}?", f"It is {n}.", id="7", image="cats/1.png") for n in range(3)]
    found = brought_in(tmp_path, "llava", values)
    assert list(found.records) == ["7", "7~2", "7~3"]
    assert found.store.image_count == 1


def test_conversations_without_ids_are_named_by_their_place(tmp_path: Path, photos: Path) -> None:
    found = brought_in(tmp_path, "llava", [llava("Why?", "So."), llava("How?", "Thus.")])
    assert list(found.records) == ["chats.json[0]", "chats.json[1]"]


def test_a_video_is_referred_to_or_decoded(tmp_path: Path) -> None:
    write_video(tmp_path / "photos" / "v.mp4", seconds=3)
    values = [llava("<video>\nWhat happens?", "It brightens.", id="a", video="v.mp4")]
    found = brought_in(tmp_path, "llava", values)
    assert found.store.video_count == 1
    path = tmp_path / "chats.json"
    images = tmp_path / "photos"
    decoded = imported("llava", [path], tmp_path / "decoded", images=images, fps="1")
    assert decoded.media("a") == [["v.mp4_0000", "v.mp4_0001", "v.mp4_0002"]]


def test_what_is_said_out_of_turn_is_joined_or_passed_over(tmp_path: Path, photos: Path) -> None:
    said = [
        ("system", "Be brief."),
        ("gpt", "Hello!"),
        ("human", "<image>Look."),
        ("human", "What is it?"),
        ("gpt", "A cat."),
        ("gpt", "Or a dog."),
        ("human", "Thanks."),
    ]
    turns = [{"from": role, "value": text} for role, text in said]
    values = [{"id": "a", "image": "cats/1.png", "conversations": turns}]
    record = brought_in(tmp_path, "llava", values, system="first").records["a"]
    assert record.instruction == "Be brief.\nLook.\nWhat is it?"
    assert record.answer == "A cat.\nOr a dog."


WRONG = [
    llava("<image>Q?", "A.", id="ok", image="cats/1.png"),
    llava("<image>Q?", "A.", id="missing", image="cats/9.png"),
    llava("<image><image>Q?", "A.", id="markers", image="cats/1.png"),
    llava("<image>Q?", "A.", id="none"),
    llava("Q?", "A.", id="type", image=7),
    llava("Q?", id="mute"),
    {"id": "role", "conversations": [{"from": "cat", "value": "Meow."}]},
    {"id": "words", "conversations": [{"from": "human", "value": None}]},
    {"id": "turns", "conversations": "Hello"},
    {"id": "turn", "conversations": ["Hello"]},
    "text",
    llava("Q?", " ", id="blank"),
    llava("<image>Q?", "A.", id="web", image="https://example.org/cats/4.png"),
    llava("<image>Q?", "A.", id="got", image="https://example.org/cats/1.png?size=2"),
]


def test_wrong_conversations_are_named_and_the_others_kept(tmp_path: Path, photos: Path) -> None:
    path = write_json(tmp_path / "chats.json", WRONG)
    (tmp_path / "photos" / "1.png").write_bytes((photos / "cats" / "1.png").read_bytes())
    found = problems("llava", [path], images=photos)
    assert [line.partition(": expected")[0] for line in found] == [
        "chats.json[1]: record 'missing': image = 'cats/9.png'",
        "chats.json[2]: record 'markers': image = 2 markers for 1 media",
        "chats.json[3]: record 'none': images = 1 markers for 0 media",
        "chats.json[4]: record 'type': image = 7",
        "chats.json[5]: record 'mute': turns = question",
        "chats.json[6]: record 'role': turns[0].from = 'cat'",
        "chats.json[7]: record 'words': turns[0].value = None",
        "chats.json[8]: record 'turns': turns = 'Hello'",
        "chats.json[9]: record 'turn': turns[0] = 'Hello'",
        "chats.json[10]: 'text'",
        "chats.json[11]: record 'blank': answer = ' '",
        "chats.json[12]: record 'web': image = 'https://example.org/cats/4.png'",
    ]
    assert found[0].endswith(f"expected a file below photos. {MISSING}")
    assert found[-1].endswith(
        "expected a file: network addresses are not opened. "
        "Download it, and name the folder with --images."
    )
    source = open_source("llava", [path], {"images": photos})
    import_source(source, tmp_path / "kept", workers=0, keep_going=True)
    store = Store(tmp_path / "kept")
    assert [store.record(row).id for row in range(len(store))] == ["ok", "got"]


def test_the_total_of_the_pictures_is_known_before(tmp_path: Path, photos: Path) -> None:
    values = [llava("<image>Q?", "A.", image=f"cats/{1 + n % 2}.png") for n in range(5)]
    source = open_source("llava", [write_json(tmp_path / "c.json", values)], {"images": photos})
    totals = set()
    import_source(
        source,
        tmp_path / "store",
        workers=0,
        on_progress=lambda stage, done, total: totals.add((stage, total)),
    )
    assert ("pictures", 2) in totals


@pytest.mark.parametrize(
    "keys", [("conversations", "from", "value"), ("messages", "role", "content")]
)
def test_sharegpt_has_its_pictures_beside_the_turns(
    tmp_path: Path, photos: Path, keys: tuple[str, str, str]
) -> None:
    turns, speaker, words = keys
    said = [{speaker: "user", words: "<image>Like <image>?"}, {speaker: "assistant", words: "No."}]
    values = [{turns: said, "images": PAIR, "system": "Be brief."}]
    found = brought_in(tmp_path, "sharegpt", values, system="first")
    record = found.records["chats.json[0]"]
    assert record.instruction == "Be brief.\nLike image 2?"
    assert found.media("chats.json[0]") == [["cats/2.png"], ["cats/3.png"]]


def address(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


PARTS = [
    lambda path: {"type": "image_url", "image_url": {"url": address(path), "detail": "low"}},
    lambda path: {"type": "image_url", "image_url": address(path)},
    lambda path: {"type": "input_image", "image_url": address(path)},
    lambda path: {"type": "image", "image": "cats/1.png"},
    lambda path: {"type": "image", "path": "cats/1.png"},
    lambda path: {"type": "image", "url": f"file://{path}"},
    lambda path: {"type": "image", "base64": address(path).partition(",")[2]},
    lambda path: {
        "type": "image",
        "source": {
            "type": "base64",
            "media_type": "image/png",
            "data": address(path).partition(",")[2],
        },
    },
    lambda path: {"type": "image"},
]


@pytest.mark.parametrize("part", PARTS)
def test_a_message_shows_a_picture_in_many_ways(tmp_path: Path, photos: Path, part: Any) -> None:
    shown = part(photos / "cats" / "1.png")
    content = [shown, {"type": "text", "text": "What is it?"}]
    chat = {
        "messages": [
            {"role": "user", "content": content},
            {"role": "assistant", "content": [{"type": "text", "text": "Grey."}], "weight": 0},
        ]
    }
    if shown == {"type": "image"}:
        chat["images"] = ["cats/1.png"]  # type: ignore[assignment]
    path = write_lines(tmp_path / "chats.jsonl", [chat])
    found = imported("messages", [path], tmp_path / "store", images=photos)
    record = found.store.record(0)
    assert (record.instruction, record.answer, record.weight) == ("What is it?", "Grey.", 0.0)
    assert found.store.image_bytes(record.media[0][0]) == (photos / "cats/1.png").read_bytes()


def test_wrong_messages_are_named(tmp_path: Path, photos: Path) -> None:
    def chat(content: Any) -> dict[str, Any]:
        return {
            "messages": [
                {"role": "user", "content": content},
                {"role": "assistant", "content": "A."},
            ]
        }

    lines = [
        chat([{"type": "image_url", "image_url": {"url": "https://example.org/x.png"}}]),
        chat([{"type": "image_url", "image_url": {"url": "data:image/png,xx"}}]),
        chat([{"type": "sound", "sound": "x"}]),
        chat([{"type": "image", "image": 3}]),
        chat(None),
        chat("Why?"),
    ]
    path = write_lines(tmp_path / "chats.jsonl", lines)
    path.write_text(path.read_text() + '{"messages": [\n')
    found = problems("messages", [path], images=photos)
    assert [line.partition(": expected")[0] for line in found] == [
        "chats.jsonl:1: record 'chats.jsonl:1': messages = 'https://example.org/x.png'",
        "chats.jsonl:3: record '': turns[0].content = [{'type': 'sound', 'sound': 'x'}]",
        "chats.jsonl:4: record '': turns[0].content = [{'type': 'image', 'image': 3}]",
        "chats.jsonl:5: record '': turns[0].content = None",
        "chats.jsonl:7: Expecting value at character 15",
    ]
    source = open_source("messages", [path], {"images": photos})
    result = import_source(source, tmp_path / "kept", workers=0, keep_going=True, max_broken=1.0)
    assert (result.records, result.broken, result.left_out, result.problems) == (1, 1, 1, 5)
    assert "expected data:image/...;base64,..." in (tmp_path / "kept/broken.jsonl").read_text()


def test_a_list_over_many_lines_and_an_object_alone_are_read(tmp_path: Path) -> None:
    for name, value in (("list", [llava("Q?", "A.")]), ("single", llava("Q?", "A."))):
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(value, indent=2))
        assert len(imported("llava", [path], tmp_path / name).store) == 1
