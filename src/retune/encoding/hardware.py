"""What the machine can do: device and number format, chosen by looking."""

import ctypes
import gc
import os
import platform
from pathlib import Path

import torch

from retune.core.errors import InputError

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's mallopt
KEPT_BYTES = 2**30
FEW_KERNELS, ALL_KERNELS = 16, 1024
MOST_BYTES_BEFORE_2_35 = 2**25  # that glibc takes as M_MMAP_THRESHOLD; it leaves 128 KB if it refuses


def resolve_device(device: str) -> torch.device:
    """Return the device; `auto` is CUDA, else MPS, else CPU.

    Raises:
        InputError: The machine has no such device.
    """
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device != "auto":
        if not available[device]:
            there = ", ".join(name for name, is_there in available.items() if is_there)
            raise InputError(f"params.yaml: compute.device: expected one of this machine's, {there}, got {device!r}")
        return torch.device(device)
    return torch.device(next(name for name in ("cuda", "mps", "cpu") if available[name]))


def describe_device(device: torch.device) -> str:
    """Name a device for people: what computes, and what memory or threads it has."""
    if device.type == "cuda":
        memory_gb = torch.cuda.get_device_properties(device).total_memory / 2**30
        return f"cuda ({torch.cuda.get_device_name(device)}, {memory_gb:.0f} GB)"
    if device.type == "cpu":
        return f"cpu ({processor_name()}, threads: {torch.get_num_threads()})"
    return device.type


def processor_name() -> str:
    """Return what the processor calls itself."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def alike_devices(device: torch.device) -> list[str]:
    """Return the device and, if it is a GPU, all others of its name: only those give the same bits."""
    if device.type != "cuda":
        return [device.type]
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return [f"cuda:{index}" for index, name in enumerate(names) if name == torch.cuda.get_device_name(device)]


def resolve_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """Return the number format; `auto` is bfloat16 where the hardware multiplies it fast, else float32.

    On a CPU that is AMX or AVX512-BF16; without them a bfloat16 matrix product is emulated, hundreds of
    times slower than float32.
    """
    if dtype != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[dtype]
    return torch.bfloat16 if _has_fast_bfloat16(device) else torch.float32


def tune_memory(device: torch.device, num_kernels: int = FEW_KERNELS) -> None:
    """Let this process keep the memory of freed tensors for the next ones, where they are on a CPU under glibc.

    glibc gives large blocks back to the system at once, which then clears every page again: a tenth to a quarter of
    the time of a forward pass. The most memory ever held is the same. oneDNN in turn keeps the last thousand kernels
    it compiled, some 70 MB; batches that come sorted by length need the last few alone.

    Args:
        device: Where the tensors are.
        num_kernels: Most that oneDNN keeps; what the process says first holds.
    """
    if device.type != "cpu":
        return
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(num_kernels))  # read when it compiles the first
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        if not libc.mallopt(M_MMAP_THRESHOLD, KEPT_BYTES):
            libc.mallopt(M_MMAP_THRESHOLD, MOST_BYTES_BEFORE_2_35)
        libc.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)


def release_memory(device: torch.device) -> None:
    """Give memory that nothing uses back to the system, though `tune_memory` keeps it; to be called now and then.

    Models refer to themselves, so that only Python's collector frees them; and blocks of ever other sizes break glibc's
    heap up: over hundreds of training steps the peak would rise by half.
    """
    gc.collect()
    if device.type == "cpu" and platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


def _has_fast_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())
    return False
