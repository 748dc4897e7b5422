"""``otter nano``: models made in small from nothing, published whole, and examined."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner, Result

from otter.cli import app, making, measured
from otter.data import Store
from otter.evaluate.results import Results
from otter.model.answer import load
from otter.model.familiarity import Familiarity
from otter.nano.exam import EXAM
from otter.nano.tower import TowerPlan

from .conftest import STAGE

QUICK = ("--set", "max_steps=2", "--set", "workers=0", "--set", "batch_size=2")


def nano(*words: object) -> Result:
    return CliRunner().invoke(app, ["nano", *map(str, words)])


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_help_names_what_can_be_made() -> None:
    result = nano("--help")
    assert result.exit_code == 0
    for command in ("base", "tune", "exam"):
        assert command in result.stdout
    assert "may be repeated" in nano("tune", "--help").stdout


def test_a_key_that_no_recipe_has_is_refused_before_anything_is_drawn() -> None:
    for command in ("base", "tune"):
        result = nano(command, "--set", "optimizer.lrr=1")
        assert result.exit_code == 2
        assert result.stderr.startswith(f"otter nano {command}: ")
        assert "optimizer.lrr: unknown key; did you mean 'lr'?" in result.stderr
    assert not list(Path().iterdir())


def test_without_nano_base_there_is_nothing_to_tune(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("otter.model.answer.CHECKPOINTS", tmp_path / "none")
    result = nano("tune")
    assert result.exit_code == 2
    assert result.stderr == (
        f"otter nano tune: nano-base belongs to this package, but {tmp_path}/none/nano-base is not "
        "there; make it with `otter nano base` and `otter nano tune`, or install the package "
        "again\n"
    )
    assert not list(tmp_path.iterdir())


def test_a_model_that_is_not_there_is_named_before_the_exam_is_drawn(tmp_path: Path) -> None:
    result = nano("exam", "./otter-giant")
    assert result.exit_code == 2
    assert result.stderr.startswith("otter nano exam: no checkpoint './otter-giant': expected ")
    assert not list(tmp_path.iterdir())


def test_ctrl_c_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(making, "make_base", interrupted)
    result = nano("base")
    assert result.exit_code == 130
    assert result.stderr == "\nStopped. The same command goes on from here.\n"


def test_base_tune_and_exam_from_nothing(
    small_nano: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = TowerPlan(classes=8, instances=2, scenes=8, steps=2, pairs=4, scenes_per_step=4)
    monkeypatch.setattr(making, "TowerPlan", lambda: plan)
    monkeypatch.setattr(making, "FOUNDATION", replace(STAGE, short_names=True))
    monkeypatch.setattr(making, "TUNING", replace(STAGE, seed=31))
    monkeypatch.setattr(making, "SHOTS", (0, 4))
    monkeypatch.setattr(making, "ANSWERABLE_SHOTS", (0,))
    monkeypatch.setattr(making, "CONTROL_SHOTS", (4,))

    made = nano("base", "--out", "base", *QUICK)
    assert made.exit_code == 0, made.output
    assert made.stderr.endswith("the checkpoint: base/model\n")
    tuned = nano("tune", "--out", "tuned", "--set", 'model="base/model"', *QUICK)
    assert tuned.exit_code == 0, tuned.output
    assert sorted(path.name for path in Path("base").iterdir()) == [
        *("model", "run", "start", "store", "tower"),
    ]
    assert sorted(path.name for path in Path("tuned").iterdir()) == [
        *("finish", "model", "run", "store"),
    ]
    how = json.loads(Path("tuned/model/made.json").read_text())
    assert how["command"] == "otter nano tune"
    assert [stage["recipe"] for stage in how["stages"]] == ["nano", "nano-finish"]
    assert [stage["seed"] for stage in how["stages"]] == [0, 1]
    for file in Path("tuned/model").glob("*.json"):
        for folder in (str(Path.cwd()), "base/", "tuned/"):
            assert folder not in file.read_text(), f"{file} names a folder of this machine"
    base, start = (load(f"base/{name}").model.state_dict() for name in ("model", "start"))
    assert any(not torch.equal(base[name], start[name]) for name in start)

    again = nano("base", "--out", "base", *QUICK)  # goes on from what is there
    assert again.exit_code == 0, again.output
    refused = nano("base", "--out", "base", *QUICK, "--set", "seed=5")
    assert refused.exit_code == 2
    assert "seed = 5: the run began with 0; take it back" in refused.stderr

    asked = nano("exam", "base/model", "tuned/model", "--questions", "1", "--out", "exam")
    assert asked.exit_code == 0, asked.output
    values = json.loads(Path("exam/results.json").read_text())
    assert values["command"] == "otter nano exam base/model tuned/model --questions 1"
    assert values["seed"] == 99
    assert values["versions"]["torch"] == torch.__version__
    assert values["weights"]["base/model"] == measured.checksum(load("base/model").model)
    results = Results.from_json(values["results"])
    assert results.models == ("base/model", "tuned/model")
    assert len(results.tasks) == len(EXAM)
    assert all(run.computed > 0 for run in results.runs)


def test_the_same_weights_are_not_asked_twice_and_others_are(
    small_nano: None, shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "SHOTS", (0,))
    monkeypatch.setattr(making, "ANSWERABLE_SHOTS", (0,))
    monkeypatch.setattr(making, "CONTROL_SHOTS", ())
    otter = load("nano-base")
    otter.model.save_pretrained(tmp_path / "mine")
    otter.processor.save_pretrained(tmp_path / "mine")
    first = making.examine(["mine"], Path("exam"), questions=1)
    again = making.examine(["mine"], Path("exam"), questions=1)
    assert again.cells == first.cells
    assert computed(again) == 0
    with torch.no_grad():
        otter.model.resampler.latents.add_(1)
    otter.model.save_pretrained(tmp_path / "mine")
    other = making.examine(["mine"], Path("exam"), questions=1)
    assert computed(other) == computed(first) > 0


def computed(results: Results) -> int:
    """How many prompts were really run."""
    return sum(run.computed for run in results.runs)


def test_an_exam_is_read_as_it_is_asked(small_nano: None, tmp_path: Path) -> None:
    from otter.nano.exam import write_exam

    write_exam(tmp_path / "exam", groups=3, tasks=("count", "name_digit"), workers=1)
    by_name = {task.name: task for task in making.exam_tasks(tmp_path / "exam")}
    assert list(by_name) == ["name_digit", "count"]
    assert by_name["name_digit"].copy_level == 0.5
    for task in by_name.values():
        assert len(task.rows) == 3
        assert all(len(task.store.episode(row).examples) == 8 for row in task.rows)
    [count] = making.exam_tasks(tmp_path / "exam", ["count"])
    assert count.title == "how many"
    with pytest.raises(ValueError, match="task = 'rule': expected one of 'count', 'name_digit'"):
        making.exam_tasks(tmp_path / "exam", ["rule"])


@pytest.fixture
def trained(untrained_base: Path, tmp_path: Path) -> Path:
    """A folder as a training leaves it."""
    otter = load(untrained_base)
    otter.model.save_pretrained(tmp_path / "trained")
    otter.processor.save_pretrained(tmp_path / "trained")
    return tmp_path / "trained"


def test_what_is_published_is_the_trained_model_rounded_to_bfloat16(
    trained: Path, small_store: Store, tmp_path: Path
) -> None:
    making._publish(trained, tmp_path / "model", small_store)
    written = load_file(tmp_path / "model" / "model.safetensors")
    assert {tensor.dtype for tensor in written.values()} == {torch.bfloat16}
    full = load(trained).model.state_dict()
    published = load(tmp_path / "model", dtype=torch.bfloat16).model
    assert {p.dtype for p in published.parameters()} == {torch.bfloat16}
    for name, tensor in published.state_dict().items():
        assert torch.equal(tensor, full[name].to(torch.bfloat16)), name
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert config["dtype"] == "bfloat16"
    # On a CPU it is computed with in full.
    in_full = load(tmp_path / "model").model.state_dict()
    assert torch.equal(in_full["resampler.latents"], written["resampler.latents"].float())
    small = (tmp_path / "model" / "model.safetensors").stat().st_size
    assert small < 0.6 * (trained / "model.safetensors").stat().st_size


def test_what_is_published_answers_and_anybody_can_read_it(
    trained: Path, small_store: Store, tmp_path: Path
) -> None:
    making._publish(trained, tmp_path / "model", small_store)
    assert isinstance(load(tmp_path / "model").answer(small_store.image_bytes(0), "what?"), str)
    for file in (tmp_path / "model").iterdir():
        assert file.stat().st_mode & 0o777 == 0o644, file.name


def test_both_folders_know_what_pictures_they_learned_from(
    trained: Path, small_store: Store, tmp_path: Path
) -> None:
    making._publish(trained, tmp_path / "model", small_store)
    for folder in (trained, tmp_path / "model"):
        familiarity = Familiarity.find(folder)
        assert familiarity is not None
        assert familiarity.quantile == 0.99
        otter = load(folder)
        known = [otter.distance(small_store.image_bytes(row)) for row in range(0, 100, 5)]
        assert np.median([d for d in known if d is not None]) < familiarity.threshold


def test_a_published_folder_is_the_old_or_the_new_one_and_nothing_else_is_left(
    trained: Path, small_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    making._publish(trained, tmp_path / "model", small_store)
    before = contents(tmp_path / "model")
    (tmp_path / "model" / "note.txt").write_text("of the old one")

    def full_disk(*_: object) -> None:
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(making, "_save", full_disk)
        with pytest.raises(OSError, match="No space left"):
            making._publish(trained, tmp_path / "model", small_store)
    assert (tmp_path / "model" / "note.txt").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "trained"]
    (tmp_path / ".model.partial").mkdir()  # as a killed process would leave it
    (tmp_path / ".model.partial" / "half").touch()
    making._publish(trained, tmp_path / "model", small_store)
    assert contents(tmp_path / "model") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "trained"]


def contents(folder: Path) -> dict[str, object]:
    """What is in a checkpoint; of what it knows the threshold, since its bytes have no order."""
    familiarity = Familiarity.find(folder)
    assert familiarity is not None
    files = {file.name: file.read_bytes() for file in folder.iterdir()}
    return files | {"familiarity.safetensors": familiarity.threshold}


def test_where_the_new_folder_cannot_take_its_name_the_old_one_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "old").touch()
    rename = Path.rename

    def fails(self: Path, target: Path) -> Path:
        if self.name == ".model.partial":
            raise OSError("no")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(OSError, match="no"), making._whole(tmp_path / "model") as folder:
        (folder / "new").touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["model", "old"]


def test_a_checksum_is_of_the_weights_alone() -> None:
    model = torch.nn.Linear(3, 2)
    same = torch.nn.Linear(3, 2)
    same.load_state_dict(model.state_dict())
    assert measured.checksum(model) == measured.checksum(same)
    with torch.no_grad():
        same.bias[0] += 1e-3
    assert measured.checksum(model) != measured.checksum(same)
    assert measured.checksum(model.to(torch.bfloat16)) != measured.checksum(same)


def test_time_and_memory_add_up_over_the_times_that_a_run_was_started(tmp_path: Path) -> None:
    file = tmp_path / "spent.json"
    spent = measured.Spent(file)
    with pytest.raises(KeyboardInterrupt), spent.timed("drawing"):
        raise KeyboardInterrupt
    file.write_text(json.dumps({"seconds": {"drawing": 20.0}, "peak_memory_bytes": 10**15}))
    later = measured.Spent(file)
    with later.timed("drawing"), later.timed("tuning"):
        pass
    kept = json.loads(file.read_text())
    assert kept["seconds"]["drawing"] == pytest.approx(20, abs=0.5)
    assert kept["seconds"]["tuning"] == pytest.approx(0, abs=0.5)
    assert kept["peak_memory_bytes"] == later.peak_memory == 10**15
    assert list(tmp_path.iterdir()) == [file]


def test_memory_is_in_bytes_and_includes_the_workers() -> None:
    import resource

    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert 50e6 < measured.peak_memory() < 100e9
    assert measured.peak_memory() >= own * (1 if measured.sys.platform == "darwin" else 1024)


def test_machine_and_versions_say_what_figures_depend_on() -> None:
    machine = measured.machine()
    assert machine["cores"] >= 1
    assert machine["processor"]
    assert {"python", "torch", "transformers", "numpy"} <= measured.versions().keys()
