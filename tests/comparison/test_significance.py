"""Tests and intervals: against scipy, by hand, and on data where nothing differs."""

import numpy as np
import pytest
import scipy.stats

from retune.comparison.significance import bootstrap_sums, holm, interval, minimum_detectable_effect, p_values


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def scipy_p(differences: np.ndarray, resamples: float) -> float:
    """p of the same test in scipy: signs of one sample flipped."""
    result = scipy.stats.permutation_test(
        (differences,), lambda x, axis: x.mean(axis=axis), permutation_type="samples", n_resamples=resamples, rng=rng(1)
    )
    return float(result.pvalue)


def test_p_of_few_changed_queries_is_exact() -> None:
    # 3 changed, all better: of 8 flips +++ and --- are as far from 0
    assert p_values(np.array([[0.1], [0.2], [0.3], [0.0], [0.0]]), 1000, rng()) == [2 / 8]
    # 0.4 - 0.1 - 0.1 = 0.2: sums of the flips are ±0.6, ±0.2 and twice ±0.4, all as far from 0 or farther
    assert p_values(np.array([[0.4], [-0.1], [-0.1]]), 1000, rng()) == [1.0]


def test_unchanged_queries_mean_p_of_one() -> None:
    assert p_values(np.zeros((40, 1)), 1000, rng()) == [1.0]


@pytest.mark.parametrize("seed", range(5))
def test_exact_p_equals_scipys(seed: int) -> None:
    differences = rng(seed).normal(0.3, 1.0, 9)
    ours = p_values(np.append(differences, np.zeros(30))[:, None], 1000, rng())
    assert ours == [pytest.approx(scipy_p(differences, np.inf), abs=1e-12)]


def test_sampled_p_agrees_with_scipys_within_sampling_error() -> None:
    differences = rng(3).normal(0.15, 1.0, 200)
    ours = p_values(differences[:, None], 20_000, rng())[0]
    theirs = scipy_p(differences, 20_000)
    assert ours == pytest.approx(theirs, abs=4 * np.sqrt(2 * theirs * (1 - theirs) / 20_000))


def test_smallest_p_counts_the_observed_flip() -> None:
    assert p_values(np.full((100, 1), 0.5), 1999, rng()) == [1 / 2000]  # no flip of 1,999 is all of one sign


def test_test_of_a_column_does_not_depend_on_its_neighbours_and_repeats_to_the_bit() -> None:
    differences = rng(4).normal(0.1, 1.0, (300, 3))
    together = p_values(differences, 2000, rng(7))
    assert together == p_values(differences, 2000, rng(7))
    assert together[1] == p_values(differences[:, [1]], 2000, rng(7))[0]


def test_blocks_of_signs_are_balanced(monkeypatch: pytest.MonkeyPatch) -> None:
    from retune.comparison import significance

    monkeypatch.setattr(significance, "BLOCK", 1000)  # 1 row of 1,000 queries at a time
    sums = significance.flipped_sums(np.ones((1000, 1)), 400, rng())
    assert sums.shape == (400, 1)
    assert abs(sums.mean()) < 4 * np.sqrt(1000 / 400)  # of 400 sums with variance 1,000
    assert sums.var() == pytest.approx(1000, rel=0.3)


def test_models_that_do_not_differ_are_found_different_as_often_as_the_level_says() -> None:
    # 400 comparisons of 50 queries, each difference as likely with either sign; 5 % of 400 is 20, sd 4.4
    draws = rng(11)
    differences = draws.exponential(1.0, (50, 400)) * draws.choice([-1.0, 1.0], (50, 400))
    rejected = sum(p <= 0.05 for p in p_values(differences, 1999, rng()))
    assert 7 <= rejected <= 33


def test_interval_covers_the_true_mean_as_often_as_it_says() -> None:
    # 400 samples of 60 from a mean of 0.5; the percentile interval is a little short: 93 to 95 %
    samples = rng(5).normal(0.5, 1.0, (60, 400))
    low, high = interval(bootstrap_sums(samples, 2000, rng()) / 60, 0.95)
    covered = ((low <= 0.5) & (high >= 0.5)).mean()
    assert 0.90 <= covered <= 0.98


def test_interval_agrees_with_scipys_percentile_bootstrap() -> None:
    sample = rng(6).gamma(2.0, 1.0, 150)
    low, high = interval(bootstrap_sums(sample[:, None], 20_000, rng()) / 150, 0.95)
    theirs = scipy.stats.bootstrap(
        (sample,), np.mean, n_resamples=20_000, method="percentile", rng=rng(1)
    ).confidence_interval
    assert (low[0], high[0]) == (pytest.approx(theirs.low, abs=0.015), pytest.approx(theirs.high, abs=0.015))


def test_every_column_sees_the_same_draws() -> None:
    column = rng(8).normal(size=80)
    sums = bootstrap_sums(np.column_stack([column, 2 * column, np.ones(80)]), 1000, rng())
    assert sums[:, 1] == pytest.approx(2 * sums[:, 0], abs=1e-4)
    assert (sums[:, 2] == 80.0).all()  # as many queries as there are


def test_holm_of_a_worked_example() -> None:
    # sorted 0.005 0.01 0.03 0.04: times 4, 3, 2, 1 is 0.02 0.03 0.06 0.04, and the last may not be below 0.06
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_minimum_detectable_effect_is_found_in_eighty_of_a_hundred_samples() -> None:
    # sd 0.25 (sample sd of the alternating ±0.25 * sqrt(99 / 100)), 100 queries: (1.95996 + 0.84162) * 0.25 / 10
    sample = np.tile([0.25, -0.25], 50)[:, None] * np.sqrt(0.99)
    effect = minimum_detectable_effect(sample, 0.05)[0]
    assert effect == pytest.approx(2.80159 * 0.025, abs=1e-5)
    samples = rng(9).normal(effect, 0.25, (100, 500))
    found = np.mean([p <= 0.05 for p in p_values(samples, 1999, rng())])
    assert found == pytest.approx(0.8, abs=0.08)
