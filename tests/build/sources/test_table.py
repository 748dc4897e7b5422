"""Tables: columns by their names, rows that are wrong, files in other shapes than the usual one."""

from pathlib import Path

import pytest
from tests.build.sources.trees import imported, problems, write_lines, write_picture, write_video


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for n in range(1, 4):
        write_picture(tmp_path / "photos" / f"{n}.png", 40 * n)
    return tmp_path / "photos"


CSV = (
    'id,prompt,label,file,n\n1,"How many, then?",two,1.png,x\n\n2,"Two\nlines?",yes,1.png;2.png,\n'
)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_columns_are_mapped(tmp_path: Path, photos: Path, delimiter: str) -> None:
    text = CSV.replace("1.png;2.png", "1.png|2.png").replace(",", delimiter)
    (tmp_path / "t.csv").write_text("\ufeff" + text.replace(f"many{delimiter}", "many,"))
    columns = "question=prompt,answer=label,image=file"
    found = imported(
        "table", [tmp_path / "t.csv"], tmp_path / "s", images=photos, map=columns, separator="|"
    )
    assert found.records["1"].instruction == "How many, then?"
    assert found.records["2"].instruction == "Two\nlines?"
    assert (found.records["2"].answer, found.records["2"].task) == ("yes", "t")
    assert found.media("2") == [["1.png"], ["2.png"]]


def test_usual_columns_need_no_map(tmp_path: Path, photos: Path) -> None:
    rows = [
        {"question": "Q?", "answer": "A", "image": ["1.png", "2.png"], "weight": 0.5},
        {"question": "Q?", "answer": 3, "related": ["t.jsonl:1"], "split": "val", "task": "x"},
        {"question": "Q?", "answer": ["cat", "dog", "dog"], "image": None, "language": "de"},
    ]
    path = write_lines(tmp_path / "t.jsonl", rows)
    found = imported("table", [path], tmp_path / "s", images=photos, one_medium="yes")
    assert found.media("t.jsonl:1") == [["1.png", "2.png"]]
    assert found.related("t.jsonl:2") == ["t.jsonl:1"]
    facts = [(r.answer, r.split, r.task, r.language, r.weight) for r in found.records.values()]
    assert facts == [
        ("A", "train", "t", "en", 0.5),
        ("3", "val", "x", "en", 1.0),
        ("dog", "train", "t", "de", 1.0),
    ]


def test_every_row_may_be_asked_the_same(tmp_path: Path, photos: Path) -> None:
    (tmp_path / "t.tsv").write_text("image\tlabel\n1.png\tcat\n2.png\tdog\n")
    options = {"images": photos, "question": "What is it?"}
    found = imported("table", [tmp_path / "t.tsv"], tmp_path / "s", **options)
    assert [record.instruction for record in found.records.values()] == ["What is it?"] * 2


def test_videos_are_decoded(tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", seconds=2)
    path = write_lines(tmp_path / "t.jsonl", [{"video": "v.mp4", "question": "Q?", "answer": "A"}])
    found = imported("table", [path], tmp_path / "s", fps="1")
    assert found.media("t.jsonl:1") == [["v.mp4_0000", "v.mp4_0001"]]


def test_wrong_rows_are_named_and_the_others_kept(tmp_path: Path, photos: Path) -> None:
    (tmp_path / "t.csv").write_bytes(
        b"id,question,answer,image\n1,Q?,A,1.png\n2,Q?,A\n3,Q?,,1.png\n4,Q?,A,9.png\n"
        b'5,"Q"x?,A,1.png\n6,Q\xff?,A,1.png\n1,Q?,A,1.png\n7,Q?,A,1.png\n8,"Q?,A,1.png\n'
    )
    found = problems("table", [tmp_path / "t.csv"], images=photos)
    assert [line.partition(": expected")[0] for line in found] == [
        "t.csv:3: 3 cells",
        "t.csv:4: record '3': answer = ''",
        "t.csv:5: record '4': image = '9.png'",
        "t.csv:6: ',' expected after '\"'",
        "t.csv:7: record '6': instruction = 'Q\\udcff?'",
        "t.csv:8: record '1': id = a second time",
        "t.csv:10: unexpected end of data",
    ]


def test_a_map_to_nothing_is_said_with_the_columns(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    found = problems("table", [tmp_path / "t.csv"], map="question=c,reply=a")
    assert found == [
        "t.csv: map = 'c': expected one of the columns a, b. Correct --map.",
        "t.csv: map = 'reply': expected one of id, conversation, question, answer, image, video, "
        "related, task, source, split, language, weight. Correct --map.",
    ]
    assert problems("table", [tmp_path / "t.csv"]) == [
        "t.csv: map = a, b: expected a column with the answer. "
        "Say which it is: --map answer=COLUMN."
    ]


def test_lines_that_are_no_objects_are_named(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"question": "Q?", "answer": "A"}\n[1]\n{"quest\n7\n{"answer": null}\n')
    found = problems("table", [path])
    assert [line.partition(": expected")[0] for line in found] == [
        "t.jsonl:2: [1]",
        "t.jsonl:3: Unterminated string at character 2",
        "t.jsonl:4: 7",
        "t.jsonl:5: record '': answer = None",
    ]
