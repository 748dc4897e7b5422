"""The figures about a store, each checked where the answer is known, and the page they stand on."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.build.stores import encoded, picture, row, write_pets, write_raw

from otter.build.report import SampleSizes, measure
from otter.build.report_answers import answer_bias
from otter.build.report_charts import Bar, Series, draw_bars, draw_histogram, draw_sunburst
from otter.build.report_composition import composition, histogram, text_lengths
from otter.build.report_copies import exact_copies, near_pictures, near_texts
from otter.build.report_language import guess, languages, script_of
from otter.build.report_page import percent, write_report
from otter.build.report_relevance import WordFrequencies, relevance
from otter.build.report_wording import leading_pair, wording
from otter.data import Store


@pytest.fixture(scope="module")
def pets(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return write_pets(tmp_path_factory.mktemp("stores") / "pets")


def store_of(folder: Path, *rows: dict[str, Any], images: int = 0) -> Store:
    pictures = [(f"I{n}", picture(n)) for n in range(images)]
    return Store(write_raw(folder / "store", rows, pictures))


def test_composition_counts_every_record(pets: Store) -> None:
    made = composition(pets)
    assert [(entry["name"], entry["records"]) for entry in made["by_task"]] == [
        ("cats", 5),
        ("pairs", 2),
    ]
    assert {entry["name"]: entry["records"] for entry in made["by_media"]} == {
        "no media": 1,
        "one picture": 4,
        "several pictures": 1,
        "one clip": 1,
    }
    assert [(entry["name"], entry["records"]) for entry in made["by_language"]] == [
        ("en", 6),
        ("de", 1),
    ]
    assert made["examples"] == {
        "records_with": 2,
        "mean_where_any": 1.5,
        "most": 2,
        "by_number": [
            {"examples": 0, "records": 5},
            {"examples": 1, "records": 1},
            {"examples": 2, "records": 1},
        ],
    }
    assert made["distinct"] == {"instruction": 6, "answer": 7}


def test_of_many_tasks_the_rest_is_added_up(tmp_path: Path) -> None:
    tasks = composition(store_of(tmp_path, *(row(f"R{n}", task=f"T{n:02d}") for n in range(20))))
    assert len(tasks["by_task"]) == 16
    assert tasks["by_task"][-1] == {
        "name": "5 others",
        "records": 5,
        "share": 0.25,
        "is_rest": True,
    }


def test_lengths_are_percentiles_of_words_and_characters(tmp_path: Path) -> None:
    rows = [row(f"R{n}", answer=" ".join(["word"] * n)) for n in range(1, 101)]
    lengths = text_lengths(store_of(tmp_path, *rows), np.arange(100))
    words = lengths["answer"]["words"]
    assert (words["p5"], words["p50"], words["p95"], words["most"]) == (5, 50, 95, 100)
    assert lengths["answer"]["characters"]["most"] == 499
    assert lengths["answer"]["words_by_task"][0]["task"] == "cats"


def test_a_histogram_holds_every_value_and_says_if_its_end_is_open() -> None:
    drawn = histogram(np.array([0, 1, 1, 2] * 100 + [5000]))
    assert sum(drawn["shares"]) == pytest.approx(1)
    assert drawn["open_end"]
    assert drawn["edges"][0] == 0
    assert drawn["shares"][1] == pytest.approx(200 / 401)


@pytest.mark.parametrize(
    ("instruction", "pair"),
    [
        ("Describe the main differences between the pictures.", ("describe", "difference")),
        ("Can you please describe the image in detail?", ("describe", "image")),
        ("How many red cars are there?", ("how many", "car")),
        ("What is the man in the photo holding?", ("what", "man")),
        ("What kind of animal is it?", ("what", "animal")),
        ("Is there a dog on the sofa?", ("is …?", "dog")),
        ("Tell me what colour the cat is.", ("tell", "colour")),
        ("Write a short story about the two puppies.", ("write", "story")),
        ("Which shapes do you see?", ("which", "shape")),
        ("What's the name of it?", ("what", "name")),
        ("Describe!", ("describe", "")),
        ("The cat sat.", None),
        ("", None),
        ("这是什么?", None),
    ],
)
def test_the_leading_word_and_its_noun(instruction: str, pair: tuple[str, str] | None) -> None:
    assert leading_pair(instruction) == pair


def test_wording_counts_pairs_and_says_how_many_it_understood() -> None:
    told = wording(["Describe the cat.", "Describe the dogs!", "How many cats?", "Meow."])
    assert told["understood"] == 0.75
    assert told["different_pairs"] == 3
    assert told["verbs"][0] == {
        "verb": "describe",
        "count": 2,
        "nouns": [{"noun": "cat", "count": 1}, {"noun": "dog", "count": 1}],
        "different_nouns": 2,
    }


def test_exact_copies_are_counted_over_everything(tmp_path: Path) -> None:
    same = {"instruction": "How many?", "answer": "Two.", "media": [[0]]}
    rows = [
        row("A", **same),
        row("B", **same),
        row("C", **same | {"media": [[1]]}),
        row("D", **same | {"answer": "One."}),
        row("E"),
    ]
    copies = exact_copies(store_of(tmp_path, *rows, images=2))
    assert {name: entry["repeated"] for name, entry in copies.items()} == {
        "instruction": 3,
        "answer": 2,
        "question with media": 2,
        "record": 1,
    }
    assert copies["record"]["share"] == 0.2


def test_near_texts_are_found_and_different_ones_are_not() -> None:
    story = "a brown dog runs across the green field behind the old house near the river"
    texts = [story, f"{story} today", "two cats sleep on the red sofa in the kitchen", "short one"]
    texts += [f"picture {n} shows {n * 7} things that nobody else has {n * 13}" for n in range(200)]
    near = near_texts(texts)
    assert near["compared"] == 203
    assert near["with_near_copy"] == 2
    assert near["pairs"] == [[story, f"{story} today"]]


def test_no_texts_have_no_near_copies() -> None:
    assert near_texts([])["share"] == near_texts(["only one text of many words"])["share"] == 0


def test_near_pictures_are_found_after_compression_and_scaling_alone(tmp_path: Path) -> None:
    first = Image.open(__import__("io").BytesIO(picture(1, side=128)))
    moved = first.copy()
    moved.paste("white", (40, 40, 90, 90))
    images = [
        ("first", encoded(first, "PNG")),
        ("compressed", encoded(first, "JPEG", quality=60)),
        ("smaller", encoded(first.resize((90, 90)), "PNG")),
        ("with a square", encoded(moved, "PNG")),
        ("other", picture(2, side=128)),
        ("flat", encoded(Image.new("RGB", (64, 64), "red"), "PNG")),
        ("flat too", encoded(Image.new("RGB", (64, 64), "green"), "PNG")),
        ("broken", picture(3)[:40]),
    ]
    store = Store(write_raw(tmp_path / "store", [row("R")], images))
    near = near_pictures(store, np.arange(len(images)), lambda *_: None)
    assert (near["compared"], near["without_structure"], near["unreadable"]) == (5, 2, 1)
    assert near["with_near_copy"] == 3
    assert {store.image_id(i) for pair in near["pairs"] for i in pair} == {
        "first",
        "compressed",
        "smaller",
    }


def test_word_frequencies_weigh_rare_words_more() -> None:
    frequency = WordFrequencies(["the cat", "the dog", "the sea"])
    assert frequency.cosine("the cat", "the cat") == pytest.approx(1)
    assert frequency.cosine("cat", "dog") == 0
    assert frequency.cosine("the cat", "cat") > frequency.cosine("the cat", "the") > 0
    assert frequency.cosine("", "cat") == 0
    assert frequency.cosine("这是猫", "这是狗") > 0


@pytest.fixture
def related_store(tmp_path: Path) -> Store:
    """Questions of three kinds; the examples of each are of its kind."""
    words = ("cats on the sofa", "ships in the harbour", "stars above the hill")
    rows = [
        row(
            f"R{n}",
            instruction=f"Count the {words[n % 3]}.",
            answer=("one", "two", "three")[n % 3],
            related=[] if n < 30 else [n - 3, n - 6],
            media=[[n % 9]],
        )
        for n in range(60)
    ]
    return store_of(tmp_path, *rows, images=9)


def test_examples_are_compared_with_records_by_chance(related_store: Store) -> None:
    rows = np.arange(60)
    told = relevance(related_store, rows, rows, np.random.default_rng(0))
    assert told is not None
    assert (told["questions"], told["pairs"]) == (30, 60)
    instruction = told["measures"][0]
    chosen, by_chance, _ = instruction["groups"]
    assert chosen["mean"] == pytest.approx(1)
    assert by_chance["mean"] < 0.7
    assert 0.6 < by_chance["chosen_is_nearer"] < 1
    facts = {fact["name"]: fact for fact in told["facts"]}
    assert facts["same instruction, word for word"]["chosen"] == 1
    assert 0.1 < facts["same instruction, word for word"]["random"] < 0.6
    assert facts["the examples' most frequent answer is right"]["chosen"] == 1
    assert facts["a picture in common"]["chosen"] == 0


def test_vectors_of_pictures_are_compared_where_they_are(related_store: Store) -> None:
    folder = related_store.folder / "features"
    folder.mkdir()
    vectors = np.zeros((9, 3), dtype=np.float16)
    vectors[np.arange(9), np.arange(9) % 3] = 1
    np.save(folder / "otter-nano.npy", vectors)
    (folder / "otter-nano.json").write_text(json.dumps({"of": "pictures"}))
    np.save(folder / "older.npy", vectors[:5])  # of other pictures: not used
    (folder / "older.json").write_text(json.dumps({"of": "pictures"}))
    rows = np.arange(60)
    told = relevance(related_store, rows, rows, np.random.default_rng(0))
    assert told is not None
    assert [measure["name"] for measure in told["measures"]] == [
        "instruction",
        "answer",
        "pictures (otter-nano)",
    ]
    assert told["measures"][2]["groups"][0]["mean"] == pytest.approx(1, abs=1e-3)


def test_without_examples_there_is_nothing_to_compare(tmp_path: Path) -> None:
    store = store_of(tmp_path, row("A"))
    assert relevance(store, np.arange(1), np.arange(1), np.random.default_rng(0)) is None


def test_answer_bias_is_exact(tmp_path: Path) -> None:
    answers = ["yes"] * 6 + ["no"] * 2 + ["maybe"] * 4
    rows = [row(f"R{n}", instruction="Is it?", answer=answers[n]) for n in range(12)]
    bias = answer_bias(store_of(tmp_path, *rows, row("X", task="other", answer="42")))
    cats, other = bias["by_task"]
    assert (cats["task"], cats["records"], cats["different_answers"]) == ("cats", 12, 3)
    assert cats["majority_share"] == 0.5
    assert cats["entropy_bits"] == pytest.approx(1.459, abs=1e-3)
    assert [top["answer"] for top in cats["top"]] == ["yes", "maybe", "no"]
    assert (other["majority_share"], other["entropy_bits"], other["evenness"]) == (1, 0, 0)
    assert [entry["instruction"] for entry in bias["by_instruction"]] == ["Is it?"]


@pytest.mark.parametrize(
    ("text", "script", "language"),
    [
        ("How many cats are in the picture? There are two.", "Latin", "en"),
        ("Wie viele Katzen sind auf dem Bild? Es sind zwei.", "Latin", "de"),
        ("Combien de chats sont dans la photo ? Il y en a deux.", "Latin", "fr"),
        ("¿Cuántos gatos hay en la foto? Son dos de los que están.", "Latin", "es"),
        ("cat", "Latin", None),
        ("Сколько кошек?", "Cyrillic", None),
        ("これは猫です", "Japanese", None),
        ("这是猫", "Chinese", None),
        ("2 + 2", "no letters", None),
    ],
)
def test_script_and_language(text: str, script: str, language: str | None) -> None:
    assert (script_of(text), guess(text)) == (script, language)


def test_languages_that_contradict_the_declared_one_are_named() -> None:
    texts = ["Wie viele Katzen sind auf dem Bild?", "How many cats are in the picture?", "这是猫"]
    told = languages(texts, ["en", "en", "zh"], ["A", "B", "C"])
    assert told["contradicting"] == pytest.approx(1 / 3)
    assert [(entry["id"], entry["found"]) for entry in told["contradictions"]] == [("A", "de")]


def test_charts_are_svg_with_words_for_those_who_hear_them() -> None:
    bars = draw_bars("Tasks", [Bar("a & b", 2, "67 %"), Bar("c" * 90, 1, "33 %")], width=360)
    drawn = draw_histogram(
        "Words", [0, 1, 2], [Series("x", (0.2, 0.8)), Series("y", (0, 0))], x_label="n", width=400
    )
    burst = draw_sunburst("Pairs", [("describe", [("cat", 3)])])
    for chart in (bars, drawn, burst):
        assert chart.startswith("<svg")
        assert 'role="img"' in chart
        assert "<desc>" in chart
        assert "nan" not in chart
    assert "a &amp; b: 67 %" in bars
    assert "x: most between 1 and 2" in drawn
    assert "describe cat: 3" in burst


def test_shares_are_written_so_that_little_is_not_nothing() -> None:
    shares = (None, 0, 0.0004, 0.0334, 0.5, 0.0996, 0.9999, 1)
    assert [percent(share) for share in shares] == [
        "–",
        "0 %",
        "< 0.1 %",
        "3.3 %",
        "50 %",
        "10 %",
        "> 99.9 %",
        "100 %",
    ]


def test_the_page_needs_nothing_from_elsewhere_and_escapes_texts(
    pets: Store, tmp_path: Path
) -> None:
    figures = write_report(pets, tmp_path / "report")
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "report" / "report.json").read_text()) == figures
    assert not re.findall(r"""(?:src|href)=["'](?!data:image/|#)""", page)
    assert not re.findall(r"https?://|@import|url\(", page)
    assert "<b>all</b>" not in page
    for heading in ("What it is made of", "Do the examples fit", "How far one gets"):
        assert heading in page


def test_samples_are_told_where_not_everything_is_looked_at(tmp_path: Path) -> None:
    rows = [row(f"R{n}", media=[[n % 8]]) for n in range(40)]
    store = store_of(tmp_path, *rows, images=8)
    sizes = SampleSizes(lengths=10, wording=10, near_texts=10, pictures=4, languages=10)
    write_report(store, tmp_path / "report", sizes)
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert "in 10 records taken by chance" in page
    assert "of 10 records taken by chance" in page
    assert "Looked at in 10 records." in page
    assert measure(store, sizes)["copies"] == measure(store, sizes)["copies"]  # the same seed


def test_a_store_without_records_has_no_report(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no records: expected at least one to report on"):
        measure(store_of(tmp_path))


def test_a_store_without_media_examples_or_english_has_a_report(tmp_path: Path) -> None:
    rows = [row(f"R{n}", instruction="这是什么?", answer="猫", task="") for n in range(3)]
    write_report(store_of(tmp_path, *rows), tmp_path / "report")
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert "No record has worked examples" in page
