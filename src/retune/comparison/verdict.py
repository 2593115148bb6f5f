"""The verdict on a tuned model and a data set: one of six words, each with a fixed meaning."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from retune.comparison.significance import holm
from retune.core.records import DECIMALS
from retune.params.compare import Compare

FEWEST = 30  # queries; there are no statistics for fewer
SYNTHETIC = "synthetic test queries"  # what is said wherever something of a test set without labels is shown

Word = Literal["improved", "worse", "forgot", "non-inferior", "no difference shown", "withheld"]


@dataclass(frozen=True)
class Measurement:
    """One model on one data set. The attributes from `base` on are None for a model that was not tuned.

    All statistics are None for fewer than 30 queries.

    Attributes:
        model: The model's name.
        dataset: The data set's name.
        queries: Number of test queries.
        score: Mean score of these queries.
        score_low: Lower end of the score's confidence interval.
        score_high: Upper end of the score's confidence interval.
        base: The model that was tuned.
        is_home: Whether the model was tuned for this data set; never of an export, which gains nothing.
        base_score: The base's mean score.
        change: Mean difference to the base; above 0 if the tuned model is better.
        low: Lower end of the change's confidence interval.
        high: Upper end of the change's confidence interval.
        p: p-value of the paired randomisation test.
        p_holm: p-value corrected for the number of tests.
        mde: Minimum detectable effect: the change that the test finds with a power of 80 %; None if all queries
            changed alike.
        better: Number of queries that score higher than with the base.
        worse: Number of queries that score lower than with the base.
        word: The verdict.
        reason: Why the verdict is withheld.
        is_synthetic: Whether the test queries are synthetic.
        seeds: Number of trainings that differ in their seed alone, this one among them; None if it has no group.
        seed_mean: Mean of their changes.
        seed_spread: Standard deviation of their changes.
        merged_weight: Weight of the tuned models, if the model was merged; with 0 it is the base itself.
        is_export: Whether the model is an export of its base.
        is_system: Whether the model is a system of two, of which its base is the first.
    """

    model: str
    dataset: str
    queries: int
    score: float
    score_low: float | None = None
    score_high: float | None = None
    base: str | None = None
    is_home: bool = False
    base_score: float | None = None
    change: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_holm: float | None = None
    mde: float | None = None
    better: int | None = None
    worse: int | None = None
    word: Word | None = None
    reason: str | None = None
    is_synthetic: bool = False
    seeds: int | None = None
    seed_mean: float | None = None
    seed_spread: float | None = None
    merged_weight: float | None = None
    is_export: bool = False
    is_system: bool = False

    @property
    def test_set(self) -> str:
        """The data set as it is named wherever figures of its test queries are shown."""
        return f"{self.dataset} ({SYNTHETIC})" if self.is_synthetic else self.dataset


def printed(value: float) -> float:
    """Round to the decimals that are written; minus zero becomes zero."""
    return round(float(value), DECIMALS) + 0.0


def judge(measurements: Sequence[Measurement], params: Compare) -> list[Measurement]:
    """Correct the p-values of all measurements as one family, and give every measurement of a tuned model its word."""
    corrected = iter(holm([measurement.p for measurement in measurements if measurement.p is not None]))
    judged = []
    for measurement in measurements:
        if measurement.p is not None:
            p_holm = round(next(corrected), 6)
            word = _word(measurement, p_holm <= params.significance, params.margin)
            judged.append(replace(measurement, p_holm=p_holm, word=word))
        elif measurement.base is not None:
            reason = f"{measurement.queries} test queries are fewer than the {FEWEST} that statistics need"
            judged.append(replace(measurement, word="withheld", reason=reason))
        else:
            judged.append(measurement)
    return judged


def _word(measurement: Measurement, is_significant: bool, margin: float) -> Word:
    """Return the word for a change that was tested."""
    change, low = measurement.change or 0.0, measurement.low or 0.0
    if is_significant and change > 0.0:
        return "improved"
    is_worse = is_significant and change < 0.0  # a change that rounds to 0 is neither better nor worse
    if is_worse and measurement.is_home:
        return "worse"
    if not measurement.is_home and low > -margin:
        return "non-inferior"
    return "forgot" if is_worse else "no difference shown"
