"""Batch invariance on a CPU: a row's bits must not depend on the other rows of a matrix product."""

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


STEP = 144  # rows between two numbers that are tried: where bits differ, they differ over 190 numbers or more


@torch.inference_mode()
def least_stable_rows(module: torch.nn.Module, least: int, most: int) -> int:
    """Find it out by trying each linear layer, of equal shapes one; it takes a third of a second or more.

    A library cuts a product of few rows into other blocks than one of many, and sums in another order.

    Args:
        module: The model, on a CPU, in the number format it computes in.
        least: The fewest rows to try.
        most: Rows of a whole batch.

    Returns:
        A number of rows from `least` to `most`.
    """
    layers = {
        (layer.in_features, layer.out_features): layer
        for layer in module.modules()
        if isinstance(layer, torch.nn.Linear)
    }
    for layer in layers.values():
        least = _least(layer, least, most)
    return least


def _least(layer: torch.nn.Linear, least: int, most: int) -> int:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(most, layer.in_features, generator=generator).to(layer.weight.dtype)  # in bfloat16 few bits tell
    expected = layer(rows)
    for count in reversed(range(least, most, STEP)):
        for part in (slice(count), slice(most - count, None)):  # a row at two places
            if not torch.equal(layer(rows[part]), expected[part]):
                return min(most, count + STEP)
    return least
