"""The distribution of the scores of a mined set."""

import numpy as np

BINS = 40


def score_distribution(positives: np.ndarray, negatives: np.ndarray, random: np.ndarray) -> list[dict[str, float]]:
    """Return the shares of positives, negatives and random pairs in each bin of scores, for `dvc plots`."""
    both = np.concatenate([positives, negatives, random])
    edges = np.linspace(both.min(), both.max() + 1e-6, BINS + 1)
    shares = [np.histogram(scores, edges)[0] / max(len(scores), 1) for scores in (positives, negatives, random)]
    names = ("score", "positives", "negatives", "random_pairs")
    middles = (edges[:-1] + edges[1:]) / 2
    rows = zip(middles, *shares, strict=True)
    return [dict(zip(names, (round(float(value), 5) for value in row), strict=True)) for row in rows]
