"""Attention within each text of a packed row."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch.autograd.function import once_differentiable

from retune.training.packed.rows import Group


def attend(
    states: Sequence[torch.Tensor],
    groups: Sequence[Group],
    *,
    scaling: float,
    dropout: float,
    biases: Sequence[torch.Tensor | None] | None = None,
) -> torch.Tensor:
    """Return softmax(scaling * Q K^T + B) V for each text of a packed row, (1, tokens, heads, dim).

    Args:
        states: Q, K and V, (1, heads, tokens, dim) each.
        groups: The texts of the row; what follows them gets zeros.
        scaling: What the products of Q and K are multiplied with.
        dropout: The share of attention weights that are dropped.
        biases: B for each group, (1, heads, length, length); None: 0.
    """
    heads, num_tokens, dim = states[0].shape[1:]
    sizes = [len(group.slots) for group in groups]
    sizes.append(num_tokens - sum(sizes))
    flat = (part.transpose(1, 2).reshape(num_tokens, heads * dim) for part in states)
    split = (torch.split(part, sizes) for part in flat)
    out = []
    for group, bias, *parts in zip(groups, biases or [None] * len(groups), *split, strict=False):  # not for the dummy
        q, k, v = (_pad(part, group).view(group.num_texts, -1, heads, dim).transpose(1, 2) for part in parts)
        scores = q @ k.transpose(2, 3) * scaling
        for added in (bias, group.mask):
            if added is not None:
                scores = scores + added.to(scores.dtype)
        weights = torch.dropout(scores.softmax(dim=-1), dropout, train=True)
        out.append(_unpad((weights @ v).transpose(1, 2).reshape(-1, heads * dim), group))
    out.append(out[0].new_zeros(sizes[-1], heads * dim))
    return torch.cat(out).view(1, num_tokens, heads, dim)


def _pad(values: torch.Tensor, group: Group) -> torch.Tensor:
    if group.mask is None:
        return values
    spread = _Spread.apply(values, group.slots, group.mask.numel())  # type: ignore[no-untyped-call]
    return cast(torch.Tensor, spread)


def _unpad(values: torch.Tensor, group: Group) -> torch.Tensor:
    if group.mask is None:
        return values
    return cast(torch.Tensor, _Collect.apply(values, group.slots))  # type: ignore[no-untyped-call]


def _spread(values: torch.Tensor, slots: torch.Tensor, num_slots: int) -> torch.Tensor:
    return values.new_zeros(num_slots, values.shape[1]).index_copy_(0, slots, values)


class _Spread(torch.autograd.Function):
    """Puts rows into their slots, and zeros into all others.

    The gradient is simpler than that of torch's indexing, which has to add up slots that come twice.
    """

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, slots: torch.Tensor, num_slots: int) -> torch.Tensor:
        ctx.save_for_backward(slots)
        return _spread(values, slots, num_slots)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return gradient.index_select(0, ctx.saved_tensors[0]), None, None


class _Collect(torch.autograd.Function):
    """Takes rows out of their slots."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, slots: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(slots)
        ctx.num_slots = len(values)
        return values.index_select(0, slots)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return _spread(gradient, ctx.saved_tensors[0], ctx.num_slots), None
