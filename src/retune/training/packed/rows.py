"""Packed rows: texts concatenated instead of padded, for nearly twice as many training steps per second on a CPU.

Attention, which looks at one text at a time, is the only part that still needs padding. Packed rows also have few
different lengths, which saves time, because oneDNN takes some milliseconds to compile a kernel for every new shape.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import pad

ATTENTION_STEP = 32  # attention pads texts to a multiple of this many tokens
ROW_STEP = 512  # rows are filled up to a multiple of this many tokens


@dataclass(frozen=True)
class Group:
    """Neighbouring texts of a packed row that attention pads to one length.

    Attributes:
        num_texts: The number of texts.
        length: Their length in tokens, with padding.
        slots: The slots of their tokens, counted over all padded texts one after another, (tokens,).
        mask: Added to attention scores, (texts, 1, 1, length): 0, or -inf for padding; None: there is no padding.
    """

    num_texts: int
    length: int
    slots: torch.Tensor
    mask: torch.Tensor | None


def packed_batches(lengths: Sequence[int], token_budget: int) -> list[tuple[list[int], int]]:
    """Divide texts into packed rows.

    Args:
        lengths: The length of each text in tokens.
        token_budget: The most tokens in a row before it is filled up; a longer text is a row by itself.

    Returns:
        Rows, each as the positions of its texts, longest first, and its length in tokens when filled up.
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


def pack(texts: Sequence[torch.Tensor], num_tokens: int, padding: int | None) -> dict[str, Any]:
    """Return the features of one packed row, filled up with a dummy text.

    Args:
        texts: The token ids of each text, (length,), in descending order of length.
        num_tokens: The length of the row when filled up.
        padding: The padding token that the model's positions start after; None: they start at 0.
    """
    lengths = list(map(len, texts))
    missing = num_tokens - sum(lengths)
    starts = list(itertools.accumulate(lengths, initial=0))
    positions = torch.cat([_positions(ids, padding) for ids in texts])
    return {
        "input_ids": pad(torch.cat(list(texts)), (0, missing), value=int(texts[0][0]))[None],
        "position_ids": pad(positions, (0, missing), value=int(positions[0]))[None],
        "cu_seq_lens_q": torch.tensor(starts + [num_tokens] * (missing > 0)),  # for Pooling
        "groups": _groups(lengths),  # for attention
    }


def _positions(ids: torch.Tensor, padding: int | None) -> torch.Tensor:
    """Return the position ids of a text's tokens, numbered as the model does it."""
    if padding is None:
        return torch.arange(len(ids))
    is_token = (ids != padding).long()  # the text itself may contain the padding token
    return is_token.cumsum(0) * is_token + padding


def _groups(lengths: Sequence[int]) -> list[Group]:
    groups = []
    for steps, members in itertools.groupby(lengths, key=lambda length: -(-length // ATTENTION_STEP)):
        text_lengths, length = torch.tensor(list(members)), steps * ATTENTION_STEP
        is_token = torch.arange(length) < text_lengths[:, None]
        mask = None if is_token.all() else torch.zeros(is_token.shape).masked_fill(~is_token, -torch.inf)
        mask = mask if mask is None else mask[:, None, None]
        groups.append(Group(len(text_lengths), length, is_token.flatten().nonzero().flatten(), mask))
    return groups
