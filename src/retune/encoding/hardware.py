"""Choosing a device and a number format for this machine, and tuning its memory allocator."""

import ctypes
import gc
import os
import platform
from pathlib import Path

import torch

from retune.core.errors import InputError

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # parameters of glibc's mallopt
KEPT_BYTES = 2**30
FEW_KERNELS, ALL_KERNELS = 16, 1024
MAX_BYTES_BEFORE_2_35 = 2**25  # largest M_MMAP_THRESHOLD of older glibc; it ignores larger ones and keeps 128 KB


def resolve_device(device: str) -> torch.device:
    """Return the device; `auto` is CUDA, else MPS, else CPU.

    Raises:
        InputError: The machine has no such device.
    """
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device != "auto":
        if not available[device]:
            names = ", ".join(name for name, is_available in available.items() if is_available)
            raise InputError(
                f"params.yaml: compute.device: expected a device of this machine ({names}), got {device!r}; "
                "choose one of these, or auto"
            )
        return torch.device(device)
    return torch.device(next(name for name in ("cuda", "mps", "cpu") if available[name]))


def describe_device(device: torch.device) -> str:
    """Describe a device for people: its name, and its memory or number of threads."""
    if device.type == "cuda":
        memory_gb = torch.cuda.get_device_properties(device).total_memory / 2**30
        return f"cuda ({torch.cuda.get_device_name(device)}, {memory_gb:.0f} GB)"
    if device.type == "cpu":
        return f"cpu ({processor_name()}, threads: {torch.get_num_threads()})"
    return device.type


def processor_name() -> str:
    """Return the processor's name as the system reports it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def alike_devices(device: torch.device) -> list[str]:
    """Return the device and, if it is a GPU, all others of the same name: only those give the same bits."""
    if device.type != "cuda":
        return [device.type]
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return [f"cuda:{index}" for index, name in enumerate(names) if name == torch.cuda.get_device_name(device)]


def resolve_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """Return the number format; `auto` is bfloat16 where the hardware multiplies it fast, else float32.

    A CPU needs AMX or AVX512-BF16 for this. Without them, bfloat16 matrix products are emulated, hundreds of times
    slower than float32.
    """
    if dtype != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[dtype]
    return torch.bfloat16 if has_fast_bfloat16(device) else torch.float32


def tune_memory(device: torch.device, num_kernels: int = FEW_KERNELS) -> None:
    """Make this process reuse the memory of freed tensors, if they are on a CPU and the system uses glibc.

    By default glibc returns large blocks to the system at once, which then clears every page again. That takes a tenth
    to a quarter of a forward pass. Peak memory stays the same. By default oneDNN also keeps the last thousand kernels
    it compiled, some 70 MB; batches sorted by length need only the last few.

    Args:
        device: The device of the tensors.
        num_kernels: How many kernels oneDNN keeps; only the first call of a process sets it.
    """
    if device.type != "cpu":
        return
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(num_kernels))  # read with the first kernel
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        if not libc.mallopt(M_MMAP_THRESHOLD, KEPT_BYTES):
            libc.mallopt(M_MMAP_THRESHOLD, MAX_BYTES_BEFORE_2_35)
        libc.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)


def release_memory(device: torch.device) -> None:
    """Return unused memory to the system, which `tune_memory` holds on to; call this from time to time.

    Models contain reference cycles, so only Python's garbage collector frees them. And blocks of ever-changing sizes
    fragment glibc's heap: over hundreds of training steps, peak memory would rise by half.
    """
    gc.collect()
    if device.type == "cpu" and platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


def has_fast_bfloat16(device: torch.device) -> bool:
    """Return whether the hardware multiplies bfloat16 matrices fast."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())
    return False
