"""Percentiles and histograms, with numbers that can be checked by hand."""

import numpy as np

from retune.core.distributions import histogram, percentiles, rounded


def test_percentiles_are_named_and_interpolated() -> None:
    assert percentiles([1, 2, 3, 4], (0, 50, 95)) == {"p0": 1.0, "p50": 2.5, "p95": 3.8499999999999996}
    assert percentiles(np.zeros(0), (50,)) == {}


def test_metrics_have_five_decimals() -> None:
    assert rounded({"p50": 0.123456, "mean": 1}) == {"p50": 0.12346, "mean": 1.0}


def test_histogram_gives_shares_of_each_kind_and_zeros_for_a_kind_without_scores() -> None:
    counts = {"positives": np.array([1, 3]), "random_pairs": np.array([0, 0])}
    assert histogram([0.25, 0.75], counts) == [
        {"score": 0.25, "positives": 0.25, "random_pairs": 0.0},
        {"score": 0.75, "positives": 0.75, "random_pairs": 0.0},
    ]
