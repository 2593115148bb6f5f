"""Encoding on several devices: one process per device runs batches on a copy of the model."""

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cached_property
from typing import Any

import numpy as np
import torch

from retune.core.errors import InputError

TokenBatch = tuple[list[list[int]], int]  # token ids, and the length they are padded to
Forward = Callable[[TokenBatch], np.ndarray | None]  # returns a batch's vectors; None: out of memory
AHEAD = 2  # batches queued per process


class _Worker:
    """The state of one process of the pool."""

    load: Callable[[str], Forward]
    device: str

    @cached_property
    def forward(self) -> Forward:
        return self.load(self.device)


_worker = _Worker()


class WorkerPool:
    """A pool of processes, which start with the first batch and end with the `with` block.

    Attributes:
        load: Loads the model in each process.
    """

    def __init__(self, load: Callable[[str], Forward], devices: Sequence[str]) -> None:
        """Describe the pool; no process starts yet.

        Args:
            load: Loads the model; pickled, and called with the device in each process with its first batch.
            devices: Such as `cuda:0`: one process for each; a device may be listed twice.
        """
        self.load, self._devices = load, list(devices)
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> "WorkerPool":
        context = multiprocessing.get_context("spawn")  # CUDA cannot be used after a fork
        devices: Any = context.SimpleQueue()
        for device in self._devices:
            devices.put(device)
        self._pool = ProcessPoolExecutor(
            len(self._devices), context, initializer=_start, initargs=(self.load, devices, torch.get_num_threads())
        )
        return self

    def __exit__(self, *exception: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        self._pool = None

    def map(self, batches: Iterable[TokenBatch]) -> Iterator[np.ndarray | None]:
        """Yield the result of `Forward` for each batch, in order.

        Raises:
            InputError: A process failed or was killed.
        """
        assert self._pool is not None
        running: deque[Future[np.ndarray | None]] = deque()
        try:
            for batch in batches:
                running.append(self._pool.submit(_run, batch))
                if len(running) > AHEAD * len(self._devices):
                    yield self._result(running.popleft())
            while running:
                yield self._result(running.popleft())
        except BrokenProcessPool:
            raise self._error(
                "a process ended early; each process needs memory for its own copy of the model"
            ) from None
        finally:
            for future in running:
                future.cancel()

    def _result(self, future: "Future[np.ndarray | None]") -> np.ndarray | None:
        """Return a batch's vectors, or raise the process's failure as one line."""
        try:
            return future.result()
        except (BrokenProcessPool, InputError):
            raise
        except Exception as error:  # any kind: it comes from another process
            raise self._error(f"{type(error).__name__}: {str(error).partition(chr(10))[0]}") from None

    def _error(self, reason: str) -> InputError:
        return InputError(f"encoding on {', '.join(self._devices)}: {reason}")


def _start(load: Callable[[str], Forward], devices: Any, num_threads: int) -> None:
    """Take one of the devices; the model is loaded later, with the first batch, whose result can carry an error."""
    torch.set_num_threads(num_threads)
    _worker.load, _worker.device = load, devices.get()


def _run(batch: TokenBatch) -> np.ndarray | None:
    return _worker.forward(batch)
