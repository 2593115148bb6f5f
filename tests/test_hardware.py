"""Device and number format follow what is there."""

import platform
import subprocess
import sys

import pytest
import torch
from conftest import REPOSITORY

from retune import hardware
from retune.errors import InputError


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
    with pytest.raises(InputError, match="compute.device: expected one of this machine's, cpu, got 'cuda'"):
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


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators are left alone")
def test_memory_of_a_freed_tensor_is_not_cleared_again() -> None:
    code = """
import resource, sys, torch
from retune.hardware import tune_memory
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
