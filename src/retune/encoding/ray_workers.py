"""Encoding on a Ray cluster: actors of Ray Data run batches on copies of the model, and lost ones are replaced."""

import logging
import os
import re
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from retune.core.errors import InputError
from retune.encoding.fingerprint import machine
from retune.encoding.workers import Forward, TokenBatch

INSTALL = ".venv/bin/python -m pip install --requirement requirements-ray.txt"
ADDRESS = "RAY_ADDRESS"  # of the cluster, in the environment: Ray's own variable
CONNECT_S = 10.0
SOURCE = Path(__file__).parents[2]  # which nodes need at the same path


class RayWorkers:
    """Actors that start with the first batch and end with the last one.

    There is one for each GPU of the cluster or, without any, one for as many processors as this process has threads:
    with another number of threads, a vector might have other bits.
    """

    def __init__(self, load: Callable[[str], Forward], device: torch.device, place: Sequence[object]) -> None:
        """Describe the actors; nothing starts yet.

        Args:
            load: Loads the model; pickled, and called with the device in each actor.
            device: The device of each actor.
            place: What `machine` says of the device here: all actors must say the same.
        """
        self._load, self._device, self._place = load, device.type, list(place)

    def __enter__(self) -> "RayWorkers":
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def map(self, batches: Iterable[TokenBatch]) -> Iterator[np.ndarray | None]:
        """Yield the result of `Forward` for each batch, in order.

        Raises:
            InputError: There is no cluster at the address, no node of it has room for an actor, a node is another kind
                of machine, or a batch failed.
        """
        ray = _connect()
        threads = torch.get_num_threads()
        resource, needed = ("GPU", 1) if self._device == "cuda" else ("CPU", threads)
        nodes = [node["Resources"].get(resource, 0) for node in ray.nodes() if node["Alive"]]
        most = sum(int(count) // needed for count in nodes)
        if not most:
            raise InputError(
                f"compute.engine: ray: expected a cluster with a node of {needed} {resource}, found none; add one, set "
                "OMP_NUM_THREADS, or choose another compute.device"
            )
        rows = [{"token_ids": token_ids, "length": length} for token_ids, length in batches]
        blocks = ray.data.from_items(rows, override_num_blocks=len(rows))
        given = (self._load, self._device, threads, self._place)
        done = blocks.map_batches(
            _Actor,
            fn_constructor_args=given,
            batch_size=1,
            concurrency=(1, most),
            **({"num_gpus": 1} if resource == "GPU" else {"num_cpus": threads}),
        )
        try:
            for row in done.iter_rows():
                yield _unpacked(row)
        except ray.exceptions.RayError as error:
            raise InputError(f"encoding on ray: {_reason(error)}") from None


class _Actor:
    """The state of one process of the cluster; the model is loaded with the first batch, whose result can be an error.

    An actor that fails while it starts would be started again and again.
    """

    def __init__(self, load: Callable[[str], Forward], device: str, threads: int, place: list[object]) -> None:
        torch.set_num_threads(threads)
        self._load, self._device, self._place = load, device, place

    def __call__(self, rows: dict[str, Any]) -> dict[str, list[Any]]:
        token_ids = [np.asarray(ids).tolist() for ids in rows["token_ids"][0]]
        vectors = self._forward((token_ids, int(rows["length"][0])))
        found = np.zeros((0, 0), dtype=np.float32) if vectors is None else vectors
        return {"vectors": [found.tobytes()], "dim": [found.shape[1]]}

    @cached_property
    def _forward(self) -> Forward:
        if (place := machine(torch.device(self._device))) != self._place:
            raise InputError(
                f"node {socket.gethostname()}: expected the kind of machine where the stage runs, {self._place}, got "
                f"{place}; its vectors would have other bits, so take it out of the cluster"
            )
        return self._load(self._device)


def _unpacked(row: dict[str, Any]) -> np.ndarray | None:
    if not row["dim"]:
        return None
    return np.frombuffer(row["vectors"], dtype=np.float32).reshape(-1, row["dim"])


def _connect() -> Any:
    """Join the cluster that the environment names, or start one on this machine, once in a process."""
    try:
        import ray
    except ImportError:
        raise InputError(f"compute.engine: ray: expected the package ray, found none; run {INSTALL}") from None
    if not ray.is_initialized():
        path = os.pathsep.join(filter(None, (str(SOURCE), os.environ.get("PYTHONPATH"))))
        try:
            _check_reachable(os.environ.get(ADDRESS, ""))
            ray.init(runtime_env={"env_vars": {"PYTHONPATH": path}}, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, OSError, RuntimeError, ValueError) as error:
            raise InputError(
                f"{ADDRESS}: expected a Ray cluster at {os.environ.get(ADDRESS)!r}, got: {_first_line(error)}; start "
                "it, or unset the variable to use this machine alone"
            ) from None
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    return ray


def _check_reachable(address: str) -> None:
    """Connect once to `host:port` or `ray://host:port`, because Ray itself waits for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=CONNECT_S).close()


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _reason(error: Exception) -> str:
    """Return the line in an actor's traceback that says what went wrong first."""
    lines = [line.strip() for line in str(error).splitlines()]
    named = (line for line in lines if re.match(r"[\w.]+(Error|Exception): ", line))
    return next(named, lines[-1] if lines else type(error).__name__)
