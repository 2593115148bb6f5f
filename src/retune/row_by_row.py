"""Layers that read one row for each text, made to give a row the same bits wherever it stands in the batch."""

from collections.abc import Iterable
from typing import Any

import torch


def multiply_row_by_row(modules: Iterable[torch.nn.Module]) -> None:
    """Let linear layers take rows one by one, on a CPU, where their input is (texts, features).

    A product of few rows is cut into blocks whose sums run in another order each; with as many rows as a batch has
    tokens it is not. So this is for what comes after pooling: heads and dense modules.
    """
    for module in modules:
        for layer in module.modules():
            if isinstance(layer, torch.nn.Linear):
                layer.register_forward_hook(_one_by_one)


def _one_by_one(layer: Any, inputs: tuple[torch.Tensor], output: torch.Tensor) -> torch.Tensor | None:
    rows = inputs[0]
    if rows.dim() != 2 or rows.device.type != "cpu":
        return None
    return torch.stack([torch.nn.functional.linear(row, layer.weight, layer.bias) for row in rows])
