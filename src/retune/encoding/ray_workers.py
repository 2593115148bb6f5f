"""Encoding on a Ray cluster: actors of Ray Data run batches on copies of the model, and lost ones are replaced."""

import logging
import os
import re
import socket
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from retune.core.errors import InputError
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

    def __init__(self, load: Callable[[str], Forward], device: torch.device) -> None:
        """Describe the actors; nothing starts yet.

        Args:
            load: Loads the model; pickled, and called with the device in each actor.
            device: The device of each actor.
        """
        self._load, self._device = load, device.type

    def __enter__(self) -> "RayWorkers":
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def map(self, batches: Iterable[TokenBatch]) -> Iterator[np.ndarray | None]:
        """Yield the result of `Forward` for each batch, in order.

        Raises:
            InputError: There is no cluster at the address, or a batch failed in whatever actor ran it.
        """
        ray = _connect()
        threads = torch.get_num_threads()
        per_actor = {"num_gpus": 1} if self._device == "cuda" else {"num_cpus": threads}
        resource, needed = ("GPU", 1) if self._device == "cuda" else ("CPU", threads)
        most = int(ray.cluster_resources().get(resource, 0)) // needed
        if not most:
            raise InputError(
                f"compute.engine: ray: expected a cluster with a node of {needed} {resource}, found none; add one, set "
                "OMP_NUM_THREADS, or choose another compute.device"
            )
        rows = [{"token_ids": token_ids, "length": length} for token_ids, length in batches]
        blocks = ray.data.from_items(rows, override_num_blocks=len(rows))
        given = (self._load, self._device, threads)
        done = blocks.map_batches(_Actor, fn_constructor_args=given, batch_size=1, concurrency=(1, most), **per_actor)
        try:
            for row in done.iter_rows():
                yield _unpacked(row)
        except ray.exceptions.RayError as error:
            raise InputError(f"encoding on ray: {_reason(error)}") from None


class _Actor:
    """The state of one process of the cluster."""

    def __init__(self, load: Callable[[str], Forward], device: str, threads: int) -> None:
        torch.set_num_threads(threads)
        self._forward = load(device)

    def __call__(self, rows: dict[str, Any]) -> dict[str, list[Any]]:
        token_ids = [np.asarray(ids).tolist() for ids in rows["token_ids"][0]]
        vectors = self._forward((token_ids, int(rows["length"][0])))
        found = np.zeros((0, 0), dtype=np.float32) if vectors is None else vectors
        return {"vectors": [found.tobytes()], "dim": [found.shape[1]]}


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
