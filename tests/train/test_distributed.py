"""Two processes learn what one does, also where one of them has text alone."""

import multiprocessing
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState, GradientState
from safetensors.torch import load_file

from otter.recipe import Recipe
from otter.train import read_log, train

PARTS = ("resampler", "cross_attention", "new_tokens")


def forget_devices() -> None:
    """Accelerate decides once per process how many devices there are."""
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()


def one_of_two(rank: int, port: int, recipe: Recipe) -> None:
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    forget_devices()
    train(recipe)
    torch.distributed.destroy_process_group()


@pytest.mark.skipif(sys.platform != "linux", reason="starts its processes by forking")
def test_two_processes_equal_one_with_twice_the_batch(
    recipe_for: Callable[..., Recipe],
) -> None:
    one = recipe_for("one", batch_size=2, trainable=PARTS, max_steps=4)
    two = recipe_for("two", batch_size=1, trainable=PARTS, max_steps=4, save_every=2)
    train(one)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    context = multiprocessing.get_context("fork")
    ranks = [context.Process(target=one_of_two, args=(rank, port, two)) for rank in (0, 1)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(60)
        process.kill()
    assert [process.exitcode for process in ranks] == [0, 0]
    for ours, theirs in zip(
        *(read_log(Path(r.output, "log.jsonl")) for r in (one, two)), strict=True
    ):
        expected = pytest.approx({**ours, "seconds": theirs["seconds"]}, rel=1e-4)
        assert theirs == expected
    models = [load_file(Path(r.output, "model", "model.safetensors")) for r in (one, two)]
    for name, tensor in models[0].items():
        torch.testing.assert_close(models[1][name], tensor, rtol=1e-3, atol=1e-4)
