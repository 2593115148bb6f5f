"""A Ray cluster of two workers: the bytes of one process, also if a worker is killed half-way."""

import os
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from retune.core.errors import InputError
from retune.encoding import batch_runner
from retune.encoding.compute import Compute
from retune.encoding.encoder import Encoder
from retune.encoding.fingerprint import machine
from retune.encoding.ray_workers import SOURCE, RayWorkers
from retune.encoding.workers import TokenBatch
from tests.support.repository import REPOSITORY, WORDS

ray = pytest.importorskip("ray", reason="needs requirements-ray.txt")
pytestmark = pytest.mark.slow
COMPUTE = Compute(device="cpu", engine="ray", token_budget=512)
TEXTS = [" ".join(WORDS[(start * 7 + step) % len(WORDS)] for step in range(1 + start % 23)) for start in range(200)]
CPU = torch.device("cpu")


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """A cluster with room for two workers of as many threads as this process has."""
    path = os.pathsep.join([str(SOURCE), str(REPOSITORY)])
    ray.init(
        num_cpus=2 * torch.get_num_threads(),
        runtime_env={"env_vars": {"PYTHONPATH": path}},
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=200 * 2**20,
    )
    yield
    ray.shutdown()


def numbers(device: str) -> Callable[[TokenBatch], np.ndarray]:
    """Stands for a model that gives each token id back as a vector, with the process that did."""
    return lambda batch: np.array([[batch[0][0][0], os.getpid()]], dtype=np.float32)


def killed_once(
    load: Callable[[str], Callable[[TokenBatch], Any]], folder: Path, device: str
) -> Callable[[TokenBatch], Any]:
    """Kill the process with its fifth batch, unless that has happened before."""
    forward, done = load(device), []

    def run(batch: TokenBatch) -> Any:
        done.append(batch)
        if len(done) == 5 and not (folder / "killed").exists():
            (folder / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return forward(batch)

    return run


def out_of_memory_once(folder: Path, device: str) -> Callable[[TokenBatch], Any]:
    def run(batch: TokenBatch) -> Any:
        return None if batch[1] == 32 else np.array(batch[0], dtype=np.float32)

    return run


def failing(device: str) -> Callable[[TokenBatch], Any]:
    def run(batch: TokenBatch) -> Any:
        raise InputError("no such thing")

    return run


def test_batches_come_back_in_their_order() -> None:
    with RayWorkers(numbers, CPU, machine(CPU)) as workers:
        found = np.concatenate(list(workers.map(([[number]], 16) for number in range(60))))
    assert found[:, 0].tolist() == list(range(60))


def test_batch_without_memory_is_none() -> None:
    batches = [([[1, 2]], 16), ([[3, 4]], 32)]
    first, second = RayWorkers(partial(out_of_memory_once, Path()), CPU, machine(CPU)).map(batches)
    assert first is not None
    assert first.tolist() == [[1.0, 2.0]]
    assert second is None


def test_failure_is_one_line() -> None:
    with pytest.raises(InputError, match="^encoding on ray: .*no such thing$"):
        list(RayWorkers(failing, CPU, machine(CPU)).map([([[1]], 16)]))


@pytest.mark.parametrize("is_killed", [False, True])
def test_vectors_are_those_of_one_process_even_if_a_worker_is_killed(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_killed: bool
) -> None:
    monkeypatch.setattr(batch_runner, "MIN_TEXTS", 10)
    alone = Encoder.load(tiny_model, COMPUTE.model_copy(update={"engine": "local"})).encode_documents(TEXTS)
    encoder = Encoder.load(tiny_model, COMPUTE)
    workers = encoder.runner.pool
    assert isinstance(workers, RayWorkers)
    if is_killed:
        workers._load = partial(killed_once, workers._load, tmp_path)
    np.testing.assert_array_equal(encoder.encode_documents(TEXTS), alone)
    assert (tmp_path / "killed").exists() == is_killed


def test_node_of_another_kind_is_refused() -> None:
    with pytest.raises(
        InputError, match="^encoding on ray: .*node .*: expected the kind of machine where the stage runs"
    ):
        list(RayWorkers(numbers, CPU, ["other"]).map([([[1]], 16)]))


def test_cluster_without_room_for_a_worker_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1000)
    with pytest.raises(InputError, match="compute.engine: ray: expected a cluster with a node of 1000 CPU, found none"):
        list(RayWorkers(numbers, CPU, machine(CPU)).map([([[1]], 16)]))


@pytest.mark.parametrize("address", ["127.0.0.1:9", "ray://127.0.0.1:9"])
def test_address_where_no_cluster_is_is_one_line(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(
        InputError, match=f"RAY_ADDRESS: expected a Ray cluster at '{address}', got: .*refused; start it"
    ):
        list(RayWorkers(numbers, CPU, machine(CPU)).map([([[1]], 16)]))
