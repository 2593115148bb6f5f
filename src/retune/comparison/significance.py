"""Whether a difference between two models is more than chance: paired randomisation tests over the queries."""

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

POWER = 0.8  # of the minimum detectable effect; the usual value
BLOCK = 2**22  # random signs, or counts of draws, in memory at once
TOLERANCE = 1e-9  # relative to the sum of all |differences|: sums in another order still count as equal


def p_values(differences: np.ndarray, resamples: int, rng: np.random.Generator) -> list[float]:
    """Test each column for a mean of 0: the paired randomisation test of Fisher, two-sided.

    If two models were equal, each query's difference would be as likely with the other sign. p is the share of sign
    flips whose mean is at least as far from 0 as the observed mean. If there are at most `resamples` different flips
    (queries without a difference do not count), all are tried. Otherwise random flips are drawn and the observed one
    is counted as well: (1 + count) / (1 + resamples). Recommended for retrieval by Smucker, Allan and Carterette
    (CIKM 2007).

    Args:
        differences: Score minus the base's, (queries, comparisons). Comparisons share the random signs.
        resamples: Number of random flips.
        rng: Generator of the random signs.

    Returns:
        p of each comparison, in (0, 1].
    """
    changed = (differences != 0.0).sum(axis=0)
    by_enumeration = [column for column, count in enumerate(changed) if 2 ** int(count) <= resamples]
    values = {column: _exact_p(differences[:, column]) for column in by_enumeration}
    sampled = [column for column in range(differences.shape[1]) if column not in values]
    if sampled:
        chosen = differences[:, sampled]
        reached = np.abs(chosen.sum(axis=0)) - TOLERANCE * np.abs(chosen).sum(axis=0)
        counts = (np.abs(flipped_sums(chosen, resamples, rng)) >= reached).sum(axis=0)
        values |= {column: (1 + int(count)) / (1 + resamples) for column, count in zip(sampled, counts, strict=True)}
    return [values[column] for column in range(differences.shape[1])]


def flipped_sums(differences: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Return sums over the queries with random signs, (resamples, comparisons). Signs are drawn as bits, in blocks."""
    num_queries = len(differences)
    totals = differences.sum(axis=0)
    rows = max(1, BLOCK // num_queries)
    blocks = []
    for start in range(0, resamples, rows):
        count = min(rows, resamples - start)
        bits = rng.integers(0, 256, (count, -(-num_queries // 8)), dtype=np.uint8)
        is_kept = np.unpackbits(bits, axis=1, count=num_queries)  # (count, queries)
        blocks.append(2.0 * (is_kept.astype(np.float64) @ differences) - totals)
    return np.concatenate(blocks)


def holm(p: Sequence[float]) -> list[float]:
    """Correct the p-values of a family of tests, so that the level holds for the family as a whole (Holm, 1979).

    The smallest is multiplied by the number of tests, the next by one less, and so on. A corrected p-value is at most
    1, and never below that of a smaller p-value.
    """
    corrected = [1.0] * len(p)
    highest = 0.0
    for rank, position in enumerate(sorted(range(len(p)), key=lambda position: p[position])):
        highest = max(highest, min(1.0, (len(p) - rank) * p[position]))
        corrected[position] = highest
    return corrected


def minimum_detectable_effect(differences: np.ndarray, significance: float) -> np.ndarray:
    """Return the true mean difference that a two-sided test would find in 80 of 100 samples of this size.

    (z(1 - significance / 2) + z(0.8)) * sd / sqrt(queries), the sample-size formula of the paired z-test solved for
    the effect (Cohen, Statistical Power Analysis, 1988; for topics: Sakai, Information Retrieval Journal 19, 2016).
    The effect is that of one test, without the correction for the family.

    Args:
        differences: Score minus the base's, (queries, comparisons), of at least two queries.
        significance: In (0, 1).

    Returns:
        One effect for each comparison, in the metric's unit.
    """
    normal = NormalDist()
    factor = normal.inv_cdf(1.0 - significance / 2.0) + normal.inv_cdf(POWER)
    effects: np.ndarray = factor * differences.std(axis=0, ddof=1) / np.sqrt(len(differences))
    return effects


def _exact_p(differences: np.ndarray) -> float:
    """Return the share of all sign flips whose sum is at least as far from 0 as the observed sum."""
    changed = differences[differences != 0.0]
    flips = (np.arange(2 ** len(changed))[:, None] >> np.arange(len(changed))) & 1  # (flips, changed queries)
    sums = (2.0 * flips - 1.0) @ changed
    reached = abs(changed.sum()) - TOLERANCE * np.abs(changed).sum()
    return float((np.abs(sums) >= reached).mean())


def bootstrap_sums(columns: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Return sums over samples of the queries, drawn with replacement and as large as the original (Efron, 1979).

    All columns share the draws, so a difference of two columns compares two models on the same queries. The mean over
    a group of queries is the sum of a column that is 0 for all others, divided by the sum of the group's 0/1 mask.

    Args:
        columns: The values to sum, (queries, columns).
        resamples: Number of samples.
        rng: Generator of the draws.

    Returns:
        (resamples, columns), in float32.
    """
    num_queries = len(columns)
    values = columns.astype(np.float32)
    rows = max(1, BLOCK // num_queries)
    sums = np.empty((resamples, values.shape[1]), dtype=np.float32)
    times = np.empty((min(rows, resamples), num_queries), dtype=np.float32)  # how often each query is drawn
    for start in range(0, resamples, rows):
        block = times[: min(rows, resamples - start)]
        for row in block:
            row[:] = np.bincount(rng.integers(0, num_queries, num_queries), minlength=num_queries)
        sums[start : start + len(block)] = block @ values
    return sums


def interval(means: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Return both ends of the percentile interval of each column of resampled means, (resamples, columns).

    The lower end alone is a one-sided bound of confidence (1 + `confidence`) / 2: 97.5 % for 95 %.
    """
    outside = (1.0 - confidence) / 2.0
    low, high = np.quantile(means.astype(np.float64), [outside, 1.0 - outside], axis=0)
    return low, high
