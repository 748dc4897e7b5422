"""MIMIC-IT files: what 2023 read from them, and everything that may be wrong with them."""

import base64
import io
import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from tests.build.sources.trees import imported, instruction, problems, write_instructions

from otter.build.importing import import_source
from otter.build.sources import open_source
from otter.build.sources.mimicit_mixture import chosen_in_2023
from otter.build.text_of_2023 import CLEANINGS
from otter.data import DataError, Store
from otter.prompt import ANSWER, END_OF_CHUNK, IMAGE, Episode

FIXTURES = Path(__file__).parents[2] / "fixtures" / "otter" / "data"
EXPECTED = json.loads((FIXTURES / "episodes_2023.json").read_text())


def picture(shade: int, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (12, 8), (shade, 10, 90)).save(buffer, kind)
    return buffer.getvalue()


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def spoken(episode: Episode) -> str:
    turns = [*episode.examples, episode]
    return "".join(
        f"{IMAGE * len(turn.media)}User:{turn.question} GPT:{ANSWER}{turn.answer}{END_OF_CHUNK}"
        for turn in turns
    )


def store_of(out: Path, *names: str, clean: str = "2023-symbols", **options: Any) -> Store:
    source = open_source("mimicit", [FIXTURES / name for name in names], options)
    import_source(source, out, workers=0, clean=CLEANINGS[clean])
    return Store(out)


def episodes(store: Store) -> dict[str, tuple[str, list[int]]]:
    """Of each record the text, and the shape of the question's media."""
    found = {}
    for row in range(len(store)):
        episode = store.episode(row)
        frames = [len(medium) if isinstance(medium, list) else 1 for medium in episode.media]
        found[store.record(row).id] = spoken(episode), [len(frames), *frames]
    return found


@pytest.mark.parametrize("images", ["images.json", "images.parquet"])
def test_episodes_with_a_train_file_are_those_of_2023(tmp_path: Path, images: str) -> None:
    files = {"images": FIXTURES / images, "train": FIXTURES / "LA_train.json"}
    found = episodes(store_of(tmp_path / "s", "LA_instructions.json", **files))
    expected = EXPECTED["image_text_in_context__train_config"]
    assert found == {name: (item["text"], item["media"]) for name, item in expected.items()}


def test_each_turn_shows_its_own_picture(tmp_path: Path) -> None:
    """At its last commit 2023 loaded the question's picture for every turn."""
    files = {"images": FIXTURES / "images.json", "train": FIXTURES / "LA_train.json"}
    store = store_of(tmp_path / "s", "LA_instructions.json", **files)
    texts = json.loads((FIXTURES / "images.json").read_text())
    episode = store.episode(0)
    shown = [example.media[0] for example in episode.examples] + [episode.media[0]]
    names = ["TT_IMG_000002", "TT_IMG_000001", "TT_IMG_000000"]
    assert shown == [base64.urlsafe_b64decode(texts[name]) for name in names]


def test_without_a_train_file_the_related_instructions_are_the_examples(tmp_path: Path) -> None:
    files = {"images": FIXTURES / "images.json"}
    found = episodes(store_of(tmp_path / "s", "LA_instructions.json", **files))
    expected = EXPECTED["image_text__populate_rel_ins_multi_turn"]
    # A turn of 2023 about another picture was shown none; here each turn has its own.
    assert {name: spoken.replace(IMAGE, "") for name, (spoken, _) in found.items()} == {
        name: item["text"].replace(IMAGE, "") for name, item in expected.items()
    }


def test_texts_are_cleaned_as_in_2023(tmp_path: Path) -> None:
    train = {"images": FIXTURES / "images.json", "train": tmp_path / "none.json"}
    (tmp_path / "none.json").write_text("{}")
    found = episodes(store_of(tmp_path / "s", "LA_instructions.json", clean="2023", **train))
    expected = EXPECTED["image_text__keep_symbols_false"]
    assert {name: spoken for name, (spoken, _) in found.items()} == {
        name: item["text"] for name, item in expected.items()
    }


def test_several_pictures_of_a_record_are_frames_of_one_medium(tmp_path: Path) -> None:
    names = ("SD_instructions.json", "DC_instructions.json", "TXT_instructions.json")
    store = store_of(tmp_path / "s", *names, images=FIXTURES / "images.json")
    found = episodes(store)
    pair = EXPECTED["image_text__two_images_as_frames_and_truncation"]["SD_INS_000000"]
    assert found["SD_INS_000000"] == (pair["text"], pair["media"])
    assert found["DC_INS_000000"][1] == [1, 6]
    assert found["TXT_INS_000001"] == (EXPECTED["text_only"]["TXT_INS_000001"]["text"], [0])
    tasks = [store.record(row).task for row in range(len(store))]
    assert tasks == ["SD", "LONG", "DC", "DC", "TXT", "TXT"]


def test_each_picture_may_be_a_medium_of_its_own(tmp_path: Path) -> None:
    files = {"images": FIXTURES / "images.json", "media": "pictures"}
    found = episodes(store_of(tmp_path / "s", "SD_instructions.json", **files))
    assert found["SD_INS_000000"][1] == [2, 1, 1]


def test_the_draw_of_samples_is_that_of_2023() -> None:
    letters = list("abcdefg")
    found = {count: chosen_in_2023(letters, int(count)) for count in EXPECTED["resample_data"]}
    assert found == EXPECTED["resample_data"]


MIXTURE = """
IMAGE_TEXT_IN_CONTEXT:
  LADD:
    mimicit_path: {folder}/LA_instructions.json
    images_path: {folder}/images.json
    train_config_path: {folder}/LA_train.json
    num_samples: 2
IMAGE_TEXT:
  SPOT:
    mimicit_path: {folder}/SD_instructions.json
    images_path: {folder}/images.json
    num_samples: 5
    task_description: [Find the difference.]
TEXT_ONLY:
  CHAT:
    mimicit_path: {folder}/TXT_instructions.json
    num_samples: -1
"""


def test_a_mixture_becomes_one_store_with_a_task_for_each_dataset(tmp_path: Path) -> None:
    (tmp_path / "mix.yaml").write_text(MIXTURE.format(folder=FIXTURES))
    found = imported("mimicit", [tmp_path / "mix.yaml"], tmp_path / "store")
    tasks = [record.task for record in found.records.values()]
    assert tasks == ["LADD"] * 3 + ["SPOT"] * 2 + ["CHAT"] * 2
    assert found.related("LA_T2T_INS_000000") == ["LA_T2T_INS_000002", "LA_T2T_INS_000001"]
    ids = [f"LA_T2T_INS_00000{n}" for n in range(3)]
    assert json.loads((tmp_path / "store" / "mixture.json").read_text()) == {
        "LADD": {
            "group": "IMAGE_TEXT_IN_CONTEXT",
            "num_samples": 2,
            "weight": 2 / 3,
            "ids": random.Random(0).sample(ids, 2),
        },
        "SPOT": {
            "group": "IMAGE_TEXT",
            "num_samples": 5,
            "weight": 2.5,
            "task_description": ["Find the difference."],
        },
        "CHAT": {"group": "TEXT_ONLY", "num_samples": -1, "weight": 1.0},
    }


def test_everything_wrong_with_a_mixture_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "mix.yaml").write_text(
        "PICTURES: {}\nIMAGE_TEXT:\n  A: {mimicit_path: no.json}\n  B: 3\n"
        f"  C: {{mimicit_path: {FIXTURES}/LA_instructions.json, num_samples: many, sampels: 3}}\n"
    )
    with pytest.raises(DataError) as error:
        open_source("mimicit", [tmp_path / "mix.yaml"])
    found = [str(problem).partition("mix.yaml: ")[2] for problem in error.value.problems]
    end = "Correct the mixture file."
    groups = "IMAGE_TEXT, TEXT_ONLY, VIDEO_TEXT, IMAGE_TEXT_IN_CONTEXT"
    fields = "mimicit_path, images_path, train_config_path, num_samples, task_description, status"
    assert found == [
        f"group = 'PICTURES': expected one of {groups}. {end}",
        f"IMAGE_TEXT.A.mimicit_path = 'no.json': expected a file that exists. {end}",
        f"IMAGE_TEXT.B.mimicit_path = missing: expected an instructions file. {end}",
        f"IMAGE_TEXT.C.sampels = unknown: expected one of {fields}. {end}",
        f"IMAGE_TEXT.C.num_samples = 'many': expected -1 or 0 for all, or a number. {end}",
    ]


@pytest.mark.parametrize(
    "wording", ["[1, 2", "a: *nobody", "!!python/object:os.system {}", "- 1", "\xff"]
)
def test_a_file_that_is_no_mixture_is_refused(tmp_path: Path, wording: str) -> None:
    (tmp_path / "mix.yaml").write_bytes(wording.encode("latin-1"))
    with pytest.raises(DataError, match=r"mix\.yaml"):
        open_source("mimicit", [tmp_path / "mix.yaml"])


def test_colliding_ids_are_said_and_can_be_told_apart(tmp_path: Path) -> None:
    for name in ("A", "B"):
        data = {"X_INS_1": instruction([]), "X_INS_2": instruction([], ["X_INS_1"])}
        write_instructions(tmp_path / f"{name}_instructions.json", data)
    paths = [tmp_path / f"{name}_instructions.json" for name in "AB"]
    assert len(problems("mimicit", paths)) == 2
    found = imported("mimicit", paths, tmp_path / "s", prefix="yes")
    assert found.related("B_instructions/X_INS_2") == ["B_instructions/X_INS_1"]


def test_base64_is_read_in_every_dialect(tmp_path: Path) -> None:
    data = {f"p{n}": picture(n) for n in range(40)}
    dialects = {
        "plain": lambda d: text(d),
        "url": lambda d: base64.urlsafe_b64encode(d).decode(),
        "bare": lambda d: text(d).rstrip("="),
        "lines": lambda d: base64.encodebytes(d).decode(),
        "address": lambda d: f"data:image/png;base64,{text(d)}",
    }
    write_instructions(tmp_path / "i.json", {"A_1": instruction(list(data))})
    for name, encode in dialects.items():
        images = {key: encode(value) for key, value in data.items()}
        wrapped = {"base64": images} if name == "url" else images
        (tmp_path / f"{name}.json").write_text(json.dumps(wrapped))
        found = imported(
            "mimicit", [tmp_path / "i.json"], tmp_path / name, images=tmp_path / f"{name}.json"
        )
        assert found.media("A_1") == [list(data)]
        rows = found.records["A_1"].media[0]
        assert [found.store.image_bytes(row) for row in rows] == list(data.values())


def test_images_are_read_from_parquet_parts_and_from_folders(tmp_path: Path) -> None:
    write_instructions(tmp_path / "i.json", {"A_1": instruction(["p0", "p1", "p2"])})
    (tmp_path / "parts").mkdir()
    for n in range(3):
        table = pa.table({"base64": [text(picture(n))], "__index_level_0__": [f"p{n}"]})
        pq.write_table(table, tmp_path / "parts" / f"part.{n}.parquet")
    (tmp_path / "files").mkdir()
    for n in range(3):
        (tmp_path / "files" / f"p{n}.jpg").write_bytes(picture(n, "JPEG"))
    for folder in ("parts", "files"):
        out = tmp_path / f"{folder}-store"
        source = open_source("mimicit", [tmp_path / "i.json"], {"images": tmp_path / folder})
        import_source(source, out, workers=0)
        assert len(Store(out).record(0).media[0]) == 3
    source = open_source("mimicit", [tmp_path / "i.json"], {"images": tmp_path / "parts"})
    assert source.picture_count() == 3  # type: ignore[attr-defined]


def test_wrong_records_are_named_and_the_others_kept(tmp_path: Path) -> None:
    good = instruction(["p"])
    path = write_instructions(
        tmp_path / "i.json",
        {
            "A_1": good,
            "A_2": {**good, "image_ids": 7},
            "A_3": {**good, "image_ids": ["q"]},
            "A_4": {**good, "rel_ins_ids": "A_1"},
            "A_5": {**good, "rel_ins_ids": ["A_1", "A_9"]},
            "A_6": {**good, "answer": None},
            "A_7": {"instruction": "What?"},
            "A_8": "text",
            "A_10": {**good, "image_ids": [["p"]]},
            "A_11": {**good, "image_ids": None, "rel_ins_ids": None},
        },
    )
    (tmp_path / "p.json").write_text(json.dumps({"p": text(picture(1)), "b": "!", "c": None}))
    found = problems("mimicit", [path], images=tmp_path / "p.json")
    assert [line.partition(": expected")[0] for line in found] == [
        "i.json: record 'A_2': image_ids = 7",
        "i.json: record 'A_3': media[0][0] = 'q'",
        "i.json: record 'A_5': related[1] = 'A_9'",
        "i.json: record 'A_6': answer = None",
        "i.json: record 'A_7': answer = ''",
        "i.json: record 'A_8': 'text'",
        "i.json: record 'A_10': media[0] = (['p'],)",
    ]
    source = open_source("mimicit", [path], {"images": tmp_path / "p.json"})
    import_source(source, tmp_path / "kept", workers=0, keep_going=True, max_broken=0.9)
    store = Store(tmp_path / "kept")
    assert [store.record(row).id for row in range(len(store))] == ["A_1", "A_4", "A_5", "A_11"]


def test_a_truncated_file_says_where_and_keeps_what_stands_before_if_asked(tmp_path: Path) -> None:
    path = write_instructions(tmp_path / "i.json", {f"A_{n}": instruction([]) for n in range(5)})
    whole = path.read_bytes()
    cut = whole.index(b"A_3") + 30
    path.write_bytes(whole[:cut])
    (found,) = problems("mimicit", [path])
    assert found == (
        f"i.json: it breaks off at byte {cut:,}: expected JSON to the end. Get the file again; "
        "keep_going (--keep-going) keeps what stands before."
    )
    source = open_source("mimicit", [path])
    result = import_source(source, tmp_path / "s", workers=0, keep_going=True)
    assert (result.records, result.problems) == (3, 1)


def test_a_damaged_file_of_pictures_is_said(tmp_path: Path) -> None:
    path = write_instructions(tmp_path / "i.json", {"A_1": instruction(["p"])})
    (tmp_path / "p.json").write_text(f'{{"p": "{text(picture(1))}", "q": "abc')
    (found,) = problems("mimicit", [path], images=tmp_path / "p.json")
    assert found.startswith("p.json: it breaks off at byte ")
    (tmp_path / "p.parquet").write_bytes(b"PAR1 but no more")
    found = problems("mimicit", [path], images=tmp_path / "p.parquet")[0]
    assert found.startswith("p.parquet: ")
    assert "expected a parquet file" in found


def test_a_train_file_with_strangers_is_said(tmp_path: Path) -> None:
    path = write_instructions(tmp_path / "i.json", {"A_1": instruction([], ["A_1"])})
    (tmp_path / "t.json").write_text('{"A_1": ["A_1"], "A_7": [], "A_1": ["A_2"], "A_3": 3}')
    found = problems("mimicit", [path], train=tmp_path / "t.json")
    assert sorted(line.partition(": expected")[0] for line in found) == [
        "i.json: record 'A_1': related[0] = 'A_2'",
        "t.json: A_1 = twice",
        "t.json: record 'A_3': no such record",
        "t.json: record 'A_7': no such record",
    ]


def test_bytes_that_are_not_utf8_cost_one_record(tmp_path: Path) -> None:
    path = write_instructions(tmp_path / "i.json", {f"A_{n}": instruction([]) for n in range(3)})
    path.write_bytes(path.read_bytes().replace(b"A cat.", b"A \xe9t\xe9.", 1))
    (found,) = problems("mimicit", [path])
    assert "record 'A_0': answer" in found
    assert "text that UTF-8 can hold" in found
