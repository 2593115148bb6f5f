"""Batch invariance on a CPU: a row's bits must not depend on the other rows of a matrix product."""

import functools
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch

from retune.encoding.packed_linear import is_packed, pack_linear_layers


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


def min_invariant_rows(module: torch.nn.Module, least: int, most: int) -> int:
    """Return the smallest row count from which on the model's matrix products are batch-invariant.

    Math libraries split a product of few rows into other blocks than a product of many, and sum in another order. This
    tries one linear layer of each shape, which takes a third of a second or more. Plain layers are tried with random
    weights, once in a process.

    Args:
        module: The model, on a CPU, in the number format it computes in.
        least: The smallest row count to try.
        most: The row count of a full batch.

    Returns:
        A row count from `least` to `most`.
    """
    found = [layer for layer in module.modules() if isinstance(layer, torch.nn.Linear)]
    layers = {(type(layer), _Kind.of(layer)): layer for layer in found}
    rows = (
        _min_rows_of(kind, least, most) if layer_class is torch.nn.Linear else _min_rows(layer, least, most)
        for (layer_class, kind), layer in layers.items()
    )
    return max(rows, default=least)


class _Kind(NamedTuple):
    """What decides how the product of a linear layer is split into blocks."""

    in_features: int
    out_features: int
    has_bias: bool
    dtype: torch.dtype
    is_packed: bool
    threads: int  # that torch has

    @classmethod
    def of(cls, layer: torch.nn.Linear) -> "_Kind":
        shape = layer.in_features, layer.out_features, layer.bias is not None
        return cls(*shape, layer.weight.dtype, is_packed(layer), torch.get_num_threads())

    @torch.no_grad()
    def layer(self, generator: torch.Generator) -> torch.nn.Linear:
        """Return such a layer with random weights, which leaves torch's own generator alone."""
        layer = torch.nn.Linear(
            self.in_features, self.out_features, bias=self.has_bias, dtype=self.dtype, device="meta"
        ).to_empty(device="cpu")
        for values in layer.parameters():
            values.copy_(torch.randn(values.shape, generator=generator))
        if self.is_packed:
            pack_linear_layers(layer)
        return layer


@functools.cache
def _min_rows_of(kind: _Kind, least: int, most: int) -> int:
    generator = torch.Generator().manual_seed(0)
    return _min_rows(kind.layer(generator), least, most)


@torch.inference_mode()
def _min_rows(layer: torch.nn.Linear, least: int, most: int) -> int:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(most, layer.in_features, generator=generator).to(layer.weight.dtype)
    expected = layer(rows)
    for count in reversed(range(least, most, STEP)):
        for part in (slice(count), slice(most - count, None)):  # a row at two positions
            if not torch.equal(layer(rows[part]), expected[part]):
                return min(most, count + STEP)
    return least
