"""Every real checkpoint has a place for each of its tensors, and the parameters that it had.

The files here have the names and shapes of the real ones and no data: they are holes.
"""

import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from tests.convert.originals import FIXTURES, read_manifest

from otter.convert.job import Job
from otter.convert.names import OPENFLAMINGO, OTTER_2023, original
from otter.convert.openflamingo import openflamingo_job
from otter.convert.options import Options
from otter.convert.otter2023 import otter_2023_job
from otter.convert.plan import Plan
from otter.convert.recognise import recognise

OTTER = (
    "otter_llama7b_image__repo_config_vocab32000",
    "otter_llama7b_image__vocab32004_after_resize",
    "otter_llama7b_video__vocab32004_max_num_frames128",
    "otter_mpt7b_image__repo_config_vocab50432",
    "otter_mpt7b_lora_r16",
    "otter_mpt7b_train_decoder",
    "flamingo_falcon_7b",
    "flamingo_llama2_chat_7b",
    "flamingo_llama2_chat_13b",
    "flamingo_mpt_1b_redpajama",
    "flamingo_mpt_7b",
    "flamingo_mpt_30b",
    "flamingo_mpt_30b_bf16",
    "flamingo_vicuna_7b_v1.3",
    "flamingo_vicuna_33b_v1.3",
)
FLAMINGO = (
    "OpenFlamingo-3B-vitl-mpt1b",
    "OpenFlamingo-4B-vitl-rpj3b",
    "OpenFlamingo-9B-vitl-mpt7b",
    "OpenFlamingo-9B-deprecated-llama7b",
    "train-default-opt1.3b",
)
WHOLE = ("OpenFlamingo-3B-vitl-mpt1b", "OpenFlamingo-9B-deprecated-llama7b")
"""Those of which the dump of a whole model is known, too, with its second names."""

TOKENIZER = FIXTURES / "otter" / "tokenizer"
VIT_L_14 = {
    "model_type": "clip_vision_model",
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "image_size": 224,
    "patch_size": 14,
}
PROJECTION = 1024 * 768
"""Of open_clip's tower, counted by OpenFlamingo and never used by it."""

GROUPS = {
    "vision_tower": "vision_encoder",
    "resampler": "perceiver",
    "cross_attention": "gated_cross_attn",
    "language_model": "lang_decoder",
}


@dataclass(frozen=True)
class Planned:
    """What would be done with a real checkpoint.

    Args:
        manifest: what is known of it.
        job: of its conversion.
        plan: of the job.
    """

    manifest: dict[str, Any]
    job: Job
    plan: Plan

    def groups(self) -> Counter[str]:
        """Our parameters, counted as the original's code counted its own."""
        model = self.job.skeleton.model
        inputs, outputs = model.get_input_embeddings().weight, model.get_output_embeddings().weight
        count: Counter[str] = Counter()
        for name, parameter in model.named_parameters():
            group = GROUPS[name.partition(".")[0]]
            if parameter is inputs:
                group = "input_embeddings"
            elif parameter is outputs:
                group = "lm_head"
            count[group] += parameter.numel()
        return count

    def reasons(self) -> set[str]:
        """Why tensors of the checkpoint itself are left out."""
        return {entry.reason for entry in self.plan.dropped if entry.label == "checkpoint"}


def _holes(path: Path, shapes: Mapping[str, Sequence[int]]) -> Path:
    """A safetensors file without data: its header, then a hole as long as the tensors."""
    header, end = {}, 0
    for name, shape in shapes.items():
        size = 2
        for length in shape:
            size *= length
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    head = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        file.truncate(8 + len(head) + end)
    return path


def _otter(manifest: dict[str, Any], folder: Path) -> Planned:
    shapes = {name: shape for name, (shape, _) in manifest["parameters"].items()}
    shapes |= manifest["buffers"]
    tables = [shape for name, shape in shapes.items() if name.endswith("word_embeddings.weight")]
    shapes |= {name: tables[0] for name in manifest["not_parameters"]}
    _holes(folder / "model.safetensors", shapes)
    (folder / "config.json").write_text(json.dumps(manifest["config"]), "utf-8")
    job = otter_2023_job(recognise(folder), Options(tokenizer=str(TOKENIZER)))
    return Planned(manifest, job, job.plan())


def _flamingo(manifest: dict[str, Any], folder: Path, shapes: Mapping[str, Any]) -> Planned:
    language_model, tower = folder / "language-model", folder / "tower"
    shutil.copytree(TOKENIZER, language_model)
    config = manifest["language_model_config"]
    (language_model / "config.json").write_text(json.dumps(config), "utf-8")
    own = dict(manifest["language_model"])
    rows = max(shape[0] for shape in own.values())
    # The published language model, before OpenFlamingo gave it as many rows as tokens.
    grown = {n: [config["vocab_size"], *s[1:]] for n, s in own.items() if s[0] == rows}
    buffers = {n.removeprefix("lang_encoder."): s for n, s in manifest["legacy_buffers"].items()}
    buffers = {n.replace("decoder_layer.", ""): s for n, s in buffers.items()}
    _holes(language_model / "model.safetensors", own | grown | buffers)
    tower.mkdir()
    (tower / "config.json").write_text(json.dumps(VIT_L_14), "utf-8")
    text_half = {
        "text_model.final_layer_norm.weight": [768],
        "text_projection.weight": [768, 768],
        "visual_projection.weight": [768, 1024],
        "logit_scale": [],
        "vision_model.embeddings.position_ids": [1, 257],
    }
    _holes(tower / "model.safetensors", manifest["vision_tower"] | text_half)
    options = Options(language_model=str(language_model), vision_tower=str(tower))
    job = openflamingo_job(recognise(_holes(folder / "checkpoint.pt", shapes)), options)
    return Planned(manifest, job, job.plan())


@pytest.fixture(scope="module", params=OTTER)
def otter(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Planned:
    folder = tmp_path_factory.mktemp(request.param)
    return _otter(read_manifest(request.param), folder)


@pytest.fixture(scope="module", params=FLAMINGO)
def flamingo(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Planned:
    manifest = read_manifest(request.param)
    shapes = manifest["checkpoint"] | manifest["legacy_buffers"]
    return _flamingo(manifest, tmp_path_factory.mktemp(request.param), shapes)


def test_every_tensor_of_a_2023_checkpoint_has_a_place_or_a_reason(otter: Planned) -> None:
    assert otter.plan.problems == []
    assert [step.target for step in otter.plan.steps] == list(otter.job.skeleton.shapes)
    # Nothing that was trained is left out: only tables that are computed, and second names.
    dropped = {entry.name for entry in otter.plan.dropped}
    assert dropped == {*otter.manifest["buffers"], *otter.manifest["not_parameters"]}
    assert not [step.note for step in otter.plan.steps if step.rows is not None]


def test_a_converted_2023_checkpoint_has_the_parameters_that_it_had(otter: Planned) -> None:
    expected = {name: total for name, (total, _) in otter.manifest["groups"].items()}
    # LoRA's matrices are added to what they change.
    lora = expected.pop("lora", 0)
    assert otter.groups() == expected
    assert sum(otter.groups().values()) == otter.manifest["total"] - lora


def test_what_the_2023_code_trained_is_as_large_here(otter: Planned) -> None:
    known, layout = otter.manifest["parameters"], otter.job.skeleton.layout
    trained = 0
    for name, parameter in otter.job.skeleton.model.named_parameters():
        names = [origin.name for origin in original(name, OTTER_2023, layout)]
        names += [n.replace("lang_encoder.", "lang_encoder.base_model.model.", 1) for n in names]
        names += [n.replace("Wqkv.weight", "Wqkv.base_layer.weight") for n in names]
        trained += parameter.numel() * next(known[n][1] for n in names if n in known)
    lora = otter.manifest["groups"].get("lora", [0, 0])[1]
    assert trained == otter.manifest["trainable"] - lora


def test_every_tensor_of_an_openflamingo_has_a_place_or_a_reason(flamingo: Planned) -> None:
    assert flamingo.plan.problems == []
    assert [step.target for step in flamingo.plan.steps] == list(flamingo.job.skeleton.shapes)
    computed = {"a table that is computed", "a mask that is computed"}
    assert flamingo.reasons() <= computed | {"a second copy, equal to the first"}


def test_a_converted_openflamingo_has_the_parameters_that_it_had(flamingo: Planned) -> None:
    groups, text = flamingo.groups(), cast(Any, flamingo.job.config.text_config)
    rows = max(shape[0] for shape in flamingo.manifest["language_model"].values())
    # OPT has a token for padding, so nothing was added to it that could become <answer>.
    tables = 2 if "lm_head" in groups else 1
    added = (text.vocab_size - rows) * text.hidden_size * tables
    assert sum(groups.values()) == flamingo.manifest["total"] - PROJECTION + added
    trained = ("perceiver", "gated_cross_attn", "input_embeddings")
    assert sum(groups[name] for name in trained) == flamingo.manifest["trainable"] + added // tables


@pytest.mark.parametrize("name", WHOLE)
def test_the_dump_of_a_whole_openflamingo_holds_all_that_is_needed(
    name: str, tmp_path: Path
) -> None:
    manifest = read_manifest(name)
    planned = _flamingo(manifest, tmp_path, manifest["whole"])
    assert planned.plan.problems == []
    assert {step.label for step in planned.plan.steps} == {"checkpoint"}
    layout = planned.job.skeleton.layout
    used = {origin.name for step in planned.plan.steps for origin in [step.origin]}
    assert used == {
        original(target, OPENFLAMINGO, layout)[0].name for target in planned.job.skeleton.shapes
    }
    copies = [entry for entry in planned.plan.dropped if entry.same_as is not None]
    assert len(copies) == len(manifest["whole"]) - len(used) - 1
    rest = [entry.name for entry in planned.plan.dropped if entry.same_as is None]
    assert rest == ["vision_encoder.proj"]
