"""What a conversion accepts, what it refuses, and that a refusal leaves nothing behind."""

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.convert.originals import FIXTURES, Converted

from otter.convert import Audit, ConversionError, convert, writing
from otter.convert.sources import open_weights
from otter.model import OtterForConditionalGeneration, OtterProcessor
from otter.prompt import Episode, Example, chat_template

LLAMA = FIXTURES / "openflamingo" / "llama_every2_nano"
PYTHIA = FIXTURES / "openflamingo" / "pythia_every2_nano"
OPT = FIXTURES / "openflamingo" / "opt_every1_nano"
OTTER = FIXTURES / "otter" / "llama_image"
TOKENIZER = FIXTURES / "otter" / "tokenizer"
HEADS = {"resampler_heads": 4, "cross_attention_heads": 4}


def openflamingo(source: Path, destination: Path, of: Path = LLAMA, **options: Any) -> Audit:
    given = {"language_model": of / "lm_base", "vision_tower": of / "clip_hf", **HEADS, **options}
    return convert(source, destination, **given)


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    weights = open_weights(folder)
    return {name: weights.read(name) for name in weights.infos}


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(
        one[n].dtype == other[n].dtype and torch.equal(one[n], other[n]) for n in one
    )


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    loaded: dict[str, torch.Tensor] = torch.load(LLAMA / "checkpoint.pt", weights_only=True)
    return dict(loaded)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    folder = tmp_path_factory.mktemp("bare") / "native"
    openflamingo(LLAMA / "checkpoint.pt", folder)
    return tensors(folder)


def full_dump(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """All that the original's model has: both names of each layer, the tower, the buffers."""
    full = dict(state)
    for name, tensor in load_file(LLAMA / "lm_base" / "model.safetensors").items():
        stem, _, rest = name.partition("model.layers.")
        if rest:
            number, _, inner = rest.partition(".")
            full[f"lang_encoder.model.layers.{number}.decoder_layer.{inner}"] = tensor
            full[f"lang_encoder.old_decoder_blocks.{number}.{inner}"] = tensor.clone()
        elif "embed_tokens" not in name:
            full[f"lang_encoder.{stem}"] = tensor
    head = full["lang_encoder.lm_head.weight"]
    full["lang_encoder.lm_head.weight"] = torch.cat(
        [head, head.mean(0, keepdim=True).expand(3, -1)]
    )
    for name, tensor in state.items():
        if "gated_cross_attn_layer." in name:
            number, _, inner = name.partition("layers.")[2].partition(".gated_cross_attn_layer.")
            full[f"lang_encoder.gated_cross_attn_layers.{number}.{inner}"] = tensor.clone()
    for name, tensor in load_file(LLAMA / "open_clip_visual.safetensors").items():
        full[f"vision_encoder.{name.removeprefix('visual.')}"] = tensor
    full["lang_encoder.model.layers.0.decoder_layer.self_attn.rotary_emb.inv_freq"] = torch.ones(8)
    return full


def test_every_form_of_an_openflamingo_checkpoint_gives_the_same_model(
    tmp_path: Path, state: dict[str, torch.Tensor], bare: dict[str, torch.Tensor]
) -> None:
    ddp = {f"module.{name}": tensor for name, tensor in state.items()}
    forms = {
        "ddp": ddp,
        "training": {"epoch": 0, "model_state_dict": ddp, "optimizer_state_dict": {"state": {}}},
        "buffers": {
            **state,
            "lang_encoder.model.layers.0.decoder_layer.attention.bias": torch.ones(2),
        },
        "full": full_dump(state),
    }
    for name, payload in forms.items():
        torch.save(payload, tmp_path / f"{name}.pt")
        openflamingo(tmp_path / f"{name}.pt", tmp_path / name)
        assert equal(tensors(tmp_path / name), bare), name


def test_a_full_dump_needs_only_the_configs_of_its_parts(
    tmp_path: Path, state: dict[str, torch.Tensor]
) -> None:
    torch.save(full_dump(state), tmp_path / "full.pt")
    for part in ("lm_base", "clip_hf"):
        shutil.copytree(LLAMA / part, tmp_path / part)
        (tmp_path / part / "model.safetensors").unlink()
    audit = openflamingo(tmp_path / "full.pt", tmp_path / "native", of=tmp_path)
    assert {tensor["source"] for tensor in audit.tensors} == {"checkpoint"}


def test_copies_that_differ_are_refused(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    full = full_dump(state)
    full["lang_encoder.old_decoder_blocks.0.mlp.up_proj.weight"] += 1
    torch.save(full, tmp_path / "full.pt")
    with pytest.raises(ConversionError, match="two names of one tensor, but differ"):
        openflamingo(tmp_path / "full.pt", tmp_path / "native")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["full.pt"]


def test_every_tensor_on_both_sides_is_in_the_audit(tmp_path: Path) -> None:
    destination = tmp_path / "native"
    openflamingo(LLAMA / "checkpoint.pt", destination)
    audit = json.loads((destination / "audit.json").read_text("utf-8"))
    assert {entry["name"] for entry in audit["tensors"]} == set(tensors(destination))
    for label, path in (
        ("checkpoint", LLAMA / "checkpoint.pt"),
        ("language model", LLAMA / "lm_base"),
        ("vision tower", LLAMA / "clip_hf"),
    ):
        used = {
            name.partition(" [")[0]
            for entry in audit["tensors"]
            if entry["source"] == label
            for name in entry["from"]
        }
        dropped = {entry["name"] for entry in audit["dropped"] if entry["source"] == label}
        assert used | dropped == set(open_weights(path).infos)
        assert not used & dropped
    assert all(entry["reason"] for entry in audit["dropped"])


def test_the_audit_says_where_everything_came_from(tmp_path: Path) -> None:
    audit = openflamingo(LLAMA / "checkpoint.pt", tmp_path / "native", command="otter convert x")
    assert [source["source"] for source in audit.sources] == [
        "checkpoint",
        "language model",
        "vision tower",
    ]
    assert all(len(source["sha256"]) == 64 and source["bytes"] for source in audit.sources)
    assert audit.command == "otter convert x"
    assert {"python", "torch", "transformers"} <= set(audit.versions)
    assert "template: openflamingo" in audit.notes


def test_rows_that_no_checkpoint_has_are_made_up_and_said(tmp_path: Path) -> None:
    """An OpenFlamingo of LLaMA left out the output rows of the tokens that it added."""
    audit = openflamingo(LLAMA / "checkpoint.pt", tmp_path / "native")
    notes = {tensor["name"]: tensor["note"] for tensor in audit.tensors if tensor["note"]}
    assert notes == {
        "language_model.lm_head.weight": "3 rows added, the mean of the others",
    }
    head = tensors(tmp_path / "native")["language_model.lm_head.weight"]
    assert torch.allclose(head[300:], head[:300].mean(0).expand(3, -1))


def test_the_row_of_the_pad_token_becomes_that_of_the_answer_token(tmp_path: Path) -> None:
    openflamingo(LLAMA / "checkpoint.pt", tmp_path / "native")
    processor = OtterProcessor.from_pretrained(tmp_path / "native")
    ids = (processor.end_of_chunk_token_id, processor.image_token_id, processor.answer_token_id)
    assert ids == (300, 301, 302)
    assert len(processor.tokenizer) == 303
    assert processor.tokenizer.pad_token == processor.tokenizer.eos_token


def test_a_row_for_the_answer_token_is_added_only_where_it_is_written(tmp_path: Path) -> None:
    """The tokenizer of OPT has a pad token of its own, so OpenFlamingo kept no row to take."""
    audit = openflamingo(OPT / "checkpoint.pt", tmp_path / "native", of=OPT)
    assert any("has no embedding row: openflamingo does not write it" in n for n in audit.notes)
    model = OtterForConditionalGeneration.from_pretrained(tmp_path / "native")
    assert model.get_input_embeddings().weight.shape[0] == 302
    assert model.config.answer_token_id is None
    audit = openflamingo(OPT / "checkpoint.pt", tmp_path / "tuned", of=OPT, template="otter")
    assert any(note.startswith("1 embedding row(s) added") for note in audit.notes)
    model = OtterForConditionalGeneration.from_pretrained(tmp_path / "tuned")
    assert model.get_input_embeddings().weight.shape[0] == model.config.answer_token_id + 1 == 303


def test_the_training_form_of_the_tokenizer_gives_the_same_ids(tmp_path: Path) -> None:
    folder = tmp_path / "tokenizer"
    shutil.copytree(LLAMA / "lm_base", folder)
    content = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    template = content["added_tokens"][0]
    for number, token in enumerate(("<|endofchunk|>", "<image>", "<PAD>")):
        content["added_tokens"].append({**template, "id": 300 + number, "content": token})
    (folder / "tokenizer.json").write_text(json.dumps(content), "utf-8")
    config = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, "pad_token": "<PAD>"}))
    openflamingo(LLAMA / "checkpoint.pt", tmp_path / "native", tokenizer=folder)
    processor = OtterProcessor.from_pretrained(tmp_path / "native")
    assert (processor.image_token_id, processor.answer_token_id) == (301, 302)
    assert "<PAD>" not in processor.tokenizer.get_vocab()


@pytest.mark.parametrize("begins", [False, True])
def test_an_openflamingo_writes_its_own_template(tmp_path: Path, begins: bool) -> None:
    """With a first token only where its tokenizer, which it called as it was, wrote one."""
    folder = tmp_path / "tokenizer"
    shutil.copytree(LLAMA / "lm_base", folder)
    if begins:
        content = json.loads((folder / "tokenizer.json").read_text("utf-8"))
        pieces = [
            {"SpecialToken": {"id": "<s>", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
        ]
        content["post_processor"] = {
            "type": "TemplateProcessing",
            "single": pieces,
            "pair": pieces,
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
        }
        (folder / "tokenizer.json").write_text(json.dumps(content), "utf-8")
    openflamingo(LLAMA / "checkpoint.pt", tmp_path / "native", tokenizer=folder)
    processor = OtterProcessor.from_pretrained(tmp_path / "native")
    assert processor.chat_template == chat_template("openflamingo", bos=begins)
    episode = Episode("c", examples=[Example("a", "b")])
    text = processor.apply_chat_template(episode.messages(), add_generation_prompt=True)
    expected = "Question:a Short answer:b<|endofchunk|>\nQuestion:c Short answer:"
    assert text == "<s>" * begins + expected


def test_an_otter_of_2023_writes_spaces_and_squares_its_pictures(
    converted: Callable[[str], Converted],
) -> None:
    processor = OtterProcessor.from_pretrained(converted("llama_image").folder)
    episode = Episode("what ?", examples=[Example("how many ?", "three .")])
    text = processor.apply_chat_template(episode.messages(), add_generation_prompt=True)
    assert text == (
        "<s>User: how many ? GPT:<answer> three .<|endofchunk|>User: what ? GPT:<answer>"
    )
    pictures = processor.image_processor
    assert not pictures.do_center_crop
    assert list(pictures.image_mean) == [0.481, 0.458, 0.408]


def test_a_template_and_a_transform_can_be_chosen(tmp_path: Path) -> None:
    options = {"tokenizer": TOKENIZER, "template": "otter", "image_transform": "clip"}
    convert(OTTER, tmp_path / "native", **options)
    processor = OtterProcessor.from_pretrained(tmp_path / "native")
    assert processor.chat_template == chat_template("otter")
    assert processor.image_processor.do_center_crop


def test_pytorch_shards_of_2023_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "otter"
    folder.mkdir()
    shutil.copy(OTTER / "config.json", folder)
    state = load_file(OTTER / "model.safetensors")
    index: dict[str, str] = {}
    for number, part in enumerate((sorted(state)[::2], sorted(state)[1::2])):
        name = f"pytorch_model-{number}.bin"
        torch.save({key: state[key] for key in part}, folder / name)
        index |= dict.fromkeys(part, name)
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": index}))
    convert(folder, tmp_path / "bins", tokenizer=TOKENIZER)
    convert(OTTER, tmp_path / "native", tokenizer=TOKENIZER)
    assert equal(tensors(tmp_path / "bins"), tensors(tmp_path / "native"))


def test_trained_weights_go_on_top_of_their_base(tmp_path: Path) -> None:
    state = load_file(OTTER / "model.safetensors")
    trained = {n: t + 1 for n, t in state.items() if "gated_cross" in n or "perceiver" in n}
    trained["lang_encoder.model.embed_tokens.weight"] = state[
        "lang_encoder.model.embed_tokens.weight"
    ]
    torch.save(trained, tmp_path / "final_weights.pt")
    audit = convert(
        tmp_path / "final_weights.pt", tmp_path / "native", base=OTTER, tokenizer=TOKENIZER
    )
    assert {tensor["source"] for tensor in audit.tensors} == {"checkpoint", "base"}
    plain = tmp_path / "plain"
    convert(OTTER, plain, tokenizer=TOKENIZER)
    ours, before = tensors(tmp_path / "native"), tensors(plain)
    for name, tensor in ours.items():
        moved = name.startswith(("resampler", "cross_attention"))
        assert torch.equal(tensor, before[name] + moved), name


def test_trained_weights_alone_ask_for_their_base(tmp_path: Path) -> None:
    torch.save({"perceiver.latents": torch.ones(2, 2)}, tmp_path / "final_weights.pt")
    with pytest.raises(ConversionError, match="holds the trained weights alone; give --base"):
        convert(tmp_path / "final_weights.pt", tmp_path / "native")


def test_a_native_checkpoint_is_written_again_in_another_type_and_shards(
    tmp_path: Path, bare: dict[str, torch.Tensor]
) -> None:
    openflamingo(LLAMA / "checkpoint.pt", tmp_path / "native")
    convert(tmp_path / "native", tmp_path / "half", dtype="bf16", max_shard_bytes=100_000)
    assert len(list((tmp_path / "half").glob("model-*.safetensors"))) > 5
    expected = {name: tensor.bfloat16() for name, tensor in bare.items()}
    assert equal(tensors(tmp_path / "half"), expected)
    model = OtterForConditionalGeneration.from_pretrained(tmp_path / "half", dtype="auto")
    assert model.dtype == torch.bfloat16


def test_the_library_misses_nothing_and_expects_nothing_else(
    converted: Callable[[str], Converted],
) -> None:
    for name in ("llama_every2_nano", "mpt_every1_nano", "mpt_image"):
        _, report = OtterForConditionalGeneration.from_pretrained(
            converted(name).folder, output_loading_info=True
        )
        assert not report["missing_keys"]
        assert not report["unexpected_keys"]


@pytest.mark.parametrize(
    ("of", "message"),
    [
        (
            PYTHIA,
            r"has 2 gated blocks of width 64 before layers 1, 3 of model\.layers\. But .* is a "
            r"gpt_neox of width 64 with 4 layers in gpt_neox\.layers: not the language model",
        ),
    ],
)
def test_another_language_model_is_refused_by_name(tmp_path: Path, of: Path, message: str) -> None:
    with pytest.raises(ConversionError, match=message):
        openflamingo(LLAMA / "checkpoint.pt", tmp_path / "native", of=of)
    assert not list(tmp_path.iterdir())


def test_a_published_checkpoint_is_known_by_its_blocks(tmp_path: Path) -> None:
    stem = "lang_encoder.gpt_neox.layers"
    torch.save(
        {
            "perceiver.layers.0.0.to_q.weight": torch.empty(1, 1),
            f"{stem}.1.gated_cross_attn_layer.attn.to_q.weight": torch.empty(512, 2560),
        },
        tmp_path / "checkpoint.pt",
    )
    with pytest.raises(ConversionError, match=r"it looks like OpenFlamingo-4B-vitl-rpj3b\. But"):
        openflamingo(tmp_path / "checkpoint.pt", tmp_path / "native")


def test_a_missing_language_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"do not hold their language model.*--language"):
        openflamingo(LLAMA / "checkpoint.pt", tmp_path / "native", language_model=None)
    with pytest.raises(
        FileNotFoundError, match="--language-model nobody/nothing: neither a folder"
    ):
        openflamingo(LLAMA / "checkpoint.pt", tmp_path / "n", language_model="nobody/nothing")


def test_heads_that_no_tensor_tells_have_to_be_given(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"resampler is 32 wide inside.*--resampler-heads"):
        openflamingo(LLAMA / "checkpoint.pt", tmp_path / "n", resampler_heads=None)
    with pytest.raises(ConversionError, match="--cross-attention-heads 5: does not divide"):
        openflamingo(LLAMA / "checkpoint.pt", tmp_path / "n", cross_attention_heads=5)


def test_a_tensor_too_many_or_too_few_is_refused(
    tmp_path: Path, state: dict[str, torch.Tensor]
) -> None:
    wrong = dict(state)
    wrong["perceiver.surprise"] = wrong.pop("perceiver.norm.bias")
    torch.save(wrong, tmp_path / "wrong.pt")
    with pytest.raises(ConversionError) as refused:
        openflamingo(tmp_path / "wrong.pt", tmp_path / "native")
    text = str(refused.value)
    assert "2 tensor(s) do not fit; nothing was written" in text
    assert "resampler.norm.bias [32]: nothing gives it; looked for perceiver.norm.bias" in text
    assert "perceiver.surprise [32] of the checkpoint: no place for it in this model" in text
    assert not (tmp_path / "native").exists()


def test_a_checkpoint_without_embeddings_is_refused(
    tmp_path: Path, state: dict[str, torch.Tensor]
) -> None:
    torch.save({n: t for n, t in state.items() if "embed" not in n}, tmp_path / "c.pt")
    with pytest.raises(ConversionError, match=r"has no token embeddings.*--freeze_lm_embeddings"):
        openflamingo(tmp_path / "c.pt", tmp_path / "native")


def test_a_destination_that_exists_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "native").mkdir()
    (tmp_path / "native" / "thesis.txt").write_text("mine")
    with pytest.raises(ConversionError, match="exists already"):
        openflamingo(LLAMA / "checkpoint.pt", tmp_path / "native")
    assert [file.name for file in (tmp_path / "native").iterdir()] == ["thesis.txt"]


def test_a_disk_that_is_too_full_is_seen_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(ConversionError, match=r"the disk is too full, 0.0 GB are needed"):
        openflamingo(LLAMA / "checkpoint.pt", tmp_path / "native")
    assert not list(tmp_path.iterdir())


def test_a_disk_that_fills_up_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writing, "_bytes", full)
    with pytest.raises(ConversionError, match=r"the disk is too full.*Nothing was left behind"):
        openflamingo(LLAMA / "checkpoint.pt", tmp_path / "native")
    assert not list(tmp_path.iterdir())


def test_a_conversion_that_is_stopped_leaves_nothing_behind(tmp_path: Path) -> None:
    def stop(done: int, _: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        openflamingo(LLAMA / "checkpoint.pt", tmp_path / "native", on_progress=stop)
    assert not list(tmp_path.iterdir())


def test_progress_is_told_in_bytes(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    openflamingo(
        LLAMA / "checkpoint.pt", tmp_path / "n", on_progress=lambda d, t: told.append((d, t))
    )
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[0][0] == 0
    assert told[-1][0] == told[-1][1]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"model_type": "llama"},
            "a 'llama' model, not an Otter; to build an Otter on it: otter new",
        ),
        ({"model_type": "blip"}, "a 'blip' model"),
    ],
)
def test_another_model_is_refused_with_what_to_do(
    tmp_path: Path, config: dict[str, str], message: str
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    save_file({"a": torch.ones(1)}, tmp_path / "model.safetensors")
    with pytest.raises(ConversionError, match=message):
        convert(tmp_path, tmp_path / "native")


def test_weights_of_something_else_are_refused(tmp_path: Path) -> None:
    torch.save({"encoder.weight": torch.ones(1)}, tmp_path / "c.pt")
    with pytest.raises(ConversionError, match=r"no resampler \(perceiver\.\*\); its tensors are"):
        convert(tmp_path / "c.pt", tmp_path / "native")
    with pytest.raises(ConversionError, match="no such file or folder"):
        convert(tmp_path / "missing.pt", tmp_path / "native")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"attn_config": {"qk_ln": True}}, r"attn_config\.qk_ln = True: transformers' MPT ignores"),
        ({"attn_config": {"attn_type": "multiquery_attention"}}, r"attn_config\.attn_type"),
        ({"attn_config": {"alibi": False}}, r"attn_config\.alibi = False"),
        ({"no_bias": False}, "no_bias = False"),
    ],
)
def test_an_mpt_that_its_class_here_would_get_wrong_is_refused(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    folder = tmp_path / "otter"
    shutil.copytree(FIXTURES / "otter" / "mpt_image", folder)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config["text_config"] |= change
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=message):
        convert(folder, tmp_path / "native", tokenizer=TOKENIZER)
