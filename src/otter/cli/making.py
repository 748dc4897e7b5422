"""How the shipped models are made: world, tower, foundation, tuning, and what they can do then.

Each part stands in the folder of the run under its own name and is left alone once it is whole, so
that a run which was stopped goes on where it was.
"""

import json
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import torch
from rich.console import Console

from otter.cli.made import FILE, how_made
from otter.cli.measured import checksum, machine, versions, write_json
from otter.data import Store
from otter.evaluate.controls import ANSWERS_SHUFFLED, PICTURES_SWAPPED
from otter.evaluate.fewshot import OnProgress, evaluate
from otter.evaluate.results import Results, join
from otter.evaluate.tasks import FewShotTask
from otter.model.answer import Otter, load, no_bars
from otter.model.familiarity import Familiarity
from otter.model.stem_vision import StemVisionModel
from otter.nano.exam import EXAM, SEED, SET_BY_EXAMPLES, write_exam
from otter.nano.start import foundation_start
from otter.nano.tower import TowerPlan, save_tower, train_tower
from otter.nano.world import FOUNDATION, TUNING, Stage, write_world
from otter.recipe import Recipe, check, find
from otter.recipe import load as load_recipe
from otter.train import ProgressBar, train
from otter.train.checkpoint import recipe_of_run

SHOTS = (0, 1, 2, 4, 8)
ANSWERABLE_SHOTS = (0, 4, 8)
CONTROL_SHOTS = (4,)
FAMILIAR_PICTURES = 20_000
"""So many pictures of the store, at most, say what pictures a checkpoint knows."""

_console = Console(stderr=True)


def make_base(out: Path, overrides: Sequence[str] = ()) -> Path:
    """The foundation; the finished checkpoint is ``out/model``.

    Args:
        out: the folder of the run.
        overrides: ``key=value`` for the recipe ``nano-base``.

    Raises:
        RecipeError: an override does not fit, or not to the run that is gone on with.
    """
    start = out / "start"
    recipe = _recipe("nano-base", out, [f"model={json.dumps(str(start))}", *overrides])
    _draw(out / "store", FOUNDATION)
    if not (out / "tower").exists():
        with ProgressBar("training the tower", _console) as bar, _whole(out / "tower") as folder:
            begin = time.perf_counter()

            def show(step: int, steps: int, loss: float) -> None:
                bar(step, steps, loss, (time.perf_counter() - begin) / step * (steps - step))

            save_tower(train_tower(TowerPlan(), show), folder)
    if not start.exists():
        model, processor = foundation_start(StemVisionModel.from_pretrained(out / "tower"))
        with _whole(start) as folder:
            _save(model, processor, folder)
    trained = _train(recipe, "training the foundation")
    made = how_made("otter nano base", {"nano-base": Path(recipe.output)})
    return _publish(trained, out / "model", Store(out / "store"), made)


def make_tuned(out: Path, overrides: Sequence[str] = ()) -> Path:
    """The tuned model; the finished checkpoint is ``out/model``.

    Args:
        out: the folder of the run.
        overrides: ``key=value`` for the recipes ``nano`` and ``nano-finish``.

    Raises:
        RecipeError: as in :func:`make_base`.
        FileNotFoundError: there is no model to start from.
    """
    recipe = _recipe("nano", out, overrides)
    load(recipe.model)  # before the world is drawn: says what to do where it is missing
    _draw(out / "store", TUNING)
    tuned = _train(recipe, "tuning")
    bound = f"model={json.dumps(str(tuned))}"
    finish = _recipe("nano-finish", out, [*overrides, bound], run="finish")
    finished = _train(finish, "finishing")
    runs = {"nano": Path(recipe.output), "nano-finish": Path(finish.output)}
    made = how_made("otter nano tune", runs)
    return _publish(finished, out / "model", Store(out / "store"), made)


def examine(models: Sequence[str], out: Path, questions: int = 300) -> Results:
    """Every task of the exam, with controls; written to ``out/results.json``.

    Args:
        models: names or folders of checkpoints.
        out: where the exam, the answers and the results go.
        questions: of each task.
    """
    loaded = {name: load(name) for name in dict.fromkeys(models)}
    store = out / f"exam-{questions}"
    if not store.exists():
        _console.print("drawing the exam ...")
        write_exam(store, questions)
    tasks = exam_tasks(store)
    weights = {name: checksum(otter.model) for name, otter in loaded.items()}
    joined = join(
        [_examined(otter, name, tasks, out, weights[name]) for name, otter in loaded.items()]
    )
    write_json(
        out / "results.json",
        {
            "command": f"otter nano exam {' '.join(models)} --questions {questions}",
            "date": time.strftime("%Y-%m-%d"),
            "seed": SEED,
            "weights": weights,
            "machine": machine(),
            "versions": versions(),
            "results": joined.to_json(),
        },
    )
    return joined


def exam_tasks(folder: Path | str, names: Sequence[str] | None = None) -> list[FewShotTask]:
    """The tasks of an exam as they are asked.

    Args:
        folder: the store.
        names: which of ``otter.nano.exam.EXAM``; all that the store holds where absent.

    Raises:
        ValueError: the store does not hold a task of that name.
    """
    store = Store(folder)
    there = {group["task"] for group in store.manifest["tasks"]}
    examples = pc.list_value_length(store.column("related")).to_numpy()
    tasks = []
    for name in [task for task in EXAM if task in there] if names is None else names:
        rows = store.rows(tasks=name)
        note = EXAM[name]
        tasks.append(
            FewShotTask(
                name,
                store,
                rows[examples[rows] > 0].tolist(),
                note.title,
                copy_level=note.copy_level,
                description=note.description,
            )
        )
    return tasks


def _examined(
    otter: Otter, name: str, tasks: Sequence[FewShotTask], out: Path, weights: str
) -> Results:
    """All tasks; the controls where the answer is set by the examples alone."""
    in_context = [task for task in tasks if task.name in SET_BY_EXAMPLES]
    answerable = [task for task in tasks if task.name not in SET_BY_EXAMPLES]
    parts = []
    for label, chosen, shots, controls in (
        ("set by the examples", in_context, SHOTS, (PICTURES_SWAPPED, ANSWERS_SHUFFLED)),
        ("answerable", answerable, ANSWERABLE_SHOTS, ()),
    ):
        with ProgressBar(f"examining {name}: {label}", _console) as bar:
            parts.append(
                evaluate(
                    otter,
                    chosen,
                    model=name,
                    shots=shots,
                    controls=controls,
                    control_shots=CONTROL_SHOTS,
                    limit=None,
                    batch_size=48,
                    max_new_tokens=48,
                    on_progress=_on(bar),
                    # A checkpoint that was made again under its old name is asked again.
                    predictions_path=out / f"{Path(name).name}-{weights}.jsonl",
                )
            )
    return join(parts)


def _on(bar: ProgressBar) -> OnProgress:
    return lambda done, whole, _: bar(done, whole, None, None)


def _recipe(name: str, out: Path, overrides: Sequence[str], run: str = "run") -> Recipe:
    """A shipped recipe, to be run in a folder."""
    output = f"output={json.dumps(str(out / run))}"
    recipe = load_recipe(find(name), overrides=[output, *overrides])
    data = tuple(replace(part, store=str(out / "store")) for part in recipe.data)
    return replace(recipe, data=data)


def _draw(folder: Path, stage: Stage) -> None:
    if not folder.exists():
        with ProgressBar("drawing the world", _console) as bar:
            write_world(folder, stage, on_progress=lambda done, whole: bar(done, whole, None, None))


def _train(recipe: Recipe, label: str) -> Path:
    """Train, unless that is done; the folder of the model.

    Raises:
        RecipeError: the run was begun with another recipe.
    """
    trained = Path(recipe.output, "model")
    if trained.exists():
        recipe_of_run(check(recipe))
    else:
        with ProgressBar(label, _console) as bar:
            train(recipe, resume=Path(recipe.output).exists(), on_progress=bar)
    return trained


def _publish(trained: Path, folder: Path, store: Store, made: dict[str, Any] | None = None) -> Path:
    """The checkpoint as it is shipped: weights in bfloat16, and what pictures it knows."""
    otter = load(trained)
    familiarity = _familiarity(otter, store)
    familiarity.save(trained)
    with _whole(folder) as partial:
        _save(otter.model.to(torch.bfloat16), otter.processor, partial)
        familiarity.save(partial)
        if made is not None:
            write_json(partial / FILE, made)
    _console.print(f"the checkpoint: {folder}", highlight=False, soft_wrap=True)
    return folder


def _save(model: Any, processor: Any, folder: Path) -> None:
    """Write a checkpoint, without the bars that transformers draws."""
    with no_bars():
        model.save_pretrained(folder)
    processor.save_pretrained(folder)


def _familiarity(otter: Otter, store: Store) -> Familiarity:
    """What the pictures of a store look like to the model."""
    rng = np.random.default_rng(0)
    rows = rng.choice(store.image_count, min(FAMILIAR_PICTURES, store.image_count), replace=False)
    pictures = [store.image_bytes(int(row)) for row in np.sort(rows)]
    return Familiarity.fit(otter.picture_features(pictures, batch_size=256))


@contextmanager
def _whole(folder: Path) -> Iterator[Path]:
    """A folder to write into, which takes its name only when everything is in it.

    It replaces a folder of that name. After an error nothing of it is left.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    replaced = folder.with_name(f".{folder.name}.replaced")
    for left_over in (partial, replaced):
        shutil.rmtree(left_over, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        for file in partial.iterdir():
            file.chmod(0o644)  # safetensors writes files that only their owner can read
        if folder.exists():
            folder.rename(replaced)
        partial.rename(folder)
    finally:
        if replaced.exists() and not folder.exists():
            replaced.rename(folder)
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(replaced, ignore_errors=True)
