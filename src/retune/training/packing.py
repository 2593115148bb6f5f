"""Texts one behind the other in a row instead of padded to one length: nearly twice as many training steps a second.

On a CPU oneDNN compiles a kernel for every shape it meets, at some milliseconds each. Rows of few lengths need few;
only attention, which looks at one text at a time, is padded.
"""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad
from transformers import AttentionInterface, PreTrainedConfig
from transformers.masking_utils import AttentionMaskInterface

from retune.params.finetune import Finetune

PACKED = "packed"  # our attention code, as transformers names it
WITH_OFFSET = {"bert": False, "roberta": True, "xlm-roberta": True}  # do positions start behind the padding token's id?
CHECKPOINTING = ("gradient_checkpointing", "activation_checkpointing")  # training arguments: two names of one thing
ATTENTION_STEP = 32  # attention runs over texts padded to a multiple of this many tokens
ROW_STEP = 512  # rows are filled up to a multiple of this many tokens


@dataclass(frozen=True)
class Group:
    """Neighbours in a row that attention pads to one length.

    Attributes:
        num_texts: How many.
        length: In tokens, with padding.
        places: Of their tokens among all places of the padded texts, (tokens,).
        mask: To be added to scores, (texts, 1, 1, length): 0, or -inf at padding; None: there is none.
    """

    num_texts: int
    length: int
    places: torch.Tensor
    mask: torch.Tensor | None


def config_to_pack(model: SentenceTransformer, params: Finetune) -> PreTrainedConfig | None:
    """Return the configuration of a model that runs packed rows in this run, else None.

    It is of BERT's kind, with pooling, and trains on a CPU; its attention is left to us, and none but gradient caching
    runs passes again in backward.
    """
    transformer, pooling, *_ = [*model, None]  # some models are one module
    if not isinstance(transformer, Transformer) or not isinstance(pooling, Pooling):
        return None
    config: PreTrainedConfig = transformer.model.config
    is_encoder = config.model_type in WITH_OFFSET and not config.is_decoder
    stays_on_cpu = model.device.type == "cpu" and not params.is_sharded
    is_free = params.attention == "auto" and not any(params.trainer.get(name) for name in CHECKPOINTING)
    return config if is_encoder and stays_on_cpu and is_free else None


def packed_batches(lengths: Sequence[int], token_budget: int) -> list[tuple[list[int], int]]:
    """Fill rows with texts.

    Args:
        lengths: Each text's length in tokens.
        token_budget: Most tokens in a row before it is filled up; a longer text has one of its own.

    Returns:
        Rows: their texts' positions, longest first, and how many tokens they have when filled up.
    """
    rows: list[list[int]] = []
    free = 0
    for position in sorted(range(len(lengths)), key=lambda position: -lengths[position]):
        if lengths[position] > free:
            rows.append([])
            free = token_budget
        rows[-1].append(position)
        free -= lengths[position]
    return [(row, -(-sum(lengths[position] for position in row) // ROW_STEP) * ROW_STEP) for row in rows]


def pack(texts: Sequence[torch.Tensor], num_tokens: int, config: PreTrainedConfig) -> dict[str, Any]:
    """Return the features of one row of texts, with a last one that only fills it up.

    Args:
        texts: Token ids of each, (length,), in descending order of length.
        num_tokens: Of the row, filled up.
        config: Of the model.
    """
    lengths = list(map(len, texts))
    missing = num_tokens - sum(lengths)
    starts = list(itertools.accumulate(lengths, initial=0))
    positions = torch.cat([_positions(ids, config) for ids in texts])
    return {
        "input_ids": pad(torch.cat(list(texts)), (0, missing), value=int(texts[0][0]))[None],
        "position_ids": pad(positions, (0, missing), value=int(positions[0]))[None],
        "cu_seq_lens_q": torch.tensor(starts + [num_tokens] * (missing > 0)),  # for Pooling
        "groups": _groups(lengths),  # for attention
    }


def _positions(ids: torch.Tensor, config: PreTrainedConfig) -> torch.Tensor:
    """Return the positions of a text's tokens as the model itself numbers them."""
    if not WITH_OFFSET[config.model_type]:
        return torch.arange(len(ids))
    padding = int(config.pad_token_id)
    is_token = (ids != padding).long()  # a text may spell it out
    return is_token.cumsum(0) * is_token + padding


@contextmanager
def packed_attention(config: PreTrainedConfig) -> Iterator[None]:
    """Let a model of this configuration run rows of `pack`."""
    usual = config._attn_implementation
    config._attn_implementation = PACKED
    try:
        yield
    finally:
        config._attn_implementation = usual


def _groups(lengths: Sequence[int]) -> list[Group]:
    groups = []
    for steps, members in itertools.groupby(lengths, key=lambda length: -(-length // ATTENTION_STEP)):
        each, length = torch.tensor(list(members)), steps * ATTENTION_STEP
        is_token = torch.arange(length) < each[:, None]
        mask = None if is_token.all() else torch.zeros(is_token.shape).masked_fill(~is_token, -torch.inf)
        mask = mask if mask is None else mask[:, None, None]
        groups.append(Group(len(each), length, is_token.flatten().nonzero().flatten(), mask))
    return groups


def _attention(
    module: torch.nn.Module, *inputs: Any, scaling: float, dropout: float, groups: Sequence[Group], **_: Any
) -> tuple[torch.Tensor, None]:
    """Return softmax(scaling * Q K^T) V of each text, (1, tokens, heads, dim), of (1, heads, tokens, dim) each."""
    heads, num_tokens, dim = inputs[0].shape[1:]
    sizes = [len(group.places) for group in groups]
    sizes.append(num_tokens - sum(sizes))
    flat = (states.transpose(1, 2).reshape(num_tokens, heads * dim).split(sizes) for states in inputs[:3])
    out = []
    for group, *parts in zip(groups, *flat, strict=False):  # what fills up the row has no group
        q, k, v = (_pad(part, group).view(group.num_texts, -1, heads, dim).transpose(1, 2) for part in parts)
        scores = q @ k.transpose(2, 3) * scaling
        if group.mask is not None:
            scores = scores + group.mask.to(scores.dtype)
        weights = torch.dropout(scores.softmax(dim=-1), dropout, train=True)
        out.append(_unpad((weights @ v).transpose(1, 2).reshape(-1, heads * dim), group))
    out.append(out[0].new_zeros(sizes[-1], heads * dim))
    return torch.cat(out).view(1, num_tokens, heads, dim), None


def _pad(values: torch.Tensor, group: Group) -> torch.Tensor:
    if group.mask is None:
        return values
    spread = _Spread.apply(values, group.places, group.mask.numel())  # type: ignore[no-untyped-call]
    return cast(torch.Tensor, spread)


def _unpad(values: torch.Tensor, group: Group) -> torch.Tensor:
    if group.mask is None:
        return values
    return cast(torch.Tensor, _Collect.apply(values, group.places))  # type: ignore[no-untyped-call]


def _spread(values: torch.Tensor, places: torch.Tensor, num_places: int) -> torch.Tensor:
    return values.new_zeros(num_places, values.shape[1]).index_copy_(0, places, values)


class _Spread(torch.autograd.Function):
    """Rows to their places, zeros to all others; torch's own gradient of an index adds up, as if places came twice."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, places: torch.Tensor, num_places: int) -> torch.Tensor:
        ctx.save_for_backward(places)
        return _spread(values, places, num_places)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return gradient.index_select(0, ctx.saved_tensors[0]), None, None


class _Collect(torch.autograd.Function):
    """Rows from their places."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(places)
        ctx.num_places = len(values)
        return values.index_select(0, places)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return _spread(gradient, ctx.saved_tensors[0], ctx.num_places), None


AttentionInterface.register(PACKED, _attention)
AttentionMaskInterface.register(PACKED, lambda *_, **__: None)
