"""Which pictures a token sees, as a table of tiny examples."""

import pytest
import torch

from otter.model.media_mask import (
    ABSENT,
    latest_media,
    marker_positions,
    visible_media,
    window_width,
)

# A text, and for each of its tokens the numbers of the pictures it sees. A marker is written i.
TABLE = {
    "last": [
        ("abc", ["", "", ""]),
        ("iab", ["0", "0", "0"]),
        ("aibic", ["", "0", "0", "1", "1"]),
        ("aiibic", ["", "0", "1", "1", "2", "2"]),
        ("ii", ["0", "1"]),
    ],
    "group": [
        ("abc", ["", "", ""]),
        ("iab", ["0", "0", "0"]),
        ("aibic", ["", "0", "0", "1", "1"]),
        ("aiibic", ["", "0", "01", "01", "2", "2"]),
        ("iiaiiib", ["0", "01", "01", "2", "23", "234", "234"]),
        ("iaii", ["0", "0", "1", "12"]),
    ],
    "all": [
        ("abc", ["", "", ""]),
        ("aibic", ["", "0", "0", "01", "01"]),
        ("aiibic", ["", "0", "01", "01", "012", "012"]),
    ],
}


def positions_of(*lines, media=None, start=0):
    marks = torch.tensor([[mark == "i" for mark in line] for line in lines])
    counts = marks.sum(-1)
    media = int(counts.max()) if media is None else media
    rows = torch.where(torch.arange(media) < counts[:, None], torch.arange(media), -1)
    return marker_positions(marks, rows, start)


@pytest.mark.parametrize(
    ("attend", "line", "seen"),
    [(a, line, seen) for a, rows in TABLE.items() for line, seen in rows],
)
@pytest.mark.parametrize("spare", [0, 2])
def test_table(attend, line, seen, spare):
    positions = positions_of(line, media=line.count("i") + spare)
    visible = visible_media(positions, torch.arange(len(line)), attend)
    assert ["".join(str(m) for m in row.nonzero().flatten().tolist()) for row in visible[0]] == seen


@pytest.mark.parametrize("attend", ["last", "group", "all"])
def test_no_token_sees_a_later_picture(attend):
    lines = ["aibiicdi", "iiiabcii", "abcdefgh"]
    positions = positions_of(*lines)
    visible = visible_media(positions, torch.arange(8), attend)
    assert not (visible & (positions[:, None] > torch.arange(8)[:, None])).any()
    assert (visible.any(-1) == (positions[:, :1] <= torch.arange(8))).all()


@pytest.mark.parametrize("attend", ["last", "group", "all"])
def test_what_a_token_sees_does_not_depend_on_how_the_text_arrives(attend):
    line = "aibiicdiie"
    positions = positions_of(line)
    whole = visible_media(positions, torch.arange(len(line)), attend)
    for place in range(len(line)):
        assert torch.equal(
            visible_media(positions, torch.tensor([place]), attend)[:, 0], whole[:, place]
        )


def test_positions_are_counted_from_the_start_and_absent_where_there_is_no_medium():
    assert positions_of("aibi", "abib", media=3, start=10).tolist() == [
        [11, 13, ABSENT],
        [12, ABSENT, ABSENT],
    ]


def test_markers_beyond_the_media_and_media_beyond_the_markers_are_never_seen():
    assert marker_positions(torch.tensor([[True, True]]), torch.tensor([[0]])).tolist() == [[0]]
    assert marker_positions(torch.tensor([[True, False]]), torch.tensor([[0, 1]])).tolist() == [
        [0, ABSENT]
    ]


@pytest.mark.parametrize(
    ("attend", "line", "width"),
    [
        ("last", "iiaib", 1),
        ("group", "iiaib", 2),
        ("group", "iaiiib", 3),
        ("group", "iaiai", 1),
        ("all", "iiaib", 3),
    ],
)
def test_the_window_is_as_wide_as_the_most_that_a_later_token_sees(attend, line, width):
    assert window_width(positions_of(line, media=5), attend) == (5 if attend == "all" else width)


@pytest.mark.parametrize("attend", ["last", "group", "all"])
def test_the_window_holds_all_that_a_later_token_sees(attend):
    positions = positions_of("aiibiicd", "iaaaaaaa", "abcdefgh", "iiiiabii")
    rows = torch.arange(positions.numel()).view_as(positions)
    near_rows, near = latest_media(rows, positions, window_width(positions, attend))
    far, close = (visible_media(p, torch.tensor([8]), attend)[:, 0] for p in (positions, near))
    for row in range(4):
        assert rows[row][far[row]].tolist() == near_rows[row][close[row]].tolist()
