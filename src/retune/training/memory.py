"""What memory training takes, and what to do when there is too little."""

import resource
import sys

import torch
from sentence_transformers import SentenceTransformer

from retune.encoding.compute import MIN_TOKEN_BUDGET
from retune.params.finetune import Finetune

GB = 2**30
TRAINED_BYTES = 12  # of a trained parameter: its gradient and the two moments of AdamW, in float32
RANK = 16  # of the adapter that is offered


def peak_gb(device: torch.device) -> float:
    """Return the most memory this process has held: of the GPU, else resident."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / GB
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / GB


def is_out_of_memory(error: BaseException) -> bool:
    """Tell a lack of memory from other errors; on a CPU torch raises a RuntimeError of no class of its own."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "DefaultCPUAllocator" in str(error)


def memory_advice(model: SentenceTransformer, params: Finetune, token_budget: int) -> str:
    """Return one line: what ran out, what takes how much, and what to set."""
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
        f"out of memory on {model.device.type} with batch_size {params.batch_size} and {token_budget} tokens a forward "
        f"pass; gradients and AdamW's state of {num_trained / 1e6:.3g} million trained parameters take "
        f"{TRAINED_BYTES * num_trained / GB:.2g} GB{adapter}; set {', or '.join(change) or 'shorter maximum lengths'}"
    )


def _half(token_budget: int) -> int:
    return max(MIN_TOKEN_BUDGET, token_budget // 2)


def _num_lora(model: SentenceTransformer) -> int:
    """Count the parameters of an adapter on all linear layers."""
    layers = [layer for layer in model.modules() if isinstance(layer, torch.nn.Linear)]
    return RANK * sum(layer.in_features + layer.out_features for layer in layers)
