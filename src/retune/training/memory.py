"""Memory: how much training takes, and what to do when there is too little."""

import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from sentence_transformers import SentenceTransformer

from retune.core.errors import InputError
from retune.encoding.compute import MIN_TOKEN_BUDGET
from retune.params.finetune import Finetune

GB = 2**30
TRAINED_BYTES = 12  # per trained parameter: its gradient and AdamW's two moments, in float32
RANK = 16  # the rank of the adapter suggested


def peak_gb(device: torch.device) -> float:
    """Return this process's peak memory in GB: of the GPU if it uses one, otherwise resident memory."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / GB
    unit = 1 if sys.platform == "darwin" else 1024  # the unit of ru_maxrss in bytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / GB


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error is a lack of memory; on a CPU, torch raises a plain RuntimeError for it."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "DefaultCPUAllocator" in str(error)


@contextmanager
def advice_if_out_of_memory(advice: Callable[[], str]) -> Iterator[None]:
    """Raise an InputError with a line of advice if the `with` block runs out of memory."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise InputError(advice()) from None


def memory_advice(model: SentenceTransformer, params: Finetune, token_budget: int) -> str:
    """Return one line that says what ran out of memory, what takes how much, and which parameters to change."""
    num_trained = sum(values.numel() for values in model.parameters() if values.requires_grad)
    change = [] if params.gradient_caching else ["gradient_caching: true"]
    if token_budget > MIN_TOKEN_BUDGET:
        change.append(f"{'' if params.gradient_caching else 'with it '}compute.token_budget: {_half(token_budget)}")
    adapter = ""
    if params.method == "full":
        adapter = f" ({TRAINED_BYTES * _num_lora(model) / GB:.2g} GB with method: lora, rank {RANK})"
    if params.batch_size > 1 and not params.gradient_caching:
        change.append(f"batch_size: {params.batch_size // 2}")
    return (
        f"out of memory on {model.device.type} with batch_size {params.batch_size} and {token_budget} tokens per "
        f"forward pass; gradients and AdamW's state of {num_trained / 1e6:.3g} million trained parameters take "
        f"{TRAINED_BYTES * num_trained / GB:.2g} GB{adapter}; set {', or '.join(change) or 'shorter maximum lengths'}"
    )


def _half(token_budget: int) -> int:
    return max(MIN_TOKEN_BUDGET, token_budget // 2)


def _num_lora(model: SentenceTransformer) -> int:
    """Count the parameters of an adapter on all linear layers."""
    layers = [layer for layer in model.modules() if isinstance(layer, torch.nn.Linear)]
    return RANK * sum(layer.in_features + layer.out_features for layer in layers)
