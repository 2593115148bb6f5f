"""Linear layers whose weights lie in memory as oneDNN multiplies them, instead of being reordered at every call."""

import platform
from collections.abc import Callable

import torch

TYPICAL_ROWS = 2048  # tokens of a batch, which the order of the weights is chosen for
MOST_BYTES = 2**29  # of weights that are held twice for 7 % of the time


def pack_linear_layers(module: torch.nn.Module) -> None:
    """Let a module's linear layers multiply with packed weights, where it is on an x86 CPU; only for inference.

    The weights stay as they are beside the packed ones, for whoever looks at them, so a large model is left alone. This
    is what torch.compile does to a frozen model on a CPU.
    """
    dtypes = _dtypes()
    layers = [layer for layer in module.modules() if type(layer) is torch.nn.Linear]
    if sum(layer.weight.nbytes for layer in layers) > MOST_BYTES:
        return
    for layer in layers:
        if layer.weight.device.type == "cpu" and layer.weight.dtype in dtypes:
            layer.forward = _packed(layer)  # type: ignore[method-assign, assignment]


def _dtypes() -> list[torch.dtype]:
    """Return the number formats whose weights oneDNN packs here; bfloat16 takes more than AVX2."""
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
