import pytest
import torch
from torch import Tensor

from otter.convert.names import Origin
from otter.convert.plan import Dropped, Plan, Source, make_plan, with_rows
from otter.convert.sources import TensorInfo


def infos(**shapes: tuple[int, ...]) -> dict[str, TensorInfo]:
    return {name: TensorInfo(shape, torch.float32) for name, shape in shapes.items()}


def source(label: str = "checkpoint", /, **shapes: tuple[int, ...]) -> Source:
    return Source(label, infos(**shapes), lambda target: [Origin(target)])


def test_an_earlier_source_is_asked_first_and_the_other_is_accounted_for() -> None:
    plan = make_plan({"a": (2,), "b": (3,)}, [source(a=(2,)), source("base", a=(2,), b=(3,))])
    assert [(step.target, step.label) for step in plan.steps] == [
        ("a", "checkpoint"),
        ("b", "base"),
    ]
    assert plan.dropped == [Dropped("base", "a", "the checkpoint has its own")]
    assert not plan.problems


def test_a_tensor_that_nothing_gives_is_a_problem() -> None:
    plan = make_plan({"a": (2,)}, [source()])
    assert plan.problems == ["a [2]: nothing gives it; looked for a"]


def test_a_tensor_without_a_place_is_a_problem() -> None:
    plan = make_plan({"a": (2,)}, [source(a=(2,), b=(4, 4))])
    assert plan.problems == ["b [4, 4] of the checkpoint: no place for it in this model"]


def test_both_shapes_are_said_when_they_differ() -> None:
    plan = make_plan({"a": (2, 3)}, [source(a=(2, 4))])
    assert plan.problems[0] == "a: [2, 3] is expected, but a of the checkpoint gives [2, 4]"


def test_every_problem_is_said_at_once() -> None:
    plan = make_plan({"a": (1,), "b": (1,)}, [source(b=(2,), c=(1,))])
    assert len(plan.problems) == 3


def test_what_is_ignored_has_a_reason() -> None:
    ignoring = Source(
        "checkpoint",
        infos(a=(1,), inv_freq=(4,)),
        lambda target: [Origin(target)],
        {"inv_freq$": "a table that is computed"},
    )
    plan = make_plan({"a": (1,)}, [ignoring])
    assert plan.dropped == [Dropped("checkpoint", "inv_freq", "a table that is computed")]


def test_a_second_copy_is_to_be_compared() -> None:
    twins = Source(
        "checkpoint", infos(a=(1,), twin=(1,)), lambda t: [Origin(t)], {}, {"twin": "a"}.get
    )
    (dropped,) = make_plan({"a": (1,)}, [twins]).dropped
    assert dropped.same_as == "a"


def made(plan: Plan, tensors: dict[str, Tensor]) -> Tensor:
    return plan.steps[0].make(lambda _, name: tensors[name])


@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_part_of_a_fused_matrix_is_cut_out(part: int) -> None:
    fused = Source("c", infos(qkv=(6, 2)), lambda _: [Origin("qkv", part, 3)])
    plan = make_plan({"a": (2, 2)}, [fused])
    whole = torch.arange(12.0).view(6, 2)
    assert torch.equal(made(plan, {"qkv": whole}), whole[2 * part : 2 * part + 2])


@pytest.mark.parametrize(("rows", "note"), [(2, "1 rows cut off"), (4, "1 rows added, the mean")])
def test_a_vocabulary_is_cut_or_filled_up(rows: int, note: str) -> None:
    plan = make_plan({"a": (rows, 2)}, [source(a=(3, 2))], tables=frozenset({"a"}))
    assert plan.steps[0].note.startswith(note)
    table = torch.tensor([[0.0, 3.0], [3.0, 0.0], [3.0, 3.0]])
    result = made(plan, {"a": table})
    assert torch.equal(result[:2], table[:2])
    assert result.shape == (rows, 2)
    if rows == 4:
        assert result[3].tolist() == [2.0, 2.0]


def test_only_a_vocabulary_may_differ_in_rows() -> None:
    assert make_plan({"a": (2, 2)}, [source(a=(3, 2))]).problems


def test_lora_is_added_to_its_matrix_wherever_that_is() -> None:
    names = {"w.lora_A.default.weight": (1, 2), "w.lora_B.default.weight": (2, 1)}
    trained = Source("part", infos(**names), lambda t: [Origin(t)], lora_scale=0.5)
    plan = make_plan({"w.weight": (2, 2)}, [trained, source("base", **{"w.weight": (2, 2)})])
    assert not plan.problems
    assert plan.steps[0].note == "with its LoRA added"
    tensors = {
        "w.weight": torch.eye(2),
        "w.lora_A.default.weight": torch.tensor([[1.0, 2.0]]),
        "w.lora_B.default.weight": torch.tensor([[4.0], [0.0]]),
    }
    assert made(plan, tensors).tolist() == [[3.0, 4.0], [0.0, 1.0]]


def test_rows_that_are_added_lose_nothing_of_the_others() -> None:
    table = torch.randn(5, 3, dtype=torch.bfloat16)
    grown = with_rows(table, 7)
    assert torch.equal(grown[:5], table)
    assert grown.dtype == torch.bfloat16
