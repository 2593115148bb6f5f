"""Several devices: the vectors of one process, and failures in one line."""

import multiprocessing
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from retune.core.errors import InputError
from retune.encoding import batch_runner
from retune.encoding.compute import Compute
from retune.encoding.encoder import Encoder
from retune.encoding.workers import TokenBatch, WorkerPool
from tests.support.repository import WORDS

COMPUTE = Compute(device="cpu", token_budget=512)
TEXTS = [" ".join(WORDS[(start * 7 + step) % len(WORDS)] for step in range(1 + start % 23)) for start in range(200)]


def numbers(device: str) -> Callable[[TokenBatch], np.ndarray]:
    """Stands for a model that gives each token id back as a vector."""
    return lambda batch: np.array(batch[0])


def failing(device: str) -> Callable[[TokenBatch], np.ndarray]:
    if device == "missing":
        raise RuntimeError("no such device\nand more")
    return lambda batch: os._exit(1)


def with_memory_for(
    tokens: int, load: Callable[[str], Callable], device: str
) -> Callable[[TokenBatch], np.ndarray | None]:
    forward = load(device)
    return lambda batch: forward(batch) if len(batch[0]) * batch[1] <= tokens else None


@pytest.mark.slow
def test_batches_come_back_in_their_order_and_no_process_is_left(forks: None) -> None:
    with WorkerPool(numbers, ["cpu", "cpu"]) as pool:
        vectors = list(pool.map(([[number]], 16) for number in range(100)))
        assert len(multiprocessing.active_children()) == 2
    assert [int(each[0, 0]) for each in vectors] == list(range(100))
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize(
    ("devices", "match"),
    [
        (["missing"], "^encoding on missing: RuntimeError: no such device$"),
        (["cpu", "cpu"], "^encoding on cpu, cpu: a process ended early; each process needs"),
    ],
)
def test_failure_is_one_line(devices: list[str], match: str, forks: None) -> None:
    with pytest.raises(InputError, match=match), WorkerPool(failing, devices) as pool:
        list(pool.map([([[1]], 16)]))
    assert multiprocessing.active_children() == []


@pytest.mark.slow
def test_two_processes_give_the_bits_of_one_and_halve_the_budget(
    tiny_model: Path, forks: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(batch_runner, "MIN_TEXTS", 30)
    expected = Encoder.load(tiny_model, COMPUTE).encode_documents(TEXTS)
    double = Encoder.load(tiny_model, COMPUTE, devices=["cpu", "cpu"])
    monkeypatch.setattr(double.runner, "forward", None)  # not used
    np.testing.assert_array_equal(double.encode_documents(TEXTS), expected)

    double.runner.pool.load = partial(with_memory_for, 512, double.runner.pool.load)
    double.runner.batching.token_budget = 1024
    np.testing.assert_array_equal(double.encode_documents(TEXTS), expected)
    assert double.runner.batching.token_budget == 512
    assert "out of memory with 1024 tokens per batch; continuing with half" in caplog.text
    assert multiprocessing.active_children() == []


def test_few_texts_start_no_process(tiny_model: Path) -> None:
    expected = Encoder.load(tiny_model, COMPUTE).encode_documents(TEXTS)
    double = Encoder.load(tiny_model, COMPUTE, devices=["missing", "missing"])
    np.testing.assert_array_equal(double.encode_documents(TEXTS), expected)


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_two_gpus_give_the_bits_of_one(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compute = COMPUTE.model_copy(update={"device": "cuda"})
    expected = Encoder.load(tiny_model, compute).encode_documents(TEXTS)
    monkeypatch.setattr(batch_runner, "MIN_TEXTS", 1)
    np.testing.assert_array_equal(Encoder.load(tiny_model, compute).encode_documents(TEXTS), expected)
