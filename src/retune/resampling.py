"""How far a mean over the queries may be off: the percentile bootstrap."""

import numpy as np

BLOCK = 2**22  # counts in memory at once


def bootstrap_sums(columns: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Return the sums over queries drawn with replacement, as many as there are (Efron, 1979).

    All columns see the same draws, so a difference of two columns is that of two models on the same queries, and
    the mean over a part of the queries is the sum of a column that is 0 elsewhere over that of the part's marks.

    Args:
        columns: What is summed, (queries, columns).
        resamples: How often the queries are drawn.
        rng: Where the draws come from.

    Returns:
        (resamples, columns), in float32.
    """
    num_queries = len(columns)
    values = columns.astype(np.float32)
    rows = max(1, BLOCK // num_queries)
    sums = np.empty((resamples, values.shape[1]), dtype=np.float32)
    times = np.empty((min(rows, resamples), num_queries), dtype=np.float32)  # each query is drawn
    for start in range(0, resamples, rows):
        block = times[: min(rows, resamples - start)]
        for row in block:
            row[:] = np.bincount(rng.integers(0, num_queries, num_queries), minlength=num_queries)
        sums[start : start + len(block)] = block @ values
    return sums


def interval(means: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of the percentile interval of each column of resampled means, (resamples, columns).

    Its lower end alone is a one-sided bound of confidence (1 + `confidence`) / 2: 97.5 % for 95 %.
    """
    outside = (1.0 - confidence) / 2.0
    low, high = np.quantile(means.astype(np.float64), [outside, 1.0 - outside], axis=0)
    return low, high
