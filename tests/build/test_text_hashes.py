"""Numbers for texts and lists: equal for equal ones, wherever they stand."""

import numpy as np
import pyarrow as pa
import pytest

from otter.build.text_hashes import joined, list_hashes, mixed, repeated, text_hashes

TEXTS = ["", "a", "ab", "ba", "aa", " ", "how many?", "wie viele Kätzchen? 🐈", "a" * 300]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_equal_texts_have_equal_numbers_in_any_column(kind: pa.DataType) -> None:
    hashes = text_hashes(pa.array(TEXTS * 2, kind))
    assert len(set(hashes.tolist())) == len(TEXTS)
    np.testing.assert_array_equal(hashes[: len(TEXTS)], hashes[len(TEXTS) :])
    np.testing.assert_array_equal(text_hashes(pa.array(TEXTS)), hashes[: len(TEXTS)])
    np.testing.assert_array_equal(text_hashes(pa.array(TEXTS * 2, kind).slice(3, 4)), hashes[3:7])
    chunks = pa.chunked_array([TEXTS[:4], [], TEXTS[4:]], pa.string())
    np.testing.assert_array_equal(text_hashes(chunks), hashes[: len(TEXTS)])


def test_long_columns_are_hashed_in_pieces_without_a_difference() -> None:
    texts = ["x" * 700_000, "y" * 700_000, "", "z", "x" * 700_000]
    hashes = text_hashes(pa.array(texts))
    assert hashes[0] == hashes[4]
    assert len(set(hashes.tolist())) == 4
    assert hashes[3] == text_hashes(pa.array(["z"]))[0]


def test_absent_texts_count_as_empty_ones() -> None:
    hashes = text_hashes(pa.array(["a", None, ""]))
    assert hashes[1] == hashes[2] != hashes[0]


def test_a_hundred_thousand_different_texts_have_different_numbers() -> None:
    hashes = text_hashes(pa.array([f"record {n}" for n in range(100_000)]))
    assert len(np.unique(hashes)) == 100_000


def test_lists_are_told_apart_by_values_order_and_length() -> None:
    values = np.array([1, 2, 2, 1, 1, 2, 0, 0, 0])
    hashes = list_hashes(values, np.array([0, 2, 4, 6, 6, 7, 9]))
    assert hashes[0] == hashes[2]
    assert len(set(hashes.tolist())) == 5


def test_the_order_of_joined_columns_counts() -> None:
    first, second = text_hashes(pa.array(["a"])), text_hashes(pa.array(["b"]))
    assert joined(first, second) != joined(second, first)
    assert len(np.unique(mixed(np.arange(1000, dtype=np.uint64)))) == 1000


def test_repeated_gives_every_row_but_the_first_of_its_kind() -> None:
    assert repeated(np.array([5, 7, 5, 5, 7, 1], dtype=np.uint64)).tolist() == [2, 3, 4]
    assert repeated(np.empty(0, dtype=np.uint64)).tolist() == []
