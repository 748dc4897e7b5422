"""Looking at a checkpoint: what is said is what loading would find, and hardly anything is read."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.convert.tiny_backbones import save_language_model, save_tower
from transformers import CLIPVisionConfig, LlamaConfig, MptConfig

from otter.convert.compose import compose
from otter.convert.errors import ConversionError
from otter.convert.inspection import Inspection, inspect_checkpoint
from otter.convert.older_kinds import OlderCheckpoint
from otter.convert.part_sizes import PartSize, in_all, parameter_table
from otter.convert.sources import SafetensorsFile
from otter.model import OtterConfig, OtterForConditionalGeneration


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A composed checkpoint, not to be changed."""
    place = tmp_path_factory.mktemp("inspected")
    llama = save_language_model(place / "llama", tie_word_embeddings=False)
    tower = save_tower(place / "clip")
    options: Any = {"latents": 3, "max_frames": 4, "attend": "group", "every": 2}
    return compose(place / "new", vision_tower=tower, language_model=llama, **options).folder


@pytest.fixture
def own(made: Path, tmp_path: Path) -> Path:
    """A copy that the test may change."""
    for file in made.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def look(path: Path | str) -> Inspection:
    found = inspect_checkpoint(path)
    assert isinstance(found, Inspection)
    return found


def change(folder: Path, **tensors: torch.Tensor | None) -> None:
    file = folder / "model.safetensors"
    state: dict[str, Any] = load_file(file) | tensors
    kept = {name: tensor for name, tensor in state.items() if tensor is not None}
    save_file(kept, file, {"format": "pt"})


def test_the_parts_are_those_of_the_loaded_model(made: Path) -> None:
    model = OtterForConditionalGeneration.from_pretrained(made)
    found = look(made)
    sizes = {part.size.part: part.size.parameters for part in found.parts}
    ends = {"token_embeddings", "output_projection", "decoder"}
    language_model = sum(sizes[part] for part in ends)
    assert language_model == sum(p.numel() for p in model.language_model.parameters())
    assert sizes["output_projection"] == model.get_output_embeddings().weight.numel()
    for part in sizes.keys() - ends:
        assert sizes[part] == sum(p.numel() for p in model.get_submodule(part).parameters())
    assert {dtype for part in found.parts for dtype in part.dtypes} == {"float32"}
    assert found.problems == []


def test_the_sizes_are_those_of_the_config(made: Path) -> None:
    found = look(made)
    assert found.vision_tower == {
        "kind": "clip_vision_model",
        "width": 24,
        "layers": 2,
        "image_size": 16,
        "patch_size": 8,
    }
    assert found.language_model["kind"] == "llama"
    assert found.resampler["latents"] == 3
    assert found.resampler["max_frames"] == 4
    assert found.cross_attention["every"] == 2
    assert found.cross_attention["attend"] == "group"


def test_only_the_gates_are_read(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []

    def reading(self: SafetensorsFile, name: str) -> torch.Tensor:
        read.append(name)
        return torch.zeros(1)

    monkeypatch.setattr(SafetensorsFile, "read", reading)
    look(made)
    assert read == ["cross_attention.0.attention_gate", "cross_attention.0.feed_forward_gate"]


def test_a_model_with_shut_gates_is_blind(made: Path) -> None:
    found = look(made)
    assert found.blind
    assert [(gate.block, gate.layer) for gate in found.gates] == [(0, 1)]


def test_gates_are_shown_by_their_tanh(own: Path) -> None:
    change(own, **{"cross_attention.0.attention_gate": torch.tensor([-0.5])})
    found = look(own)
    assert found.gates[0].attention == pytest.approx(-0.46211716)
    assert found.gates[0].feed_forward == 0
    assert not found.blind


def test_the_example_is_what_the_model_would_read(made: Path) -> None:
    example = look(made).example
    assert example == (
        "<image>User:What is it? GPT:<answer>a cat<|endofchunk|>"
        "<image>User:What is it? GPT:<answer>"
    )


def test_special_tokens_come_with_their_ids(made: Path) -> None:
    config = json.loads((made / "config.json").read_text())
    tokens = look(made).tokens
    assert tokens["<image>"] == config["image_token_id"]
    assert tokens["</s> (eos)"] == 0
    assert tokens["bos"] is None


def test_pictures_are_told_in_one_line(made: Path) -> None:
    assert look(made).pictures == (
        "shortest edge to 16 (bicubic), middle 16 x 16, mean 0.481455/0.457827/0.408211, "
        "std 0.26863/0.261303/0.275777"
    )


def test_where_it_comes_from_is_told(made: Path) -> None:
    said = look(made).provenance["audit.json"]
    assert said["kind"] == "new"
    assert "tensors" not in said


def test_a_checkpoint_may_say_nothing_of_its_origin(own: Path) -> None:
    (own / "audit.json").unlink()
    assert look(own).provenance == {}


def test_it_all_goes_into_json(made: Path) -> None:
    said = json.loads(json.dumps(look(made).to_json()))
    assert said["kind"] == "native"
    assert said["blind"] is True
    assert said["parts"][0]["part"] == "vision_tower"
    assert said["parts"][0]["dtypes"] == ["float32"]


def test_weights_that_do_not_fit_the_config_are_a_problem(own: Path) -> None:
    latents = {"resampler.latents": torch.zeros(2, 24), "stray": torch.zeros(1)}
    change(own, **latents, **{"resampler.norm.weight": None})
    assert look(own).problems == [
        "1 tensor(s) of the model are not in the weights, such as resampler.norm.weight: loading "
        "will fail or be incomplete",
        "1 tensor(s) in the weights are not of the model, such as stray: loading will fail or be "
        "incomplete",
        "1 tensor(s) have other shapes than config.json says, such as resampler.latents: (2, 24) "
        "in the weights, (3, 24) by the config",
    ]


def test_ids_that_differ_from_the_tokenizer_are_a_problem(own: Path) -> None:
    config = json.loads((own / "config.json").read_text())
    image = config["image_token_id"]
    (own / "config.json").write_text(json.dumps(config | {"image_token_id": 5}))
    assert look(own).problems == [f"<image> is 5 in config.json and {image} in the tokenizer"]


def test_pictures_of_another_size_than_the_towers_are_a_problem(own: Path) -> None:
    file = own / "processor_config.json"
    said = json.loads(file.read_text())
    said["image_processor"]["crop_size"] = {"height": 32, "width": 32}
    file.write_text(json.dumps(said))
    assert look(own).problems == [
        "pictures are prepared as 32 x 32, the vision tower takes 16 x 16"
    ]


def test_a_missing_processor_is_a_problem_and_the_rest_is_told(own: Path) -> None:
    for name in ("processor_config.json", "tokenizer.json", "tokenizer_config.json"):
        (own / name).unlink()
    found = look(own)
    assert found.example is None
    assert [problem[:31] for problem in found.problems] == ["no processor that can be read ("]
    assert found.parts


def test_an_openflamingo_checkpoint_is_told_with_the_command_that_converts_it(
    tmp_path: Path,
) -> None:
    layer = "lang_encoder.transformer.blocks.{}.gated_cross_attn_layer.attn.to_q.weight"
    state = {layer.format(number): torch.zeros(512, 4096, device="cpu") for number in (3, 7)}
    state = {name: tensor[:1].expand(512, -1) for name, tensor in state.items()}
    state["perceiver.layers.0.0.to_q.weight"] = torch.zeros(2, 2)
    file = tmp_path / "checkpoint.pt"
    torch.save({"model_state_dict": state, "epoch": 3}, file)
    found = inspect_checkpoint(file)
    assert isinstance(found, OlderCheckpoint)
    assert (found.kind, found.tensors) == ("openflamingo", 3)
    assert found.blocks == (
        "2 gated blocks of width 4096 before layers 3, 7 of transformer.blocks; it looks like "
        "OpenFlamingo-9B-vitl-mpt7b"
    )
    assert found.beside == {"epoch": "state of the training, not weights"}
    assert found.next_step == (
        f"otter convert {file} checkpoint-native --language-model anas-awadalla/mpt-7b "
        "--vision-tower openai/clip-vit-large-patch14"
    )


def test_a_model_that_is_no_otter_is_told_how_it_becomes_one(made: Path) -> None:
    llama = made.parent / "llama"
    with pytest.raises(ConversionError, match="a 'llama' model, not an Otter; to build an Otter"):
        inspect_checkpoint(llama)


def test_nothing_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone: no such folder; expected a checkpoint as"):
        inspect_checkpoint(tmp_path / "gone")


CLIP_LARGE = CLIPVisionConfig(
    hidden_size=1024,
    intermediate_size=4096,
    num_hidden_layers=24,
    num_attention_heads=16,
    patch_size=14,
)


def published(text: Any, **sizes: Any) -> list[PartSize]:
    return parameter_table(OtterConfig(vision_config=CLIP_LARGE, text_config=text, **sizes))


@pytest.mark.parametrize(
    ("vocabulary", "frames", "total"),
    [(32000, None, 8_220_430_352), (32004, None, 8_220_463_120), (32004, 128, 8_220_594_192)],
)
def test_the_2023_otter_on_llama_has_the_published_size(
    vocabulary: int, frames: int | None, total: int
) -> None:
    table = published(LlamaConfig(vocab_size=vocabulary), max_frames=frames)
    assert in_all(table).parameters == total
    sizes = {size.part: size.parameters for size in table}
    assert sizes == {
        "vision_tower": 303_179_776,
        "resampler": 63_019_008 + 1024 * (frames or 0),
        "token_embeddings": 4096 * vocabulary,
        "decoder": 6_476_271_616,
        "output_projection": 4096 * vocabulary,
        "cross_attention": 1_115_815_952,
    }
    if (vocabulary, frames) == (32000, None):
        assert in_all(table).trainable == 1_309_906_960  # the paper's 1.3 billion


def test_the_2023_otter_on_mpt_has_the_published_size() -> None:
    mpt = MptConfig(d_model=4096, n_heads=32, n_layers=32, vocab_size=50432)
    table = published(mpt)
    assert (in_all(table).parameters, in_all(table).trainable) == (8_131_301_392, 1_385_404_432)


def test_counting_leaves_the_config_as_it_is() -> None:
    config = OtterConfig(vision_config=CLIP_LARGE, text_config=LlamaConfig())
    before = config.to_dict()
    parameter_table(config)
    assert config.to_dict() == before
