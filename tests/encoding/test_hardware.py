"""Device and number format follow what is there."""

import ctypes
import os
import platform
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from retune.core.errors import InputError
from retune.encoding import hardware
from tests.support.repository import REPOSITORY


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"),
    [(True, False, "cuda"), (True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_auto_is_the_fastest_device_there(
    cuda: bool, mps: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert hardware.resolve_device("auto").type == expected
    assert hardware.resolve_device("cpu").type == "cpu"


def test_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(InputError, match=r"compute.device: expected a device of this machine \(cpu\), got 'cuda'"):
        hardware.resolve_device("cuda")


@pytest.mark.parametrize(
    ("amx", "avx512", "expected"), [(True, False, "bfloat16"), (False, True, "bfloat16"), (False, False, "float32")]
)
def test_cpu_uses_bfloat16_only_where_it_is_fast(
    amx: bool, avx512: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    assert hardware.resolve_dtype("auto", torch.device("cpu")) is getattr(torch, expected)
    assert hardware.resolve_dtype("float32", torch.device("cpu")) is torch.float32


def test_gpus_of_the_same_name_work_together(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["big", "small", "big"]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(names))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: names[getattr(device, "index", device) or 0])
    assert hardware.alike_devices(torch.device("cuda")) == ["cuda:0", "cuda:2"]
    assert hardware.alike_devices(torch.device("cpu")) == ["cpu"]


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators are left alone")
def test_memory_of_a_freed_tensor_is_not_cleared_again() -> None:
    code = """
import resource, sys, torch
from retune.encoding.hardware import tune_memory
if sys.argv[1] == "keep":
    tune_memory(torch.device("cpu"))
def fill():
    return [torch.empty(3 * 2**20).fill_(1.0) for _ in range(10)]  # of 12 MB, held together and freed together
fill(), fill()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    fill()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    faults = {
        mode: int(
            subprocess.check_output([sys.executable, "-c", code, mode], env={"PYTHONPATH": "src"}, cwd=REPOSITORY)
        )
        for mode in ("keep", "plain")
    }
    assert faults["keep"] < faults["plain"] / 10


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators are left alone")
def test_memory_that_nothing_uses_goes_back_to_the_system() -> None:
    code = """
import psutil, torch
from retune.encoding.hardware import release_memory, tune_memory
class Circle:
    def __init__(self):
        self.me, self.tensor = self, torch.ones(10 * 2**20)  # of 40 MB
def resident_mb():
    return psutil.Process().memory_info().rss / 2**20
tune_memory(torch.device("cpu"))
circles = [Circle() for _ in range(10)]
last = torch.ones(10 * 2**20)  # the end of the heap, above what will be free
full = resident_mb()
del circles
kept = resident_mb()
release_memory(torch.device("cpu"))
print(full - kept, full - resident_mb(), last.sum().item())
"""
    output = subprocess.check_output([sys.executable, "-c", code], env={"PYTHONPATH": "src"}, cwd=REPOSITORY)
    before, after, _ = map(float, output.split())
    assert before < 50
    assert after > 350


@pytest.fixture
def mallopt(monkeypatch: pytest.MonkeyPatch) -> dict[int, int]:
    """Stand in for a glibc before 2.35, which refuses to keep blocks of more than 32 MB."""
    kept: dict[int, int] = {}

    def call(name: int, value: int) -> int:
        if name == hardware.M_MMAP_THRESHOLD and value > 2**25:
            return 0
        kept[name] = value
        return 1

    monkeypatch.setattr(platform, "libc_ver", lambda: ("glibc", "2.31"))
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace(mallopt=call))
    monkeypatch.setattr(os, "environ", os.environ.copy())
    os.environ.pop("ONEDNN_PRIMITIVE_CACHE_CAPACITY", None)
    return kept


def test_older_glibc_keeps_as_much_as_it_can(mallopt: dict[int, int]) -> None:
    hardware.tune_memory(torch.device("cpu"))
    assert mallopt == {hardware.M_MMAP_THRESHOLD: 2**25, hardware.M_TRIM_THRESHOLD: 2**30}


def test_memory_is_left_alone_off_the_cpu_and_under_another_libc(
    mallopt: dict[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    hardware.tune_memory(torch.device("cuda"))
    assert "ONEDNN_PRIMITIVE_CACHE_CAPACITY" not in os.environ
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    hardware.tune_memory(torch.device("cpu"))
    assert mallopt == {}


def test_number_of_kernels_kept_is_small_unless_the_user_says_otherwise(
    mallopt: dict[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    hardware.tune_memory(torch.device("cpu"))
    assert os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] == "16"
    monkeypatch.setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "100")
    hardware.tune_memory(torch.device("cpu"))
    assert os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] == "100"
