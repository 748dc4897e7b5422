"""Records say what is wrong with them, all of it, in words that help."""

import pickle
from dataclasses import replace
from typing import Any

import pytest

from otter.data import DataError, Problem, Record, check_record
from otter.data.records import KEPT_PROBLEMS, Problems

GOOD = Record("CAT_1", "How many?", "Two.", media=(("IMG_7",), ("IMG_8", "IMG_9")), related=("B",))


def test_a_good_record_has_no_problems() -> None:
    assert check_record(GOOD) == []
    assert check_record(Record("TEXT", "2 + 2?", "4")) == []
    assert check_record(Record("CAPTION", "", "A cat.", media=(("IMG_7",),))) == []
    assert check_record(replace(GOOD, weight=0)) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"answer": " \n"},
            r"cats: record 'CAT_1': answer = ' \n': expected text that is not blank. "
            "Leave the record out, or give the answer that the model should learn.",
        ),
        (
            {"id": ""},
            "cats: record '': id = '': expected text that is not blank. "
            "Give every record an id of its own.",
        ),
        (
            {"instruction": "", "media": ()},
            "cats: record 'CAT_1': instruction = '': expected a question, or media to speak "
            "about. Give either of them.",
        ),
        (
            {"answer": None},
            "cats: record 'CAT_1': answer = None: expected text. "
            "Convert it with str() before writing.",
        ),
        (
            {"instruction": "\ud800?"},
            r"cats: record 'CAT_1': instruction = '\ud800?': expected text that UTF-8 can hold. "
            "Remove the lone surrogates.",
        ),
        (
            {"media": ("IMG_7",)},
            "cats: record 'CAT_1': media[0] = 'IMG_7': expected a tuple of one or more image "
            "ids. Write (image_id,) for a picture.",
        ),
        (
            {"media": ((),)},
            "cats: record 'CAT_1': media[0] = (): expected a tuple of one or more image ids. "
            "Write (image_id,) for a picture.",
        ),
        (
            {"media": "IMG_7"},
            "cats: record 'CAT_1': media = 'IMG_7': expected a tuple of media. "
            "Write media=((image_id,),) for a picture.",
        ),
        (
            {"related": "CAT_0"},
            "cats: record 'CAT_1': related = 'CAT_0': expected a tuple of record ids. "
            "Write related=(record_id,).",
        ),
        (
            {"related": ("CAT_0", "CAT_1")},
            "cats: record 'CAT_1': related[1] = 'CAT_1': expected another record: a question is "
            "never its own example. Remove it.",
        ),
        (
            {"related": (7,)},
            "cats: record 'CAT_1': related[0] = 7: expected the id of a record. "
            "Remove or correct it.",
        ),
        (
            {"split": ""},
            "cats: record 'CAT_1': split = '': expected text that is not blank. "
            "Write split='train'.",
        ),
        (
            {"weight": float("nan")},
            "cats: record 'CAT_1': weight = nan: expected a finite number of at least 0. "
            "Write 1.0 for the usual weight.",
        ),
        (
            {"weight": True},
            "cats: record 'CAT_1': weight = True: expected a finite number of at least 0. "
            "Write 1.0 for the usual weight.",
        ),
    ],
)
def test_a_bad_field_is_named_with_value_expectation_and_next_step(
    change: dict[str, Any], message: str
) -> None:
    assert [str(problem) for problem in check_record(replace(GOOD, **change), "cats")] == [message]


def test_every_problem_of_a_record_is_listed() -> None:
    bad = Record("A", 5, "", media=(("x", ""), 3), related=("A", ""), weight=-1)  # type: ignore[arg-type]
    fields = [problem.field for problem in check_record(bad)]
    assert fields == [
        *("instruction", "answer", "media[0]", "media[1]"),
        *("related[0]", "related[1]", "weight"),
    ]


def test_values_of_any_type_in_any_field_are_reported_and_never_crash() -> None:
    strange: list[Any] = [
        None,
        3,
        10**400,
        b"x",
        [],
        [[]],
        {},
        object(),
        "\ud800",
        (("\ud800",),),
        ((3,),),
    ]
    for field in Record.__dataclass_fields__:
        for value in strange:
            if (field, value) in [("weight", 3), ("media", []), ("related", [])]:
                continue
            problems = check_record(replace(GOOD, **{field: value}))
            assert problems, (field, value)
            assert problems[0].field.startswith(field)


def test_a_long_value_is_cut_in_the_message() -> None:
    problem = check_record(replace(GOOD, answer=b"x" * 10_000))[0]  # type: ignore[arg-type]
    assert len(problem.value) == 80
    assert problem.value.endswith("...")


def problem(number: int) -> Problem:
    return Problem("cats", "answer", "''", "text", "Give it.", record=f"record 'A{number}'")


def test_the_message_shows_the_first_twenty_and_the_count() -> None:
    lines = str(DataError([problem(number) for number in range(1025)])).split("\n")
    assert lines[0] == "1,025 problems:"
    assert lines[1] == "  cats: record 'A0': answer = '': expected text. Give it."
    assert lines[20] == "  cats: record 'A19': answer = '': expected text. Give it."
    assert lines[21:] == ["  ... and 1,005 more"]


def test_a_single_problem_is_the_whole_message() -> None:
    assert str(DataError([problem(0)])) == "cats: record 'A0': answer = '': expected text. Give it."


def test_problems_beyond_the_kept_ones_are_counted() -> None:
    problems = Problems()
    problems.raise_if_any()
    for number in range(KEPT_PROBLEMS + 5):
        problems.add(problem(number))
    with pytest.raises(DataError) as raised:
        problems.raise_if_any()
    assert raised.value.count == KEPT_PROBLEMS + 5
    assert len(raised.value.problems) == KEPT_PROBLEMS
    assert str(raised.value).endswith("... and 9,985 more")


def test_an_error_travels_between_processes() -> None:
    error = DataError([problem(0), problem(1)], count=7)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.problems, again.count) == (str(error), error.problems, 7)
    # The workers of a torch loader raise the same type again with the text alone.
    assert str(DataError(str(error))) == str(error)
    assert str(pickle.loads(pickle.dumps(DataError("text")))) == "text"
