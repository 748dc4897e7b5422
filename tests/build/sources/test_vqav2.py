"""VQAv2: questions meet their annotations, whose ten answers can be kept."""

from pathlib import Path
from typing import Any

import pytest
from tests.build.sources.trees import imported, problems, write_broken, write_json, write_picture


def annotation(question: int, image: int, answer: str, given: str = "") -> dict[str, Any]:
    ten = (given or ",".join([answer] * 10)).split(",")
    answers = [
        {"answer": text, "answer_confidence": "yes", "answer_id": n}
        for n, text in enumerate(ten, 1)
    ]
    return {
        "question_id": question,
        "image_id": image,
        "question_type": "is it",
        "answer_type": "other",
        "multiple_choice_answer": answer,
        "answers": answers,
    }


def question(number: int, image: int, text: str) -> dict[str, Any]:
    return {"question_id": number, "image_id": image, "question": text}


def write_part(
    root: Path, subset: str, questions: list[dict[str, Any]], annotations: list[dict[str, Any]]
) -> None:
    info = {"info": {"year": 2017}, "data_subtype": subset, "license": {"name": "CC"}}
    write_json(
        root / f"v2_OpenEnded_mscoco_{subset}_questions.json",
        {**info, "task_type": "Open-Ended", "questions": questions},
    )
    if annotations:
        write_json(
            root / f"v2_mscoco_{subset}_annotations.json", {**info, "annotations": annotations}
        )


@pytest.fixture
def vqa(tmp_path: Path) -> Path:
    root = tmp_path / "vqa"
    write_part(
        root,
        "train2014",
        [
            question(458752000, 458752, "Is it windy?"),
            question(458752001, 458752, "What is he doing?"),
            question(9000, 9, "Is it food?"),
        ],
        [
            annotation(9000, 9, "yes"),
            annotation(
                458752001, 458752, "flying", "kite,flying,flying,kite,flying,run" + ",flying" * 4
            ),
            annotation(458752000, 458752, "yes"),
        ],
    )
    write_part(root, "val2014", [question(42000, 42, "Where?")], [annotation(42000, 42, "beach")])
    write_part(root, "test2015", [question(1, 1, "What?")], [])
    return root


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    folder = tmp_path / "coco"
    write_picture(folder / "train2014" / "COCO_train2014_000000458752.jpg", 50)
    write_broken(folder / "train2014" / "COCO_train2014_000000000009.jpg")
    write_picture(folder / "val2014" / "COCO_val2014_000000000042.jpg", 100)
    return folder


def test_questions_have_the_answer_of_most_people(vqa: Path, coco: Path) -> None:
    made = imported("vqav2", [vqa], vqa.parent / "store", images=coco)
    assert [(r.id, r.instruction, r.answer, r.split) for r in made.records.values()] == [
        ("VQAV2_INS_458752000", "Is it windy?", "yes", "train"),
        ("VQAV2_INS_458752001", "What is he doing?", "flying", "train"),
        ("VQAV2_INS_42000", "Where?", "beach", "val"),
    ]
    assert made.media("VQAV2_INS_458752001") == [["VQAV2_IMG_000000458752"]]
    assert made.greys("VQAV2_INS_42000") == [[100]]


def test_all_ten_answers_can_be_kept_with_their_share(vqa: Path, coco: Path) -> None:
    made = imported("vqav2", [vqa], vqa.parent / "store", images=coco, answers="all")
    kept = [
        (record.id, record.answer, round(record.weight, 6))
        for record in made.records.values()
        if record.id.startswith("VQAV2_INS_458752001")
    ]
    assert kept == [
        ("VQAV2_INS_458752001", "flying", 0.7),
        ("VQAV2_INS_458752001_1", "kite", 0.2),
        ("VQAV2_INS_458752001_2", "run", 0.1),
    ]
    assert made.records["VQAV2_INS_458752000"].weight == 1.0


def test_a_broken_picture_is_listed_and_its_question_left_out(vqa: Path, coco: Path) -> None:
    made = imported("vqav2", [vqa], vqa.parent / "store", images=coco)
    assert made.broken == ["VQAV2_IMG_000000000009 coco/train2014/COCO_train2014_000000000009.jpg"]
    assert made.result.left_out == 1


def test_pictures_of_2017_will_do(vqa: Path, coco: Path) -> None:
    (coco / "val2014" / "COCO_val2014_000000000042.jpg").unlink()
    write_picture(coco / "train2017" / "000000000042.jpg", 150)
    made = imported("vqav2", [vqa], vqa.parent / "store", images=coco)
    assert made.greys("VQAV2_INS_42000") == [[150]]


def test_questions_and_annotations_must_fit(vqa: Path, coco: Path) -> None:
    write_part(
        vqa,
        "val2014",
        [question(42000, 42, "Where?"), {"question_id": 5, "image_id": -1, "question": "x"}],
        [annotation(42001, 42, "beach"), annotation(42001, 42, "beach"), {"question_id": "no"}],
    )
    ours = [line for line in problems("vqav2", [vqa], images=coco) if "val2014" in line]
    file, other = "v2_OpenEnded_mscoco_val2014_questions.json", "v2_mscoco_val2014_annotations.json"
    step = "Correct it or take the entry out."
    assert ours == [
        f"{other}: entry 1: question_id = 42001: expected a question that has no annotation yet. "
        + step,
        f"{other}: entry 2: question_id = 'no': expected a whole number of at least 0. {step}",
        f"{file}: entry 0: question_id = 42000: expected a question with an annotation in {other}. "
        f"Is {other} complete?",
        f"{file}: entry 1: image_id = -1: expected a whole number of at least 0. {step}",
        f"{other}: question 42001: question_id = 42001: expected the id of a question in {file}. "
        "Are the two files of the same subset and complete?",
    ]


def test_questions_without_answers_are_refused_when_named(vqa: Path, coco: Path) -> None:
    file = vqa / "v2_OpenEnded_mscoco_test2015_questions.json"
    assert problems("vqav2", [file], images=coco) == [
        f"{file.name}: {file.name}: expected the annotations of test2015 as well. "
        "Name both files, or the folder with both in it."
    ]


def test_an_unknown_choice_of_answers_is_refused(vqa: Path, coco: Path) -> None:
    assert problems("vqav2", [vqa], images=coco, answers="most") == [
        "format vqav2: answers = 'most': expected 'majority' or 'all'. Leave it out for one answer "
        "to a question."
    ]
