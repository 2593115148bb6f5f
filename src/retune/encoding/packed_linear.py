"""Linear layers with packed weights: stored in oneDNN's layout once instead of being reordered at every call."""

import platform
from collections.abc import Callable

import torch

TYPICAL_ROWS = 2048  # tokens in a batch; oneDNN chooses the layout for this size
MAX_BYTES = 2**29  # the weights are in memory twice, to save 7 % of the time


def pack_linear_layers(module: torch.nn.Module) -> None:
    """Make a module's linear layers multiply with packed weights on an x86 CPU; only for inference.

    The original weights stay in memory beside the packed ones, so large models are left unchanged. torch.compile does
    the same to a frozen model on a CPU.
    """
    dtypes = _dtypes()
    layers = [layer for layer in module.modules() if type(layer) is torch.nn.Linear]
    if sum(layer.weight.nbytes for layer in layers) > MAX_BYTES:
        return
    for layer in layers:
        if layer.weight.device.type == "cpu" and layer.weight.dtype in dtypes:
            layer.forward = _packed(layer)  # type: ignore[method-assign, assignment]


def is_packed(layer: torch.nn.Linear) -> bool:
    """Return whether a layer multiplies with packed weights."""
    return "forward" in vars(layer)


def _dtypes() -> list[torch.dtype]:
    """Return the number formats in which oneDNN packs weights on this CPU; bfloat16 needs more than AVX2."""
    if not torch._C._has_mkldnn or platform.machine().lower() not in ("x86_64", "amd64"):
        return []
    return [torch.float32, torch.bfloat16] if torch.ops.mkldnn._is_mkldnn_bf16_supported() else [torch.float32]


def _packed(layer: torch.nn.Linear) -> Callable[[torch.Tensor], torch.Tensor]:
    weight = torch.ops.mkldnn._reorder_linear_weight(layer.weight.data, TYPICAL_ROWS)
    multiply = torch.ops.mkldnn._linear_pointwise

    def forward(values: torch.Tensor) -> torch.Tensor:
        product: torch.Tensor = multiply(values, weight, layer.bias, "none", [], "")
        return product

    return forward
