"""Batch invariance on a CPU: a row's bits must not depend on the other rows of a matrix product."""

from collections.abc import Iterable
from typing import Any

import torch


def multiply_row_by_row(modules: Iterable[torch.nn.Module]) -> None:
    """Make layers after pooling batch-invariant on a CPU: linear layers multiply (texts, features) one row at a time.

    In a product of few rows, the order of summation depends on how many there are. A batch has enough tokens to avoid
    this, so only the layers after pooling need it: heads and dense modules.
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


STEP = 144  # distance between the row counts tried; where bits differ, they do so for at least 190 row counts in a row


@torch.inference_mode()
def min_invariant_rows(module: torch.nn.Module, least: int, most: int) -> int:
    """Return the smallest row count from which on the model's matrix products are batch-invariant.

    Math libraries split a product of few rows into other blocks than a product of many, and sum in another order. This
    tries one linear layer of each shape, which takes a third of a second or more.

    Args:
        module: The model, on a CPU, in the number format it computes in.
        least: The smallest row count to try.
        most: The row count of a full batch.

    Returns:
        A row count from `least` to `most`.
    """
    layers = {
        (layer.in_features, layer.out_features): layer
        for layer in module.modules()
        if isinstance(layer, torch.nn.Linear)
    }
    for layer in layers.values():
        least = _min_rows(layer, least, most)
    return least


def _min_rows(layer: torch.nn.Linear, least: int, most: int) -> int:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(most, layer.in_features, generator=generator).to(layer.weight.dtype)
    expected = layer(rows)
    for count in reversed(range(least, most, STEP)):
        for part in (slice(count), slice(most - count, None)):  # a row at two positions
            if not torch.equal(layer(rows[part]), expected[part]):
                return min(most, count + STEP)
    return least
