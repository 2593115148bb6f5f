"""Several processes of one run: what each does, and what they tell each other."""

import logging
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist

WAIT = timedelta(days=7)  # others wait while the main process scores; of one that ends they hear at once
Value = TypeVar("Value")


@contextmanager
def joined(device: torch.device) -> Iterator[None]:
    """Join the processes that torchrun started, if it did; only the main one then tells how it goes."""
    if "LOCAL_RANK" not in os.environ:
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated")  # accelerate knows no other name for it
    dist.init_process_group(timeout=WAIT)
    if rank() > 0:
        logging.getLogger("retune").setLevel(logging.ERROR)
    yield
    dist.destroy_process_group()


def rank() -> int:
    """Return this process's number; 0 is the main one, which scores and writes."""
    return dist.get_rank() if dist.is_initialized() else 0


def num_processes() -> int:
    """Return the number of processes of the run, on all machines."""
    return dist.get_world_size() if dist.is_initialized() else 1


def wait() -> None:
    """Wait until all processes are here."""
    if dist.is_initialized():
        dist.barrier()


def from_main(compute: Callable[[], Value]) -> Value:
    """Return in every process what the main one computes."""
    if not dist.is_initialized():
        return compute()
    box: list[Any] = [compute() if rank() == 0 else None]
    dist.broadcast_object_list(box, device=torch.device("cpu"))
    value: Value = box[0]
    return value


def shares(lengths: Sequence[int], count: int) -> list[list[int]]:
    """Divide texts among processes such that each has about as many tokens; return positions, in ascending order."""
    longest_first = sorted(range(len(lengths)), key=lambda position: -lengths[position])
    return [sorted(longest_first[number::count]) for number in range(count)]


def gather(own: torch.Tensor, positions: Sequence[Sequence[int]]) -> torch.Tensor:
    """Return the vectors of all processes, (texts, dim), in the order of the texts.

    Each process computes the same loss of them, and its gradient reaches what it encoded itself. The trainer takes the
    mean of the processes' gradients; scaled up here, it is the gradient of one process with all texts.

    Args:
        own: What this process encoded, (texts, dim).
        positions: Of the texts of each process, in the order it encodes them.
    """
    vectors = [own]
    if len(positions) > 1:
        padded = own.new_zeros(max(map(len, positions)), own.shape[1])
        padded[: len(own)] = own.detach()
        parts = [torch.empty_like(padded) for _ in positions]
        dist.all_gather(parts, padded)
        vectors = [part[: len(texts)] for part, texts in zip(parts, positions, strict=True)]
        own.register_hook(lambda gradient: gradient * len(positions))  # type: ignore[no-untyped-call]
        vectors[rank()] = own
    order = torch.tensor([position for texts in positions for position in texts], device=own.device)
    return torch.cat(vectors)[torch.argsort(order)]
