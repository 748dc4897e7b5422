"""LLaVA-Instruct and COCO: turns become records, pictures are found in both layouts."""

from pathlib import Path
from typing import Any

import pytest
from tests.build.sources.trees import (
    imported,
    instruction,
    problems,
    write_broken,
    write_instructions,
    write_json,
    write_picture,
)

from otter.build.sources.coco import coco_folders, coco_picture


def conversation(number: str, *turns: str) -> dict[str, Any]:
    speakers = ("human", "gpt")
    told = [{"from": speakers[n % 2], "value": text} for n, text in enumerate(turns)]
    return {"id": number, "image": f"{number}.jpg", "conversations": told}


@pytest.fixture
def llava(tmp_path: Path) -> Path:
    folder = tmp_path / "llava"
    write_json(
        folder / "conversation_58k.json",
        [
            conversation("000000033471", "<image>\nWhat is it?", "A bus.", "Its colour?", "Red."),
            conversation("000000000009", "Is it food?\n<image>", "Yes."),
        ],
    )
    write_json(
        folder / "detail_23k.json", [conversation("000000033471", "Describe.\n<image>", "A bus...")]
    )
    write_json(
        folder / "complex_reasoning_77k.json",
        [conversation("000000000025", "Why?\n<image>", "Because.")],
    )
    return folder


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    folder = tmp_path / "coco"
    write_picture(folder / "train2017" / "000000033471.jpg", 50)
    write_picture(folder / "train2014" / "COCO_train2014_000000000009.jpg", 100)
    write_broken(folder / "val2017" / "000000000025.jpg")
    write_picture(folder / "train2017" / "000000999999.jpg", 200)
    return folder


def test_a_conversation_becomes_a_record_for_each_question(llava: Path, coco: Path) -> None:
    made = imported("coco", [llava], llava.parent / "store", images=coco)
    assert list(made.records) == [
        "LACONV_INS_000000033471_0",
        "LACONV_INS_000000033471_1",
        "LACONV_INS_000000000009_0",
        "LADD_INS_000000033471_0",
    ]
    first, second = list(made.records.values())[:2]
    assert (first.instruction, first.answer) == ("What is it?", "A bus.")
    assert (second.instruction, second.answer) == ("Its colour?", "Red.")
    assert made.related(second.id) == [first.id]
    assert made.media(second.id) == [["LA_IMG_000000033471"]]
    assert [record.task for record in made.records.values()] == ["LACONV"] * 3 + ["LADD"]
    assert {record.split for record in made.records.values()} == {"train"}


def test_pictures_of_2014_and_2017_are_found_and_only_those_that_are_used(
    llava: Path, coco: Path
) -> None:
    made = imported("la", [llava], llava.parent / "store", images=coco)
    assert made.greys("LACONV_INS_000000033471_0") == [[50]]
    assert made.greys("LACONV_INS_000000000009_0") == [[100]]
    assert made.result.pictures == 2


def test_a_broken_picture_takes_its_records_with_it(llava: Path, coco: Path) -> None:
    made = imported("coco", [llava], llava.parent / "store", images=coco)
    assert made.broken == ["LA_IMG_000000000025 coco/val2017/000000000025.jpg"]
    assert made.result.left_out == 1


def test_a_missing_picture_is_listed_as_broken(llava: Path, coco: Path) -> None:
    (coco / "train2017" / "000000033471.jpg").unlink()
    made = imported("coco", [llava], llava.parent / "store", images=coco)
    assert made.broken[0] == "LA_IMG_000000033471 coco/train2017/000000033471.jpg"
    assert made.result.left_out == 4


def test_a_folder_of_the_pictures_themselves_will_do(coco: Path) -> None:
    folders = coco_folders([coco / "train2017"], [])
    number = "000000033471"
    assert coco_picture(folders, number, "train2014") == coco / "train2017" / f"{number}.jpg"
    missing = coco_picture(coco_folders([coco], []), "000000000001", "train2014")
    assert missing == coco / "train2014" / "COCO_train2014_000000000001.jpg"


def test_published_instructions_find_pictures_though_a_turn_hangs_on_their_ids(
    llava: Path, coco: Path
) -> None:
    file = write_instructions(
        llava / "LACONV_instructions.json",
        {
            "LACONV_INS_000000033471_2": instruction(["LA_IMG_000000033471_2"]),
            "LACR_I2I_INS_1": instruction(["LA_IMG_000000000009"], ["LACONV_INS_000000033471_2"]),
            "LACR_T2T_INS_1": instruction([]),
        },
    )
    made = imported(
        "coco", [llava], llava.parent / "store", images=coco, instructions=file, split="val"
    )
    assert made.media("LACONV_INS_000000033471_2") == [["LA_IMG_000000033471"]]
    assert made.related("LACR_I2I_INS_1") == ["LACONV_INS_000000033471_2"]
    assert [record.task for record in made.records.values()] == ["LACONV", "LACR_I2I", "LACR_T2T"]
    assert made.media("LACR_T2T_INS_1") == []
    assert {record.split for record in made.records.values()} == {"val"}


def test_wrong_entries_are_named(tmp_path: Path) -> None:
    swapped = conversation("000000000009", "Hello.", "Hello.")
    swapped["conversations"].reverse()
    entries = [
        swapped,
        conversation("000000000009", "A?", "B.", "C?"),
        conversation("000000000009", "<image>", "B."),
        {"id": "x", "image": "gqa/images/2.jpg", "conversations": []},
        {"id": "000000000009", "conversations": "none"},
    ]
    file = write_json(tmp_path / "llava_instruct_150k.json", entries)
    step = "Correct it or take the entry out."
    turns = "the turns are human, gpt, human, gpt and so on"
    name = file.name
    assert problems("coco", [file], images=tmp_path) == [
        f"{name}: entry 0: conversations[0].from = 'gpt': expected 'human': {turns}. {step}",
        f"{name}: entry 1: conversations = '3 turns': expected an answer after the last question. "
        + step,
        f"{name}: entry 2: conversations[0].value = '<image>': expected words, not only the marker "
        f"of a picture. {step}",
        f"{name}: entry 3: image = 'gqa/images/2.jpg': expected a COCO picture such as "
        "000000033471.jpg. Import other LLaVA data with the format llava.",
        f"{name}: entry 4: conversations = 'none': expected a list with at least one item. {step}",
    ]


def test_instructions_of_another_dataset_are_refused(llava: Path, coco: Path) -> None:
    file = write_instructions(llava / "x.json", {"SD_INS_1": instruction(["SD_IMG_00001_1"])})
    assert problems("coco", [llava], images=coco, instructions=file) == [
        "x.json: SD_INS_1: image_ids[0] = 'SD_IMG_00001_1': expected an id such as "
        "LA_IMG_000000033471. Is this the instructions file of this dataset?"
    ]


def test_a_file_that_breaks_off_is_named(llava: Path, coco: Path) -> None:
    file = llava / "detail_23k.json"
    file.write_text(file.read_text()[:-30])
    (problem,) = problems("coco", [llava], images=coco)
    assert problem.startswith("detail_23k.json: ")
    assert "expected JSON to the end" in problem
