"""The group of processes of one training: ranks, shares of the work, and communication."""

import logging
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist

TIMEOUT = timedelta(days=7)  # long, as all wait while the main process scores; they notice at once if one ends
Value = TypeVar("Value")


@contextmanager
def joined(device: torch.device) -> Iterator[None]:
    """Join the processes that torchrun started, if it did; then only the main process logs its progress."""
    if "LOCAL_RANK" not in os.environ:
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated")  # accelerate still uses this name
    dist.init_process_group(timeout=TIMEOUT)
    if rank() > 0:
        logging.getLogger("retune").setLevel(logging.ERROR)
    yield
    dist.destroy_process_group()


def rank() -> int:
    """Return the number of this process; 0 is the main process, which scores and writes."""
    return dist.get_rank() if dist.is_initialized() else 0


def num_processes() -> int:
    """Return the number of processes of the training, on all machines."""
    return dist.get_world_size() if dist.is_initialized() else 1


def wait() -> None:
    """Wait until all processes have called this."""
    if dist.is_initialized():
        dist.barrier()


def from_main(compute: Callable[[], Value]) -> Value:
    """Compute a value in the main process, and return it in every process."""
    if not dist.is_initialized():
        return compute()
    box: list[Any] = [compute() if rank() == 0 else None]
    dist.broadcast_object_list(box, device=torch.device("cpu"))
    value: Value = box[0]
    return value


def shares(lengths: Sequence[int], count: int) -> list[list[int]]:
    """Divide texts among processes, with about as many tokens for each; return their positions in ascending order."""
    longest_first = sorted(range(len(lengths)), key=lambda position: -lengths[position])
    return [sorted(longest_first[number::count]) for number in range(count)]


def gather(local: torch.Tensor, positions: Sequence[Sequence[int]]) -> torch.Tensor:
    """Return the vectors of all processes, (texts, dim), in the order of the texts.

    All processes compute the same loss, but the gradient of a process reaches only the texts that it encoded itself.
    The trainer averages the gradients of the processes. They are scaled up here, so that the average is the gradient
    that a single process would get from all texts.

    Args:
        local: The vectors of the texts that this process encoded, (texts, dim).
        positions: For each process, the positions of its texts, in the order it encodes them.
    """
    vectors = [local]
    if len(positions) > 1:
        padded = local.new_zeros(max(map(len, positions)), local.shape[1])
        padded[: len(local)] = local.detach()
        parts = [torch.empty_like(padded) for _ in positions]
        dist.all_gather(parts, padded)
        vectors = [part[: len(texts)] for part, texts in zip(parts, positions, strict=True)]
        local.register_hook(lambda gradient: gradient * len(positions))  # type: ignore[no-untyped-call]
        vectors[rank()] = local
    order = torch.tensor([position for texts in positions for position in texts], device=local.device)
    return torch.cat(vectors)[torch.argsort(order)]
