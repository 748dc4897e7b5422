"""Preparing pictures in several processes, so that no file can stop an import.

A worker has one item at a time. If it dies of it (a decoder's crash) or shows no sign of life for
too long (a decoder's endless loop), that item is broken, and another worker takes its place.
"""

import hashlib
import multiprocessing
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from multiprocessing import connection
from typing import Any

from otter.build.pictures import Preparation, prepare, processors
from otter.build.sources import PictureItem
from otter.media import MediaError

READY = "ready"


@dataclass(frozen=True, slots=True)
class Made:
    """An image file that an item became."""

    index: int
    data: bytes
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Finished:
    """An item is done: all its images were made, or it is broken for a reason."""

    index: int
    reason: str | None = None


def prepare_all(
    items: Iterable[tuple[int, PictureItem]],
    preparation: Preparation,
    *,
    workers: int | None = None,
    timeout: float = 120.0,
) -> Iterator[Made | Finished]:
    """Prepares items, which finish in any order; what an item made comes before its end.

    The items are taken one by one, as there is a worker for them.

    Args:
        items: each with a number of its own.
        preparation: what is done to each.
        workers: how many processes; None for one on each processor, 0 to work in this process,
            without the protection against crashes and endless loops.
        timeout: in seconds, how long a worker may be silent.

    Raises:
        RuntimeError: the worker processes cannot start.
        ImportError: PyAV is needed and not installed.
    """
    if workers == 0:
        for index, item in items:
            yield from _prepare_here(index, item, preparation)
        return
    crew = _Crew(workers or processors(), preparation, timeout)
    try:
        yield from crew.work(iter(items))
    finally:
        crew.dismiss()


def _prepare_here(
    index: int, item: PictureItem, preparation: Preparation
) -> Iterator[Made | Finished]:
    try:
        for data in prepare(item, preparation):
            yield Made(index, data, hashlib.sha256(data).digest())
    except (MediaError, OSError) as error:
        yield Finished(index, str(error))
    except MemoryError:
        yield Finished(index, "there was not enough memory to decode it")
    except ImportError:
        raise
    except Exception as error:  # decoders raise every kind of error on damaged files
        yield Finished(index, f"the decoder failed ({type(error).__name__}: {error})")
    else:
        yield Finished(index)


class _Worker:
    """A process, and what it is doing."""

    def __init__(self, preparation: Preparation) -> None:
        # Spawned, not forked: a fork would take along the threads' locks of the libraries in use.
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, preparation), daemon=True)
        self.process.start()
        theirs.close()
        self.index: int | None = None
        self.is_ready = False
        self.deadline = 0.0

    def stop(self) -> None:
        self.pipe.close()
        self.process.kill()
        self.process.join()
        self.process.close()


class _Crew:
    """The workers, and which of them is busy."""

    def __init__(self, count: int, preparation: Preparation, timeout: float) -> None:
        self.count = count
        self.preparation = preparation
        self.timeout = timeout
        self.busy: dict[Any, _Worker] = {}
        self.idle: list[_Worker] = []

    def work(self, items: Iterator[tuple[int, PictureItem]]) -> Iterator[Made | Finished]:
        """Hands out the items, and gives what comes back."""
        while True:
            while len(self.busy) < self.count:
                job = next(items, None)
                if job is None:
                    break
                self._assign(job)
            if not self.busy:
                return
            nearest = min(worker.deadline for worker in self.busy.values())
            wait = max(0.0, nearest - time.monotonic())
            for pipe in connection.wait(list(self.busy), wait):
                yield from self._receive(self.busy[pipe], items)
            now = time.monotonic()
            for worker in [one for one in self.busy.values() if one.deadline < now]:
                if not worker.pipe.poll():
                    yield self._lose(worker, f"it was not decoded within {self.timeout:g} s")

    def dismiss(self) -> None:
        """Ends every process."""
        for worker in [*self.busy.values(), *self.idle]:
            worker.stop()
        self.busy.clear()
        self.idle.clear()

    def _assign(self, job: tuple[int, PictureItem]) -> None:
        worker = self.idle.pop() if self.idle else _Worker(self.preparation)
        try:
            worker.pipe.send(job)
        except OSError:  # it died while it had nothing to do
            worker.stop()
            if not worker.is_ready:
                raise _cannot_start() from None
            worker = _Worker(self.preparation)
            worker.pipe.send(job)
        worker.index = job[0]
        worker.deadline = time.monotonic() + self.timeout
        self.busy[worker.pipe] = worker

    def _receive(
        self, worker: _Worker, items: Iterator[tuple[int, PictureItem]]
    ) -> Iterator[Made | Finished]:
        try:
            message = worker.pipe.recv()
        except (EOFError, OSError):
            if not worker.is_ready:
                raise _cannot_start() from None
            yield self._lose(worker, "the decoder crashed")
            return
        worker.deadline = time.monotonic() + self.timeout
        if message == READY:
            worker.is_ready = True
        elif isinstance(message, ImportError):
            raise message
        elif isinstance(message, Finished):
            del self.busy[worker.pipe]
            self.idle.append(worker)
            # The next item first: the worker should not wait while this one is written down.
            job = next(items, None)
            if job is not None:
                self._assign(job)
            yield message
        else:
            yield message

    def _lose(self, worker: _Worker, reason: str) -> Finished:
        del self.busy[worker.pipe]
        worker.stop()
        return Finished(worker.index if worker.index is not None else -1, reason)


def _cannot_start() -> RuntimeError:
    return RuntimeError(
        "a worker process ended before it began: in a script, call import_source below "
        "`if __name__ == '__main__':`, or with workers=0"
    )


def _serve(pipe: Any, preparation: Preparation) -> None:
    """What a worker process does until nobody listens any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started us ends us
    try:
        pipe.send(READY)
        while True:
            index, item = pipe.recv()
            try:
                for message in _prepare_here(index, item, preparation):
                    pipe.send(message)
            except ImportError as error:
                pipe.send(ImportError(str(error)))
    except (EOFError, OSError):
        return
