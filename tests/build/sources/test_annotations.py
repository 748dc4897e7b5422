"""Annotation files: what is wrong is named, what is sound is kept."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.build.sources.trees import write_json

from otter.build.sources.annotations import (
    Entry,
    as_sentence,
    choose_wording,
    each,
    entries,
    lines,
)
from otter.data import DataError, Problem


def names(path: Path, key: str = "", **options: Any) -> list[str]:
    """The names of entries, and in the place of a problem what it says."""
    found = entries(path, key, **options)
    return [
        str(entry).replace(f"{path.parent}/", "") if isinstance(entry, Problem) else entry.name
        for entry in found
    ]


def test_entries_of_lists_and_objects_have_names(tmp_path: Path) -> None:
    file = write_json(tmp_path / "a.json", [{"x": 1}, [{"x": 2}], 3])
    assert names(file) == [
        "entry 0",
        "entry 1",
        "a.json: entry 2: 3: expected an object with named fields. Correct it or take it out.",
    ]
    file = write_json(tmp_path / "b.json", {"info": {}, "data": {"a": {}, "b": {}}, "x": [1]})
    assert names(file, "data") == ["a", "b"]
    assert names(file, "data", inline=True) == ["info", "a", "b"]
    assert names(file, "videos", inline=True) == ["info", "data"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('[{"a": 1}, {"a": ', ["entry 0"]),
        ('{"data": {"a": {}, "b": {}', ["a", "b"]),
        ("", []),
        ("nonsense", []),
        ('[{"a": 1} {"a": 2}]', ["entry 0"]),
    ],
)
def test_what_stands_before_the_damage_is_kept(text: str, found: list[str], tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(text)
    *kept, problem = names(file, "data" if "data" in text else "")
    assert kept == found
    assert problem.startswith("a.json: ")


def test_a_file_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    assert names(tmp_path / "a.json") == [
        "a.json: No such file or directory: expected a file. Check the path."
    ]


def test_lines_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"a": 1}\n\n{"a": 2}\n3\n')
    found = [entry.where.removeprefix(str(tmp_path)) for entry in lines(file)]
    assert found == ["/a.jsonl:1", "/a.jsonl:3", "/a.jsonl:4"]


def test_a_wrong_entry_does_not_end_the_others() -> None:
    good, bad = Entry("f", "a", {"x": "1"}), Entry("f", "b", {"x": None})
    made = list(each([good, bad, good], lambda entry: [entry.text("x")]))
    assert [isinstance(one, Problem) for one in made] == [False, True, False]


@pytest.mark.parametrize(
    ("read", "value"),
    [
        ("text", None), ("text", "  "), ("text", True), ("text", ["a"]),
        ("number", "1"), ("number", True), ("number", float("nan")), ("number", float("inf")),
        ("whole", -1), ("whole", 1.5), ("whole", "1.5"), ("whole", "²"), ("whole", False),
        ("items", []), ("items", "ab"), ("items", {"a": 1}),
        ("span", [1]), ("span", [1, -2]), ("span", "12"), ("span", [1, None]),
    ],
)  # fmt: skip
def test_fields_of_a_wrong_type_are_refused(read: str, value: Any) -> None:
    with pytest.raises(DataError, match=r"f: a: p\.x = "):
        getattr(Entry("f", "a", {"x": value}, "p."), read)("x")


def test_fields_are_read_by_type() -> None:
    entry = Entry("f", "a", {"t": " x ", "n": 2, "w": "07", "s": [3, 1.5]})
    assert (entry.text("t"), entry.text("n"), entry.number("n")) == ("x", "2", 2.0)
    assert (entry.whole("w"), entry.span("s")) == (7, (1.5, 3.0))


def test_a_record_keeps_its_wording_and_all_wordings_are_used() -> None:
    wordings = ("a", "b", "c", "d", "e")
    assert [choose_wording(wordings, f"DC_INS_{n}") for n in range(8)] == list("cebacebd")
    counts = Counter(choose_wording(wordings, f"id {n}") for n in range(5000))
    assert min(counts.values()) > 900


def test_text_becomes_a_sentence() -> None:
    assert [as_sentence(text) for text in (" a  dog", "It ran!", "", "ß")] == [
        "A dog.", "It ran!", "", "SS.",
    ]  # fmt: skip
