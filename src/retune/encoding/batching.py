"""Batches of texts of about one length: their shapes, and what is done when the device runs out of memory."""

import logging
from collections.abc import Sequence
from typing import TypeVar

import torch

from retune.core.errors import InputError
from retune.encoding.batch_invariance import least_stable_rows
from retune.encoding.compute import MIN_TOKEN_BUDGET, Compute

LENGTH_STEP = 16  # batches are padded to a multiple of this many tokens
CPU_TOKENS = 1024  # a batch, for each thread: more is no faster
CPU_MIN_TOKENS = 512  # a batch: from here on, on a CPU, a row may have the same bits among any number of rows
LOG = logging.getLogger(__name__)
Row = TypeVar("Row")


class Batching:
    """The batches that one device runs, such that a row's bits do not depend on the other rows.

    Attributes:
        token_budget: Most tokens in a batch, padding included.
    """

    def __init__(self, compute: Compute, device: torch.device) -> None:
        """Take the budget of `compute`, at most what is of use on the device."""
        self._device = device
        most = CPU_TOKENS * torch.get_num_threads() if device.type == "cpu" else compute.token_budget
        self.token_budget = min(compute.token_budget, most)
        self._least_tokens: int | None = None

    def measure(self, model: torch.nn.Module) -> None:
        """Find out once, on a CPU, how far the last batches of this model must be filled up."""
        if self._device.type == "cpu" and self._least_tokens is None:
            self._least_tokens = least_stable_rows(model, CPU_MIN_TOKENS, self.token_budget)

    def batches(self, lengths: Sequence[int]) -> list[tuple[list[int], int]]:
        """Return what `token_batches` does."""
        return token_batches(lengths, self.token_budget)

    def fill(self, rows: list[Row], length: int) -> list[Row]:
        """Repeat the first row of the last batch of a length: to the shape of the others, or what `measure` found."""
        size = max(1, self.token_budget // length)
        if self._least_tokens is not None:
            size = min(size, -(-self._least_tokens // length))
        return rows + rows[:1] * (size - len(rows))

    def halve(self, length: int) -> None:
        """Go on with smaller batches, which change the last bits, after one of this length found no memory.

        Raises:
            InputError: There is nothing left to halve.
        """
        if self.token_budget < 2 * max(MIN_TOKEN_BUDGET, length):
            raise InputError(
                f"out of memory on {self._device} with {self.token_budget} tokens a batch, the least; "
                "take a shorter maximum length, a smaller model or compute.device: cpu"
            )
        LOG.warning("out of memory with %d tokens a batch; going on with half", self.token_budget)
        self.token_budget //= 2


def token_batches(lengths: Sequence[int], token_budget: int) -> list[tuple[list[int], int]]:
    """Group texts into batches of similar length.

    Args:
        lengths: Each text's length in tokens.
        token_budget: Most tokens in a batch, padding included; a longer text has a batch of its own.

    Returns:
        Batches, longest first: the texts' positions, and the padded length, a multiple of 16.
    """
    buckets: dict[int, list[int]] = {}
    for row, length in enumerate(lengths):
        buckets.setdefault(-(-length // LENGTH_STEP) * LENGTH_STEP, []).append(row)
    batches = []
    for length, rows in sorted(buckets.items(), reverse=True):
        size = max(1, token_budget // length)
        batches += [(rows[start : start + size], length) for start in range(0, len(rows), size)]
    return batches
