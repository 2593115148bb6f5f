"""The distribution of the scores of a mined set."""

import numpy as np

from retune.core.distributions import histogram

BINS = 40


def score_distribution(positives: np.ndarray, negatives: np.ndarray, random: np.ndarray) -> list[dict[str, float]]:
    """Return the shares of positives, negatives and random pairs in each bin of scores, for `dvc plots`."""
    both = np.concatenate([positives, negatives, random])
    edges = np.linspace(both.min(), both.max() + 1e-6, BINS + 1)
    scores = {"positives": positives, "negatives": negatives, "random_pairs": random}
    counts = {kind: np.histogram(values, edges)[0] for kind, values in scores.items()}
    return histogram((edges[:-1] + edges[1:]) / 2, counts)
