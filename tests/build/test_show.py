"""The page of episodes: everything of an episode is on it, and nothing from elsewhere."""

import base64
import io
import re
from pathlib import Path

import pytest
from PIL import Image
from tests.build.stores import encoded, picture, row, write_pets, write_raw

from otter.build.show import Chosen, choose, find_rows, write_show
from otter.build.show_pictures import MAX_FRAMES, PictureShelf
from otter.build.show_text import rendered
from otter.data import DataError, Record, Store, StoreWriter
from otter.prompt import Episode, Example, chat_template


@pytest.fixture(scope="module")
def pets(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return write_pets(tmp_path_factory.mktemp("stores") / "pets")


@pytest.fixture
def page(pets: Store, tmp_path: Path) -> str:
    path = tmp_path / "deep" / "page.html"
    write_show(pets, path, Chosen(tuple(range(len(pets))), "All of them."))
    assert [file.name for file in path.parent.iterdir()] == ["page.html"]
    return path.read_text(encoding="utf-8")


def leaf(page: str, name: str) -> str:
    return page.split(f'aria-label="{name}"')[1].split("</article>")[0]


def test_a_leaf_holds_the_examples_in_order_then_the_question(page: str) -> None:
    own = leaf(page, "CAT_2")
    places = [own.index(text) for text in ("One.", "Two.", "How many kittens are there?")]
    assert places == sorted(places)
    assert "2 worked examples" in own
    for mark in ("<b>task</b>cats", "<b>source</b>garden", "<b>split</b>train", "<b>weight</b>0.5"):
        assert mark in own
    assert own.count("<img") == 3
    assert "<b>split</b>test" in leaf(page, "TEST")
    assert "<b>language</b>de" in leaf(page, "TEST")


def test_texts_of_a_dataset_are_never_read_as_html(page: str) -> None:
    assert "Three, &lt;b&gt;all&lt;/b&gt; white." in page
    assert "<b>all</b>" not in page


def test_the_page_needs_nothing_from_elsewhere(page: str) -> None:
    assert not re.findall(r"""(?:src|href)=["'](?!data:image/|#)""", page)
    assert not re.findall(r"https?://|@import|url\(", page)


def test_a_clip_is_a_strip_of_frames_in_order(page: str) -> None:
    own = leaf(page, "CLIP").split("Question")[1]
    assert 'aria-label="clip, 3 frames in order"' in own
    assert re.findall(r'alt="frame (\d): (\w+)"', own) == [
        ("1", "IMG_2"),
        ("2", "IMG_3"),
        ("3", "IMG_4"),
    ]


def test_the_exact_text_marks_what_is_learned(page: str) -> None:
    own = leaf(page, "CAT_2")
    text = re.search(r"<pre[^>]*>(.*?)</pre>", own, re.S)
    assert text is not None
    assert text.group(1) == (
        "&lt;image&gt;User:How many cats are there? GPT:&lt;answer&gt;"
        "<mark>One.&lt;|endofchunk|&gt;</mark>"
        "&lt;image&gt;User:How many cats are there? GPT:&lt;answer&gt;"
        "<mark>Two.&lt;|endofchunk|&gt;</mark>"
        "&lt;image&gt;User:How many kittens are there? GPT:&lt;answer&gt;"
        "<mark>Three, &lt;b&gt;all&lt;/b&gt; white.&lt;|endofchunk|&gt;</mark>"
    )


def test_controls_have_names_for_those_who_hear_them(page: str) -> None:
    for name in ("Previous episode", "Next episode"):
        assert f'aria-label="{name}"' in page
    assert 'aria-live="polite"' in page
    assert page.count("<img") == len(re.findall(r'<img[^>]* alt="[^"]+"', page))
    assert '<option value=":cats">cats (5)</option>' in page
    assert '<option value=":test">test (1)</option>' in page


def test_the_text_is_the_one_that_transformers_would_render() -> None:
    from transformers.utils.chat_template_utils import render_jinja_template

    episode = Episode(
        "dogs?", [b""], [Example("cats?\n", " two ", [b"", b""]), Example("", "x")], answer="one"
    )
    for style in ("otter", "otter-2023", "openflamingo"):
        template = chat_template(style)
        (whole,), _ = render_jinja_template(
            [episode.messages(with_answer=True)], chat_template=template, bos_token=None
        )
        pieces = rendered(episode, template)
        assert "".join(text for text, _ in pieces) == whole
        learned = [text for text, is_learned in pieces if is_learned]
        space = " " if style == "otter-2023" else ""
        assert learned == [f"{space}{a}<|endofchunk|>" for a in (" two ", "x", "one")]


def test_an_episode_without_answer_ends_where_the_model_goes_on() -> None:
    assert rendered(Episode("dogs?")) == [("User:dogs?", False)]


def test_large_pictures_are_scaled_down_and_small_ones_go_in_as_they_are(tmp_path: Path) -> None:
    small = picture(0)
    sideways = Image.new("RGB", (40, 20), "red")
    exif = Image.Exif()
    exif[0x0112] = 6
    images = [
        ("small", small),
        ("large", encoded(Image.new("RGB", (2000, 1000), "red"), "PNG")),
        ("sideways", encoded(sideways, "JPEG", exif=exif)),
        ("broken", small[:50]),
    ]
    store = Store(write_raw(tmp_path / "store", [row("R", media=[[n] for n in range(4)])], images))
    kept, large, upright, broken = (
        m.frames[0] for m in PictureShelf(store).media([[0], [1], [2], [3]])
    )
    assert kept.address == f"data:image/png;base64,{base64.b64encode(small).decode()}"
    assert (large.width, large.height) == (320, 160)
    data = base64.b64decode(large.address.removeprefix("data:image/jpeg;base64,"))
    assert Image.open(io.BytesIO(data)).size == (320, 160)
    assert (upright.width, upright.height) == (20, 40)
    assert "damaged" in broken.problem
    write_show(store, tmp_path / "page.html", Chosen((0,), ""))
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert 'class="broken" role="img" aria-label="picture that cannot be shown"' in page


def test_of_long_clips_some_frames_are_shown_and_the_number_is_told(tmp_path: Path) -> None:
    images = [(f"I{n}", picture(n)) for n in range(40)]
    store = Store(write_raw(tmp_path / "store", [row("R", media=[list(range(40))])], images))
    (clip,) = PictureShelf(store).media([list(range(40))])
    assert len(clip.frames) == MAX_FRAMES
    assert (clip.frames[0].name, clip.frames[-1].name) == ("I0", "I39")
    write_show(store, tmp_path / "page.html", Chosen((0,), ""))
    assert "clip, 12 of 40 frames" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_a_video_that_is_gone_is_told_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "cat.mp4").write_bytes(b"x")
    with StoreWriter(tmp_path / "store") as writer:
        writer.add_video("V", tmp_path / "cat.mp4", 1.5, 4)
        writer.add_record(Record("R", "What happens?", "It runs.", (("V",),)))
    (tmp_path / "cat.mp4").unlink()
    write_show(Store(tmp_path / "store"), tmp_path / "page.html", Chosen((0,), ""))
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "cat.mp4, 1.5 s to 4 s" in page
    assert 'class="broken"' in page


def test_every_task_is_shown_and_questions_with_examples_first(pets: Store) -> None:
    chosen = choose(pets, 2)
    assert {pets.record(row).id for row in chosen.rows} == {"CAT_2", "CLIP"}
    assert chosen.rule == (
        "Chosen by chance (seed 0), of every task about as many; of each task first the questions "
        "that have worked examples."
    )
    assert len(choose(pets, 50).rows) == len(pets)
    assert [pets.record(row).id for row in choose(pets, 9, split="test").rows] == ["TEST"]


def test_a_task_or_number_that_cannot_be_is_refused(pets: Store) -> None:
    with pytest.raises(ValueError, match="task = 'dogs': expected one of 'cats', 'pairs'"):
        choose(pets, 3, task="dogs")
    with pytest.raises(ValueError, match="n = 0: expected at least 1 episode"):
        choose(pets, 0)


def test_records_are_found_by_id_and_by_row_and_all_others_are_named(pets: Store) -> None:
    assert find_rows(pets, ["CLIP", "0", "CAT_0"]).rows == (4, 0)
    with pytest.raises(DataError) as error:
        find_rows(pets, ["CAT_0", "DOG", "7"])
    assert [problem.value for problem in error.value.problems] == ["'DOG'", "'7'"]
    assert "expected the id of a record, or a row from 0 to 6" in str(error.value)
