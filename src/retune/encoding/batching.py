"""Batches of texts of similar length: their shapes, and what happens when the device runs out of memory."""

import logging
from collections.abc import Sequence
from typing import TypeVar

import torch

from retune.core.errors import InputError
from retune.encoding.batch_invariance import min_invariant_rows
from retune.encoding.compute import MIN_TOKEN_BUDGET, Compute
from retune.encoding.onnx_transformer import OnnxTransformer

LENGTH_STEP = 16  # batches are padded to a multiple of this many tokens
CPU_TOKENS = 1024  # tokens in a batch per thread; more are no faster
CPU_MIN_TOKENS = 512  # tokens in a batch; below this, no batch is batch-invariant on a CPU
LOG = logging.getLogger(__name__)
Item = TypeVar("Item")


class Batching:
    """Forms the batches that one device runs, such that a row's bits do not depend on the other rows.

    Attributes:
        token_budget: The most tokens in a batch, padding included.
    """

    def __init__(self, compute: Compute, device: torch.device) -> None:
        """Take the token budget of `compute`, or less where the device is no faster with more."""
        self._device = device
        most = CPU_TOKENS * torch.get_num_threads() if device.type == "cpu" else compute.token_budget
        self.token_budget = min(compute.token_budget, most)
        self._min_tokens: int | None = None

    def measure(self, model: torch.nn.Module) -> None:
        """Measure once, on a CPU, how many tokens a batch of this model must have to be batch-invariant."""
        if self._device.type == "cpu" and self._min_tokens is None:
            runs_one_by_one = isinstance(model, OnnxTransformer)  # so there is nothing to fill up
            least = 0 if runs_one_by_one else min_invariant_rows(model, CPU_MIN_TOKENS, self.token_budget)
            self._min_tokens = least

    def leave_short(self) -> None:
        """Fill up no batch from now on: a lone text is faster, and the last bits of a vector depend on other texts."""
        self._min_tokens = 0

    def batches(self, lengths: Sequence[int]) -> list[tuple[list[int], int]]:
        """Return the result of `token_batches` for this token budget."""
        return token_batches(lengths, self.token_budget)

    def fill(self, rows: list[Item], length: int) -> list[Item]:
        """Fill up a batch by repeating its first row: to a full batch, or as far as `measure` found necessary."""
        size = max(1, self.token_budget // length)
        if self._min_tokens is not None:
            size = min(size, -(-self._min_tokens // length))
        return rows + rows[:1] * (size - len(rows))

    def halve(self, length: int) -> None:
        """Halve the token budget after a batch of this length ran out of memory; the last bits of vectors change.

        Raises:
            InputError: The token budget is already as small as it can be.
        """
        if self.token_budget < 2 * max(MIN_TOKEN_BUDGET, length):
            raise InputError(
                f"out of memory on {self._device} with {self.token_budget} tokens per batch, the minimum; "
                "use a shorter maximum length, a smaller model or compute.device: cpu"
            )
        LOG.warning("out of memory with %d tokens per batch; continuing with half as many", self.token_budget)
        self.token_budget //= 2


def token_batches(lengths: Sequence[int], token_budget: int) -> list[tuple[list[int], int]]:
    """Group texts into batches of similar length.

    Args:
        lengths: The length of each text in tokens.
        token_budget: The most tokens in a batch, padding included; a longer text is a batch by itself.

    Returns:
        Batches, longest first: the positions of the texts, and the padded length, a multiple of 16.
    """
    buckets: dict[int, list[int]] = {}
    for row, length in enumerate(lengths):
        buckets.setdefault(-(-length // LENGTH_STEP) * LENGTH_STEP, []).append(row)
    batches = []
    for length, rows in sorted(buckets.items(), reverse=True):
        size = max(1, token_budget // length)
        batches += [(rows[start : start + size], length) for start in range(0, len(rows), size)]
    return batches
