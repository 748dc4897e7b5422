"""Tokens as they are written: generation in one thread, reading in another."""

import queue
import threading
from collections.abc import Generator
from typing import Any

import torch
from torch import Tensor
from transformers.generation import BaseStreamer, StoppingCriteria, StoppingCriteriaList


def stream_tokens(
    model: Any, inputs: Any, options: dict[str, Any]
) -> Generator[list[int], None, None]:
    """The tokens that ``model.generate(**inputs, **options)`` writes, some at a time.

    Closing the iterator before its end stops the generation and waits for it.

    Args:
        model: a model with ``generate``.
        inputs: of one row.
        options: of ``generate``; beam search cannot be streamed.

    Raises:
        Exception: whatever ``generate`` raises.
    """
    tokens = _TokenQueue()
    stop = _StopWhenAsked()
    criteria = StoppingCriteriaList([*options.get("stopping_criteria", ()), stop])

    def write() -> None:
        try:
            model.generate(**inputs, **{**options, "stopping_criteria": criteria}, streamer=tokens)
        except BaseException as error:  # raised again where the tokens are read
            tokens.written.put(error)
        else:
            tokens.written.put(None)

    thread = threading.Thread(target=write, name="otter-stream", daemon=True)
    thread.start()
    try:
        while (item := tokens.written.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.asked.set()
        thread.join()


class _TokenQueue(BaseStreamer):
    """From the thread that writes to the one that reads; None says that all is written."""

    def __init__(self) -> None:
        self.written: queue.SimpleQueue[list[int] | BaseException | None] = queue.SimpleQueue()
        self._prompt_seen = False

    def put(self, value: Tensor) -> None:
        """Called by ``generate``, first with the prompt."""
        if self._prompt_seen:
            self.written.put(value.flatten().tolist())
        self._prompt_seen = True

    def end(self) -> None:
        """Nothing: the writing thread says itself when it is done, for it may also fail."""


class _StopWhenAsked(StoppingCriteria):
    """Ends generation before the next word once ``asked`` is set."""

    def __init__(self) -> None:
        self.asked = threading.Event()

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
        """bool[batch]: whether to stop."""
        return torch.full((input_ids.shape[0],), self.asked.is_set(), device=input_ids.device)
