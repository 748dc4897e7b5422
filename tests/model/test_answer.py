"""A checkpoint that answers: loading, asking, streaming, and what is refused."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.model.tiny_processor import tiny_processor
from transformers import pipeline

from otter.media import MediaError
from otter.model import OtterConfig, OtterForConditionalGeneration, answer
from otter.model.answer import Otter, load
from otter.model.familiarity import FILE, Familiarity
from otter.prompt import STYLES, Episode, Example, chat_template


def picture(seed: int) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    return Image.fromarray(values)


def tiny_otter(tokenizer: str = "byte-level", positions: int = 512) -> Otter:
    """Random weights, scaled so that pictures and words matter."""
    processor = tiny_processor(tokenizer)
    text = {
        "model_type": "llama",
        "vocab_size": len(processor.tokenizer),
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": positions,
        "bos_token_id": None,
        "eos_token_id": processor.tokenizer.eos_token_id,
        "pad_token_id": processor.tokenizer.pad_token_id,
    }
    tower = {
        "model_type": "clip_vision_model",
        "hidden_size": 24,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 16,
        "patch_size": 4,
    }
    torch.manual_seed(0)
    config = OtterConfig(
        vision_config=tower,
        text_config=text,
        cross_attention_every_n_layers=1,
        num_latents=3,
        resampler_depth=1,
        resampler_heads=2,
        resampler_head_dim=8,
        cross_attention_heads=2,
        cross_attention_head_dim=8,
        image_token_id=processor.image_token_id,
        answer_token_id=processor.answer_token_id,
        end_of_chunk_token_id=processor.end_of_chunk_token_id,
    )
    model = OtterForConditionalGeneration(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("gate"):
                parameter.fill_(0.8)
            elif parameter.ndim == 2 and "vision_tower" not in name:
                parameter.normal_(0, 0.3)
    return Otter(model, processor, name="tiny")


@pytest.fixture(scope="module")
def otter() -> Otter:
    return tiny_otter()


@pytest.fixture(scope="module")
def folder(otter: Otter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoints") / "tiny"
    otter.model.save_pretrained(path)
    otter.processor.save_pretrained(path)
    return path


EPISODES = [
    Episode("which?", [picture(0)], [Example("what is this?", "dax", [picture(1)])]),
    Episode("why?"),
    Episode("what is different?", [picture(2), picture(3)]),
    Episode("what happens?", [[picture(4), picture(5), picture(6)]]),
    Episode("which?", [picture(7)], [Example("x", "y", [[picture(1), picture(2)], picture(0)])]),
]


# --- asking ------------------------------------------------------------------------------------


def test_answers_of_a_batch_are_those_given_alone(otter: Otter) -> None:
    alone = [otter.answer_all([episode], max_new_tokens=8)[0] for episode in EPISODES]
    assert len(set(alone)) == len(alone)  # the pictures matter
    assert otter.answer_all(EPISODES, max_new_tokens=8) == alone
    assert otter.answer_all(EPISODES, max_new_tokens=8, batch_size=2) == alone
    assert otter.answer_all([]) == []


@pytest.mark.parametrize("style", STYLES)
def test_the_space_that_a_style_learns_is_no_part_of_the_answer(
    otter: Otter, style: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    processor = tiny_processor(chat_template=chat_template(style))
    other = Otter(otter.model, processor)
    said = (" " if style == "otter-2023" else "") + "dax wug"
    ids = [*processor.tokenizer(said)["input_ids"], processor.end_of_chunk_token_id]

    def generate(input_ids: torch.Tensor, streamer: Any = None, **_: Any) -> torch.Tensor:
        for given in (input_ids, *torch.tensor(ids)):
            if streamer is not None:
                streamer.put(given)
        return torch.cat([input_ids, torch.tensor([ids])], dim=1)

    monkeypatch.setattr(other.model, "generate", generate)
    assert other.answer(None, "why?") == "dax wug"
    assert "".join(other.stream(None, "why?")) == "dax wug"


def test_the_known_answer_of_an_episode_is_not_looked_at(otter: Otter) -> None:
    known = Episode("which?", [picture(0)], answer="dax")
    unknown = Episode("which?", [picture(0)])
    asked = [otter.answer_all([episode], max_new_tokens=6) for episode in (known, unknown)]
    assert asked[0] == asked[1]


def test_pictures_may_be_one_or_several_or_clips(otter: Otter, tmp_path: Path) -> None:
    def asked(episode: Episode) -> str:
        return otter.answer_all([episode], max_new_tokens=6)[0]

    a, b, c = (picture(i) for i in range(3))
    a.save(tmp_path / "a.png")
    one = asked(Episode("which?", [a]))
    for given in (a, [a], (a,), tmp_path / "a.png", str(tmp_path / "a.png"), np.asarray(a)):
        assert otter.answer(given, "which?", max_new_tokens=6) == one
    assert otter.answer([a, b], "which?", max_new_tokens=6) == asked(Episode("which?", [a, b]))
    clip = asked(Episode("which?", [[a, b], c]))
    assert otter.answer([[a, b], c], "which?", max_new_tokens=6) == clip
    for nothing in (None, []):
        assert otter.answer(nothing, "why?", max_new_tokens=6) == asked(Episode("why?"))


def test_an_answer_ends_before_the_end_of_its_chunk(
    otter: Otter, monkeypatch: pytest.MonkeyPatch
) -> None:
    words, end = otter.processor.tokenizer("dax wug")["input_ids"], "<|endofchunk|>"
    stop = otter.processor.end_of_chunk_token_id
    eos, pad = otter.processor.tokenizer.eos_token_id, otter.processor.tokenizer.pad_token_id
    for tail in ([stop, *words], [eos, *words], [stop, pad, pad], []):
        written = torch.tensor([[*words, *tail]])

        def generate(input_ids: torch.Tensor, written: Any = written, **_: Any) -> torch.Tensor:
            return torch.cat([input_ids, written], dim=1)

        monkeypatch.setattr(otter.model, "generate", generate)
        assert otter.answer(None, "why?") == "dax wug"
    assert end not in otter.answer(None, "why?")


def test_the_space_that_a_tokenizer_puts_first_is_no_part_of_an_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    otter = tiny_otter("metaspace")
    words = torch.tensor(
        otter.processor.tokenizer(["dax  wug"], add_special_tokens=False).input_ids
    )
    monkeypatch.setattr(
        otter.model, "generate", lambda input_ids, **_: torch.cat([input_ids, words], dim=1)
    )
    assert otter.answer(None, "why?") == "dax  wug"


def test_options_of_generation_are_passed_on(otter: Otter) -> None:
    torch.manual_seed(1)
    sampled = {
        otter.answer(None, "why?", max_new_tokens=6, do_sample=True, temperature=3.0)
        for _ in range(4)
    }
    assert len(sampled) > 1


def test_eight_threads_get_what_they_get_alone(otter: Otter) -> None:
    jobs = [(picture(i), [Example("x", f"y{i}", [picture(90 + i)])]) for i in range(8)]
    alone = [otter.answer(image, "which?", shown, max_new_tokens=6) for image, shown in jobs]
    with ThreadPoolExecutor(8) as pool:
        together = pool.map(
            lambda job: otter.answer(job[0], "which?", job[1], max_new_tokens=6), jobs * 2
        )
        assert list(together) == alone * 2


def test_the_pipeline_of_transformers_answers_too(otter: Otter) -> None:
    ask = pipeline("image-text-to-text", model=otter.model, processor=otter.processor)
    content = [{"type": "image", "image": picture(0)}, {"type": "text", "text": "which?"}]
    said = ask(text=[{"role": "user", "content": content}], max_new_tokens=6, do_sample=False)
    answer_text = said[0]["generated_text"][-1]["content"].strip()
    assert answer_text == otter.answer(picture(0), "which?", max_new_tokens=6)


# --- streaming ---------------------------------------------------------------------------------


def streaming_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "otter-stream"]


@pytest.mark.parametrize("tokenizer", ["byte-level", "metaspace", "legacy metaspace"])
def test_pieces_of_a_stream_make_the_answer(tokenizer: str) -> None:
    otter = tiny_otter(tokenizer)
    for seed in range(3):
        examples = [Example("x", "y", [picture(seed + 50)])]
        pieces = list(otter.stream(picture(seed), "which?", examples, max_new_tokens=12))
        whole = otter.answer(picture(seed), "which?", examples, max_new_tokens=12)
        assert "".join(pieces) == whole
        assert all(pieces)
    assert not streaming_threads()


def test_half_a_character_is_held_back(otter: Otter, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = otter.processor.tokenizer("é☃ 😀.")["input_ids"]
    assert len(ids) > 6

    def tokens(*_: Any) -> Iterator[list[int]]:
        yield from ([token] for token in ids)

    monkeypatch.setattr(answer, "stream_tokens", tokens)
    assert list(otter.stream(None, "why?")) == ["é", "☃", " 😀", "."]


def test_closing_a_stream_ends_the_generation(otter: Otter) -> None:
    steps = []
    hook = otter.model.language_model.register_forward_hook(lambda *_: steps.append(1))
    try:
        stream = otter.stream(picture(0), "which?", max_new_tokens=400, min_new_tokens=400)
        next(stream)
        stream.close()  # type: ignore[attr-defined]
    finally:
        hook.remove()
    assert len(steps) < 400
    assert not streaming_threads()


def test_an_error_while_writing_reaches_the_reader(otter: Otter) -> None:
    with pytest.raises(ValueError, match="num_beams"):
        list(otter.stream(picture(0), "which?", num_beams=2))
    assert not streaming_threads()


def test_a_bad_picture_is_refused_before_the_stream_begins(otter: Otter) -> None:
    with pytest.raises(MediaError, match=r"nowhere\.png: No such file or directory"):
        otter.stream("nowhere.png", "which?")


# --- what is refused ---------------------------------------------------------------------------


def test_a_prompt_longer_than_the_model_reads_is_refused() -> None:
    otter = tiny_otter(positions=40)
    examples = [Example("what is this?", "dax", [picture(i)]) for i in range(9)]
    length = otter.processor.from_episodes([Episode("q", examples=examples)], with_answers=False)
    with pytest.raises(ValueError) as error:
        otter.answer(None, "q", examples)
    assert str(error.value) == (
        f"the prompt has {length['input_ids'].shape[1]} tokens and tiny reads 40 with the answer: "
        "leave out examples, or shorten the texts"
    )


def test_a_long_answer_ends_where_the_model_can_read_no_further() -> None:
    otter = tiny_otter(positions=40)
    seen = []
    otter.model.language_model.register_forward_pre_hook(
        lambda _, __, kwargs: seen.append(int(kwargs["position_ids"].max())), with_kwargs=True
    )
    otter.answer(None, "why?", max_new_tokens=500, min_new_tokens=30)
    assert 35 < max(seen) < 40


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size = 0: expected 1 or more"),
        (
            {"num_return_sequences": 2},
            "num_return_sequences = 2: one answer is given to each question; use model.generate "
            "for several",
        ),
    ],
)
def test_options_that_make_no_sense_are_refused(
    options: dict[str, Any], message: str, otter: Otter
) -> None:
    with pytest.raises(ValueError) as error:
        otter.answer_all([Episode("q")], **options)
    assert str(error.value) == message


# --- loading -----------------------------------------------------------------------------------


def test_a_saved_model_answers_as_before(otter: Otter, folder: Path) -> None:
    for name in (folder, str(folder)):
        again = load(name)
        assert again.name == "tiny"
        assert not again.model.training
        assert again.familiarity is None
        assert again.answer_all(EPISODES, max_new_tokens=8) == otter.answer_all(
            EPISODES, max_new_tokens=8
        )


def test_weights_stored_in_half_precision_are_widened_on_the_cpu(
    otter: Otter, folder: Path, tmp_path: Path
) -> None:
    load(folder, dtype=torch.float16).model.save_pretrained(tmp_path)
    otter.processor.save_pretrained(tmp_path)
    assert load(tmp_path).model.dtype == torch.float32
    assert load(tmp_path, dtype=torch.bfloat16).model.dtype == torch.bfloat16


def test_a_shipped_checkpoint_is_found_by_its_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder.parent / "otter-nano").symlink_to(folder)
    monkeypatch.setattr(answer, "CHECKPOINTS", folder.parent)
    assert load("otter-nano").name == "otter-nano"


def test_a_shipped_checkpoint_that_is_missing_can_be_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer, "CHECKPOINTS", tmp_path)
    with pytest.raises(FileNotFoundError) as error:
        load("nano-base")
    assert str(error.value) == (
        f"nano-base belongs to this package, but {tmp_path / 'nano-base'} is not there; make it "
        "with `otter nano base` and `otter nano tune`, or install the package again"
    )


@pytest.mark.parametrize("name", ["oter-nano", "org/model", "./here", "a/b/c", Path("there")])
def test_an_unknown_name_says_what_there_is(name: str | Path) -> None:
    with pytest.raises(FileNotFoundError) as error:
        load(name)
    assert str(error.value) == (
        f"no checkpoint {str(name)!r}: expected a shipped name (otter-nano, nano-base), a folder "
        "with config.json, or the id of a model on the Hugging Face hub together with "
        "allow_download=True"
    )


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as error:
        load(tmp_path)
    assert str(error.value) == (
        f"{tmp_path} has no config.json, so it is no checkpoint; give the folder that `otter "
        "train` or save_pretrained wrote"
    )


@pytest.mark.parametrize("allowed", [False, True])
def test_the_network_is_used_only_when_allowed(
    allowed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def from_pretrained(name: str, **options: Any) -> None:
        asked.append((name, options["local_files_only"]))
        raise OSError("not found")

    monkeypatch.setattr(answer.AutoProcessor, "from_pretrained", from_pretrained)
    with pytest.raises(FileNotFoundError):
        load("org/model", allow_download=allowed)
    assert asked == [("org/model", not allowed)]


# --- strange pictures --------------------------------------------------------------------------


def test_a_picture_unlike_the_training_pictures_gives_a_warning(
    otter: Otter, folder: Path, tmp_path: Path
) -> None:
    greys = [Image.new("L", (16, 16), 90 + i) for i in range(60)]
    Familiarity.fit(otter.picture_features(greys, batch_size=16)).save(tmp_path)
    for file in folder.iterdir():
        (tmp_path / file.name).symlink_to(file)
    taught = load(tmp_path)
    assert taught.familiarity is not None
    assert taught.unfamiliar(Image.new("RGB", (16, 16), (120, 120, 120))) is None
    strange = taught.distance(picture(0))
    warning = taught.unfamiliar(picture(0))
    assert strange is not None
    assert warning == taught.familiarity.warning(strange, tmp_path.name)
    assert taught.unfamiliar([greys[0], picture(0)]) == warning  # one strange frame is enough
    assert (tmp_path / FILE).is_file()


def test_a_checkpoint_that_knows_nothing_of_its_pictures_does_not_warn(otter: Otter) -> None:
    assert otter.distance(picture(0)) is None
    assert otter.unfamiliar(picture(0)) is None
