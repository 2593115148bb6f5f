"""MPNet's attention on packed rows: transformers gives it no other implementation, so its methods are replaced."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from transformers.models.mpnet.modeling_mpnet import MPNetEncoder, MPNetSelfAttention

from retune.training.packed.attention import attend
from retune.training.packed.rows import Group

PADDING = 1  # the token that positions start after, whatever the configuration says


@contextmanager
def packed_mpnet(model: torch.nn.Module, groups: Sequence[Group]) -> Iterator[None]:
    """Make each MPNet within a model run a packed row of these groups within the `with` block."""
    with ExitStack() as stack:
        for module in model.modules():
            if isinstance(module, MPNetEncoder):
                stack.enter_context(_replaced(module, "compute_position_bias", partial(_biases, module, groups)))
            elif isinstance(module, MPNetSelfAttention):
                stack.enter_context(_replaced(module, "forward", partial(_attention, module, groups)))
        yield


@contextmanager
def _replaced(module: torch.nn.Module, name: str, method: Any) -> Iterator[None]:
    """Replace a method of one module within the `with` block."""
    setattr(module, name, method)
    try:
        yield
    finally:
        delattr(module, name)


def _biases(encoder: Any, groups: Sequence[Group], hidden: torch.Tensor) -> list[torch.Tensor]:
    """Return the position bias of each group; it depends on distances alone, so all are parts of the longest one."""
    longest = hidden.new_empty(1, max(group.length for group in groups))
    bias = MPNetEncoder.compute_position_bias(encoder, longest)  # type: ignore[no-untyped-call]
    return [bias[..., : group.length, : group.length] for group in groups]


def _attention(
    module: Any, groups: Sequence[Group], hidden: torch.Tensor, mask: None, biases: Sequence[torch.Tensor], **_: Any
) -> tuple[torch.Tensor]:
    """Return what a layer's attention adds to its input, (1, tokens, hidden size)."""
    shape = (*hidden.shape[:2], module.num_attention_heads, module.attention_head_size)
    states = [layer(hidden).view(shape).transpose(1, 2) for layer in (module.q, module.k, module.v)]
    dropout = module.dropout.p if module.training else 0.0
    attended = attend(states, groups, scaling=module.attention_head_size**-0.5, dropout=dropout, biases=biases)
    return (module.o(attended.flatten(2)),)
