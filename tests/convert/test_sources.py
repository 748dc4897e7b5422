import json
import os
import pickle
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from otter.convert.errors import ConversionError
from otter.convert.sources import TensorInfo, open_weights

STATE = {"perceiver.latents": torch.arange(6.0).view(2, 3), "perceiver.norm.bias": torch.ones(3)}


def saved(path: Path, payload: object) -> Path:
    torch.save(payload, path)
    return path


def same(path: Path) -> bool:
    weights = open_weights(path)
    return set(weights.infos) == set(STATE) and all(
        torch.equal(weights.read(name), tensor) for name, tensor in STATE.items()
    )


@pytest.mark.parametrize(
    "payload",
    [
        STATE,
        OrderedDict(STATE),
        {f"module.{name}": tensor for name, tensor in STATE.items()},
        {"epoch": 3, "model_state_dict": {f"module.{n}": t for n, t in STATE.items()}},
        {"state_dict": {f"_orig_mod.{n}": t for n, t in STATE.items()}},
        {n.replace(".", "._fsdp_wrapped_module.", 1): t for n, t in STATE.items()},
        {n.replace(".", "._checkpoint_wrapped_module.", 1): t for n, t in STATE.items()},
    ],
    ids=["bare", "ordered", "ddp", "training", "compiled", "fsdp", "checkpointed"],
)
def test_a_state_dict_is_found_however_it_was_wrapped(tmp_path: Path, payload: object) -> None:
    assert same(saved(tmp_path / "checkpoint.pt", payload))


def test_what_stands_beside_the_weights_is_named(tmp_path: Path) -> None:
    path = saved(
        tmp_path / "c.pt", {"model_state_dict": STATE, "optimizer_state_dict": {"step": 2}}
    )
    assert open_weights(path).extras == {
        "optimizer_state_dict": "state of the training, not weights"
    }


def test_only_whole_pieces_of_a_name_are_taken_out(tmp_path: Path) -> None:
    path = saved(tmp_path / "c.pt", {"submodule.weight": torch.ones(1)})
    assert list(open_weights(path).infos) == ["submodule.weight"]


def test_the_format_before_torch_1_6_is_read_too(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert same(tmp_path / "old.pt")


def test_safetensors_and_shards_are_read(tmp_path: Path) -> None:
    one, two = (dict([item]) for item in STATE.items())
    save_file(one, tmp_path / "model-1.safetensors")
    save_file(two, tmp_path / "model-2.safetensors")
    index = '{"weight_map": {"perceiver.latents": "model-1.safetensors", '
    index += '"perceiver.norm.bias": "model-2.safetensors"}}'
    (tmp_path / "model.safetensors.index.json").write_text(index)
    assert same(tmp_path)


def test_tensors_are_told_without_their_values(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(2, 3, dtype=torch.bfloat16)}, tmp_path / "model.safetensors")
    (info,) = open_weights(tmp_path).infos.values()
    assert info == TensorInfo((2, 3), torch.bfloat16)
    assert info.bytes == 12


def test_a_file_may_be_larger_than_the_memory(tmp_path: Path) -> None:
    """Half a terabyte of nothing on disk: neither form is mapped or loaded to read one tensor."""
    rows, columns = 2**17, 2**20
    header = json.dumps(
        {
            "huge": {"dtype": "F32", "shape": [rows, columns], "data_offsets": [0, 2**39]},
            "small": {"dtype": "F32", "shape": [2], "data_offsets": [2**39, 2**39 + 8]},
        }
    ).encode()
    path = tmp_path / "model.safetensors"
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.seek(2**39, os.SEEK_CUR)
        file.write(torch.tensor([1.0, 2.0]).numpy().tobytes())
    weights = open_weights(path)
    assert weights.infos["huge"].bytes == 2**39
    assert weights.read("small").tolist() == [1.0, 2.0]


def test_a_tensor_that_is_a_part_or_a_view_of_another_is_read_as_it_is(tmp_path: Path) -> None:
    whole = torch.arange(24.0).view(4, 6)
    parts = {
        "rows": whole[1:3],
        "turned": whole.t(),
        "part": whole[1:3, 2:5].t(),
        "one": whole[2, 3],
    }
    weights = open_weights(saved(tmp_path / "c.pt", parts))
    for name, part in parts.items():
        assert torch.equal(weights.read(name), part), name
        assert weights.infos[name].shape == tuple(part.shape)


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("true",)


def test_a_pickle_that_needs_code_is_refused_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "evil.pt", {"model": Evil()})
    ran: list[str] = []
    monkeypatch.setattr(os, "system", ran.append)
    with pytest.raises(
        ConversionError, match=r"evil\.pt: this pickle needs posix.system; only tensors"
    ):
        open_weights(path)
    assert not ran


def test_a_saved_model_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "model.pt", torch.nn.Linear(1, 1))
    with pytest.raises(ConversionError, match=r"needs torch\.nn\.modules\.linear\.Linear"):
        open_weights(path)


def test_a_bare_pickle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.pt").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(ConversionError, match=r"c\.pt"):
        open_weights(tmp_path / "c.pt")


@pytest.mark.parametrize("form", ["pickle", "safetensors"])
def test_a_truncated_file_is_refused(tmp_path: Path, form: str) -> None:
    path = tmp_path / ("c.pt" if form == "pickle" else "model.safetensors")
    tensors = {"a": torch.zeros(4096)}
    torch.save(tensors, path) if form == "pickle" else save_file(tensors, path)
    path.write_bytes(path.read_bytes()[:-600])
    with pytest.raises(ConversionError, match=r"bytes: it is truncated"):
        open_weights(path)


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ([1, 2], "holds a list, expected a state dict"),
        ({"epoch": 1}, r"holds no tensors \(its keys: 'epoch'\)"),
        ({"model_state_dict": {"lr": 1.0}}, "holds no tensors"),
    ],
)
def test_what_is_no_state_dict_is_refused(tmp_path: Path, payload: object, message: str) -> None:
    with pytest.raises(ConversionError, match=message):
        open_weights(saved(tmp_path / "c.pt", payload))


def test_a_name_that_comes_twice_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "c.pt", {"a": torch.ones(1), "module.a": torch.ones(1)})
    with pytest.raises(
        ConversionError, match=r"1 tensor\(s\) come twice, such as a \(as module\.a"
    ):
        open_weights(path)


def test_a_pointer_to_a_large_file_is_told_from_the_file(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid\n")
    with pytest.raises(ConversionError, match="fetch it with `git lfs pull`"):
        open_weights(tmp_path)


def test_a_page_that_was_saved_as_a_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_text("<!DOCTYPE html><html>404</html>")
    with pytest.raises(ConversionError, match="neither a safetensors file nor what"):
        open_weights(tmp_path / "checkpoint.pt")


def test_missing_shards_are_counted(tmp_path: Path) -> None:
    index = '{"weight_map": {"a": "pytorch_model-1.bin", "b": "pytorch_model-2.bin"}}'
    (tmp_path / "pytorch_model.bin.index.json").write_text(index)
    with pytest.raises(ConversionError, match=r"2 of 2 shards .* such as pytorch_model-1\.bin"):
        open_weights(tmp_path)


def test_an_index_cannot_name_files_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../a"}}')
    with pytest.raises(ConversionError, match=r"names '\.\./a', which is not in the folder"):
        open_weights(tmp_path)


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"no weights; expected model\.safetensors"):
        open_weights(tmp_path)
    for name in "ab":
        saved(tmp_path / f"{name}.pt", STATE)
    with pytest.raises(ConversionError, match=r"several weights; .*: a\.pt, b\.pt; give one"):
        open_weights(tmp_path)
