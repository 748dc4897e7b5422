"""Composing: any tower and any causal language model; what cannot be wired is refused by name."""

import copy
import json
import re
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from tests.convert.tiny_backbones import LANGUAGE_MODELS, save_language_model, save_tower
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor

from otter.convert.compose import Composed, compose, default_every
from otter.convert.errors import ConversionError
from otter.model import OtterForConditionalGeneration
from otter.prompt import CHAT_TEMPLATE, SPECIAL_TOKENS, Episode, Example

PAIRS = [*product(["clip"], LANGUAGE_MODELS), *product(["siglip"], ["llama", "mpt", "gemma3_text"])]
"""A tower and a language model know nothing of each other, so not every pair is needed."""


@pytest.fixture(scope="module")
def backbones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every tower and every language model, saved when first asked for."""
    return tmp_path_factory.mktemp("backbones")


def saved(backbones: Path, kind: str) -> Path:
    folder = backbones / kind
    if folder.exists():
        return folder
    if kind in LANGUAGE_MODELS:
        return save_language_model(folder, kind)
    return save_tower(folder, kind)


@dataclass(frozen=True)
class Made:
    """A composed checkpoint, what it loads as, and its language model alone."""

    composed: Composed
    model: OtterForConditionalGeneration
    plain: Any


@pytest.fixture(scope="module", params=PAIRS, ids="-".join)
def made(
    request: pytest.FixtureRequest, backbones: Path, tmp_path_factory: pytest.TempPathFactory
) -> Made:
    """Each tower with each language model; not to be changed."""
    tower, language_model = (saved(backbones, kind) for kind in request.param)
    folder = tmp_path_factory.mktemp("made") / "-".join(request.param)
    composed = compose(folder, vision_tower=tower, language_model=language_model)
    plain = AutoModelForCausalLM.from_pretrained(language_model).eval()
    return Made(composed, loaded(folder), plain)


def loaded(folder: Path) -> OtterForConditionalGeneration:
    model, report = AutoModelForImageTextToText.from_pretrained(folder, output_loading_info=True)
    assert {name: keys for name, keys in report.items() if keys} == {}
    return model.eval()


def inputs(folder: Path, *, with_pictures: bool = True) -> Any:
    processor = AutoProcessor.from_pretrained(folder)
    red, blue = (Image.new("RGB", (20, 12), colour) for colour in ("red", "blue"))
    episodes = [
        Episode("what is this?", [blue], [Example("what is this?", "a dog", [red])]),
        Episode("two cats?", [red]),
    ]
    if not with_pictures:
        episodes = [Episode("what is this? a bird"), Episode("two cats")]
    return processor.from_episodes(episodes, with_answers=False, padding_side="left")


def test_a_tower_saved_by_an_older_transformers_is_read(backbones: Path, tmp_path: Path) -> None:
    folder = save_tower(tmp_path / "older")
    state = load_file(folder / "model.safetensors")
    older = {f"vision_model.{name}": tensor for name, tensor in state.items()}
    save_file(older, folder / "model.safetensors", {"format": "pt"})
    kept = loaded(quick(backbones, tmp_path, vision_tower=folder).folder).vision_tower.state_dict()
    assert all(torch.equal(tensor, kept[name]) for name, tensor in state.items())


def open_gates(model: OtterForConditionalGeneration) -> None:
    with torch.no_grad():
        for block in model.cross_attention:
            block.attention_gate.fill_(0.7)
            block.feed_forward_gate.fill_(0.7)


def test_it_generates_and_from_a_cache_the_same(made: Made) -> None:
    model, batch = copy.deepcopy(made.model), inputs(made.composed.folder)
    open_gates(model)
    options: dict[str, Any] = {"max_new_tokens": 5, "do_sample": False, "eos_token_id": None}
    cached = model.generate(**batch, **options)
    assert cached.shape[1] == batch["input_ids"].shape[1] + 5
    assert torch.equal(cached, model.generate(**batch, **options, use_cache=False))


def test_with_shut_gates_it_says_what_the_language_model_says(made: Made) -> None:
    rows = made.plain.get_input_embeddings().weight.shape[0]
    batch = inputs(made.composed.folder, with_pictures=False)
    # All of a prompt but its markers is known to the language model.
    ids, mask = batch["input_ids"].clamp(max=rows - 1), batch["attention_mask"]
    with torch.no_grad():
        ours = made.model(input_ids=ids, attention_mask=mask).logits
        theirs = made.plain(input_ids=ids, attention_mask=mask).logits
    assert torch.equal(ours[..., :rows], theirs)


def test_the_language_model_keeps_its_weights(made: Made) -> None:
    plain = made.plain.state_dict()
    for name, tensor in made.model.language_model.state_dict().items():
        assert torch.equal(tensor[: plain[name].shape[0]], plain[name]), name


def test_the_table_counts_what_is_there(made: Made) -> None:
    sizes, model = made.composed.sizes, made.model
    assert sum(size.parameters for size in sizes) == sum(p.numel() for p in model.parameters())
    assert {size.part: size.trainable for size in sizes if size.trainable} == {
        "resampler": sum(p.numel() for p in model.resampler.parameters()),
        "cross_attention": sum(p.numel() for p in model.cross_attention.parameters()),
        "token_embeddings": model.get_input_embeddings().weight.numel(),
    }


@pytest.mark.parametrize("tower", ["clip", "siglip"])
def test_of_a_whole_clip_the_tower_alone_is_taken(
    backbones: Path, tmp_path: Path, tower: str
) -> None:
    whole = saved(backbones, f"whole {tower}")
    made = compose(tmp_path / "new", vision_tower=whole, language_model=saved(backbones, "llama"))
    kept = loaded(made.folder).vision_tower.state_dict()
    expected = AutoModel.from_pretrained(whole).vision_model.state_dict()
    assert kept.keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in kept.items())


def quick(backbones: Path, tmp_path: Path, **options: Any) -> Composed:
    parts = {"vision_tower": saved(backbones, "clip"), "language_model": saved(backbones, "llama")}
    return compose(tmp_path / "new", **(parts | options))


@pytest.fixture(scope="module")
def usual(backbones: Path, tmp_path_factory: pytest.TempPathFactory) -> Composed:
    """CLIP and LLaMA with no options; not to be changed."""
    return quick(backbones, tmp_path_factory.mktemp("usual"), command="otter new x")


def test_pictures_matter_once_the_gates_are_open(usual: Composed) -> None:
    model, batch = loaded(usual.folder), inputs(usual.folder)
    open_gates(model)
    with torch.no_grad():
        seen = model(**batch).logits
        swapped = model(**{**batch, "pixel_values": batch["pixel_values"].flip(0)}).logits
    assert not torch.allclose(seen[1, -1], swapped[1, -1])


def test_rows_of_new_tokens_are_the_mean_of_the_old(usual: Composed) -> None:
    model = loaded(usual.folder)
    tokens = AutoProcessor.from_pretrained(usual.folder).tokenizer
    ids = tokens.convert_tokens_to_ids([*SPECIAL_TOKENS, tokens.pad_token])
    old = ids[0]
    assert ids == list(range(old, old + 4))
    for end in (model.get_input_embeddings(), model.get_output_embeddings()):
        mean = end.weight[:old].mean(0)
        assert torch.allclose(end.weight[old:], mean.expand(4, -1), atol=1e-6)
    assert model.config.text_config.vocab_size == old + 4
    assert any(f"grew from {old:,} to {old + 4:,} rows" in note for note in usual.notes)


def test_spare_rows_are_used_before_new_ones_are_made(backbones: Path, tmp_path: Path) -> None:
    roomy = save_language_model(tmp_path / "roomy", spare=50)
    made = quick(backbones, tmp_path, language_model=roomy)
    plain = AutoModelForCausalLM.from_pretrained(roomy)
    model = loaded(made.folder)
    assert torch.equal(model.get_input_embeddings().weight, plain.get_input_embeddings().weight)
    assert any("take rows that the vocabulary" in note for note in made.notes)


def test_the_options_reach_the_config(backbones: Path, tmp_path: Path) -> None:
    made = quick(
        backbones, tmp_path, every=2, latents=3, attend="group", max_frames=5, dtype="bf16"
    )
    model = loaded(made.folder)
    config = model.config
    assert (config.cross_attention_every_n_layers, config.num_latents) == (2, 3)
    assert (config.attend, config.max_frames) == ("group", 5)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    assert AutoProcessor.from_pretrained(made.folder).num_frames == 5
    assert made.dtype == torch.bfloat16


def test_the_type_of_the_language_model_is_kept(backbones: Path, tmp_path: Path) -> None:
    half = save_language_model(tmp_path / "half", dtype=torch.bfloat16)
    assert quick(backbones, tmp_path, language_model=half).dtype == torch.bfloat16


def test_the_same_parts_give_the_same_weights(
    usual: Composed, backbones: Path, tmp_path: Path
) -> None:
    again = loaded(quick(backbones, tmp_path).folder).state_dict()
    first = loaded(usual.folder).state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in first.items())


def test_an_answer_also_ends_where_the_language_model_ends_a_text(
    backbones: Path, tmp_path: Path
) -> None:
    folder = save_language_model(tmp_path / "chatty")
    file = folder / "generation_config.json"
    said = json.loads(file.read_text()) | {"eos_token_id": [0, 7]}
    file.write_text(json.dumps(said))
    model = loaded(quick(backbones, tmp_path, language_model=folder).folder)
    ends = model.generation_config.eos_token_id
    assert ends == [model.config.end_of_chunk_token_id, 0, 7]


def test_a_second_save_holds_the_same(usual: Composed, tmp_path: Path) -> None:
    model = loaded(usual.folder)
    model.save_pretrained(tmp_path)
    again = loaded(tmp_path).state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in model.state_dict().items())


def test_a_chat_template_of_the_language_model_gives_way_to_ours(
    backbones: Path, tmp_path: Path
) -> None:
    folder = save_language_model(tmp_path / "chatty")
    (folder / "chat_template.jinja").write_text("{{ messages[0]['content'] }}")
    processor = AutoProcessor.from_pretrained(
        quick(backbones, tmp_path, language_model=folder).folder
    )
    assert processor.chat_template == CHAT_TEMPLATE


def test_a_tower_without_a_word_on_pictures_is_prepared_for_as_clip(
    backbones: Path, tmp_path: Path
) -> None:
    bare = save_tower(tmp_path / "bare", prepared=False)
    made = quick(backbones, tmp_path, vision_tower=bare)
    assert "bare has no preprocessor_config.json: pictures are prepared as for CLIP, 16 x 16." in (
        made.notes
    )
    assert AutoProcessor.from_pretrained(made.folder).image_processor.crop_size.height == 16


def test_where_it_comes_from_is_written_beside_it(usual: Composed, backbones: Path) -> None:
    said = json.loads((usual.folder / "audit.json").read_text())
    assert (said["kind"], said["command"]) == ("new", "otter new x")
    assert [source["source"] for source in said["sources"]] == ["vision tower", "language model"]
    assert all(len(source["sha256"]) == 64 for source in said["sources"])
    config = json.loads((usual.folder / "config.json").read_text())
    assert str(backbones) not in json.dumps(config)


@pytest.mark.parametrize(
    ("layers", "every"), [(1, 1), (6, 1), (8, 2), (12, 3), (16, 4), (32, 4), (80, 4)]
)
def test_blocks_stand_four_layers_apart_or_closer(layers: int, every: int) -> None:
    assert default_every(layers) == every


def refusal(place: Path, error: type[Exception] = ConversionError, **options: Any) -> str:
    """What composing says; and that it left nothing behind."""
    before = sorted(place.parent.iterdir())
    with pytest.raises(error) as raised:
        compose(place, **options)
    assert sorted(place.parent.iterdir()) == before
    return str(raised.value)


KINDS_REFUSED = [
    ("t5", {}, "'t5' is an encoder-decoder, expected a decoder that continues text"),
    (
        "llava",
        {},
        "'llava' has a vision_config, so it is a multimodal model already; expected a language "
        "model alone: give the one that it was built from",
    ),
    (
        "clip_vision_model",
        {},
        "transformers has no causal language model for 'clip_vision_model'; expected a decoder "
        "such as 'llama'; is it the vision tower?",
    ),
    (
        "llama",
        {"quantization_config": {"quant_method": "gptq", "bits": 4}},
        "its weights are quantized, expected bf16, fp16 or fp32: give the original model; an "
        "Otter can be quantized when it is loaded",
    ),
    (
        "somebodys",
        {"auto_map": {"AutoConfig": "theirs.Config"}},
        "model_type = 'somebodys' in its config.json, expected a model that transformers has a "
        "class for; code that comes with a model is not run",
    ),
]


@pytest.mark.parametrize(
    ("kind", "more", "message"), KINDS_REFUSED, ids=[kind for kind, _, _ in KINDS_REFUSED]
)
def test_what_is_no_causal_language_model_is_refused(
    backbones: Path, tmp_path: Path, kind: str, more: dict[str, Any], message: str
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": kind, **more}))
    said = refusal(tmp_path / "new", vision_tower=saved(backbones, "clip"), language_model=folder)
    assert said.startswith(f"--language-model {folder}: {message}")


def test_a_model_with_another_kind_of_memory_is_refused(backbones: Path, tmp_path: Path) -> None:
    small = {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 4}
    folder = save_language_model(tmp_path / "model", "mamba", **small)
    said = refusal(tmp_path / "new", vision_tower=saved(backbones, "clip"), language_model=folder)
    assert said == (
        f"--language-model {folder}: MambaForCausalLM takes no past_key_values, expected a decoder "
        "with an ordinary cache, in which pictures are remembered too; choose another language "
        "model"
    )


def test_a_model_that_reads_ahead_is_refused(backbones: Path, tmp_path: Path) -> None:
    small = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    folder = save_language_model(tmp_path / "m", "bert", intermediate_size=48, **small)
    said = refusal(tmp_path / "new", vision_tower=saved(backbones, "clip"), language_model=folder)
    assert re.match(
        r"--language-model: BertLMHeadModel looks at later tokens \(its logits changed by \d+% "
        r"with what came after\), expected a causal language model",
        said,
    )


def test_a_language_model_that_drops_its_layers_is_refused(
    backbones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "otter.model.modeling.OtterForConditionalGeneration._before_layer",
        lambda self, index, layer, args, kwargs: None,
    )
    said = refusal(
        tmp_path / "new",
        vision_tower=saved(backbones, "clip"),
        language_model=saved(backbones, "llama"),
    )
    assert "a trial run with two pictures failed (RuntimeError: LlamaForCausalLM: 0 of 2" in said


def test_a_text_model_is_no_tower(backbones: Path, tmp_path: Path) -> None:
    llama = saved(backbones, "llama")
    said = refusal(tmp_path / "new", vision_tower=llama, language_model=llama)
    assert said == (
        f"--vision-tower {llama}: 'llama' reads input_ids, expected a vision tower, which reads "
        "pixel_values, such as CLIP or SigLIP; were the two folders mixed up?"
    )


def test_a_tower_that_wants_more_than_pictures_is_refused(backbones: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "siglip2_vision_model"}))
    said = refusal(tmp_path / "new", vision_tower=folder, language_model=saved(backbones, "llama"))
    assert said == (
        f"--vision-tower {folder}: 'siglip2_vision_model' also needs pixel_attention_mask, "
        "spatial_shapes, expected a tower that reads pictures of one size and nothing else; choose "
        "one with a fixed size"
    )


def test_a_missing_tokenizer_is_said_and_may_be_given(backbones: Path, tmp_path: Path) -> None:
    folder = save_language_model(tmp_path / "model", tokenizer=None)
    parts = {"vision_tower": saved(backbones, "clip"), "language_model": folder}
    said = refusal(tmp_path / "new", **parts)
    assert said == (
        f"--language-model {folder}: no tokenizer there, expected tokenizer.json or the like; give "
        "--tokenizer, the folder or hub id of the language model's own"
    )
    assert compose(tmp_path / "new", **parts, tokenizer=saved(backbones, "llama"))


def test_a_tokenizer_without_a_fast_form_is_refused(
    backbones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = type("Slow", (), {"is_fast": False, "from_pretrained": lambda *_, **__: slow})
    monkeypatch.setattr("otter.convert.tokens.AutoTokenizer", slow)
    llama = saved(backbones, "llama")
    said = refusal(tmp_path / "new", vision_tower=saved(backbones, "clip"), language_model=llama)
    assert said.startswith(f"--language-model {llama}: its tokenizer has no fast form")


def test_weights_of_other_shapes_than_the_config_says_are_refused(
    backbones: Path, tmp_path: Path
) -> None:
    # transformers ignores this setting of MPT, and so writes and reads such a model as if it were 4
    folder = save_language_model(tmp_path / "model", "mpt", expansion_ratio=2)
    said = refusal(tmp_path / "new", vision_tower=saved(backbones, "clip"), language_model=folder)
    assert said == (
        "4 tensor(s) of the backbones have no place of their shape in the new model, such as "
        "language_model.transformer.blocks.0.ffn.down_proj.weight; expected each to have one: does "
        "config.json belong to the weights?"
    )


def test_weights_that_lack_a_tensor_are_refused(backbones: Path, tmp_path: Path) -> None:
    folder = save_language_model(tmp_path / "model")
    model = AutoModelForCausalLM.from_pretrained(folder)
    state = {k: v for k, v in model.state_dict().items() if "layers.1.mlp" not in k}
    model.save_pretrained(folder, state_dict=state)
    said = refusal(tmp_path / "new", vision_tower=saved(backbones, "clip"), language_model=folder)
    assert said == (
        f"--language-model {folder}: 3 tensor(s) of LlamaForCausalLM are not in its weights, such "
        "as model.layers.1.mlp.down_proj.weight; expected all of them: is it the folder of another "
        "model?"
    )


def test_blocks_further_apart_than_there_are_layers_are_refused(
    backbones: Path, tmp_path: Path
) -> None:
    said = refusal(
        tmp_path / "new",
        ValueError,
        vision_tower=saved(backbones, "clip"),
        language_model=saved(backbones, "llama"),
        every=3,
    )
    assert said.startswith(
        "cross_attention_every_n_layers = 3: the language model has 2 layers, so no block would "
        "let it see; expected 2 or less"
    )


def test_a_folder_that_holds_something_is_left_alone(backbones: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "mine.txt").write_text("mine")
    with pytest.raises(ConversionError, match="new: exists already and is not empty; choose anoth"):
        quick(backbones, tmp_path)
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["mine.txt"]
    (tmp_path / "new" / "mine.txt").unlink()
    assert quick(backbones, tmp_path).folder == tmp_path / "new"


def test_an_interruption_while_writing_leaves_nothing(
    backbones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: Any, folder: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("otter.convert.audit.Audit.save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        quick(backbones, tmp_path)
    assert list(tmp_path.iterdir()) == []
