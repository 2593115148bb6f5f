"""Distributions of numbers, summarised for Git: percentiles, and histograms as rows for `dvc plots`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from retune.core.records import DECIMALS


def percentiles(values: Any, percents: Sequence[int]) -> dict[str, float]:
    """Return percentiles by name, such as `p50`, not rounded; an empty dictionary if there are no values."""
    return {f"p{percent}": float(np.percentile(values, percent)) for percent in percents} if len(values) else {}


def rounded(numbers: Mapping[str, float]) -> dict[str, float]:
    """Round numbers to the five decimals of metrics."""
    return {name: round(float(number), DECIMALS) for name, number in numbers.items()}


def histogram(middles: Sequence[float] | np.ndarray, counts: Mapping[str, np.ndarray]) -> list[dict[str, float]]:
    """Return one row per bin: `score`, its middle, and for each kind of pair, the share of its scores in the bin.

    Args:
        middles: The middle of each bin, (bins,).
        counts: For each kind of pair, its number of scores in each bin, (bins,).
    """
    shares = {kind: numbers / max(numbers.sum(), 1) for kind, numbers in counts.items()}
    rows = zip(middles, *shares.values(), strict=True)
    return [rounded(dict(zip(("score", *shares), row, strict=True))) for row in rows]
