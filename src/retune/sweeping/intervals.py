"""How certain differences of mean dev scores are: paired bootstrap intervals over the dev queries."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retune.comparison.significance import bootstrap_sums, interval
from retune.core.seeds import generator
from retune.params.compare import Compare


@dataclass(frozen=True)
class Change:
    """A difference of two mean scores, with both ends of its interval."""

    mean: float
    low: float
    high: float

    @property
    def is_clear(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low > 0.0 or self.high < 0.0


def changes(differences: Sequence[np.ndarray], compare: Compare, seed: int) -> list[Change]:
    """Return the mean of each difference and its percentile interval.

    Args:
        differences: Differences of the scores of each dev query, (queries,) each; all share the resamples.
        compare: The level of the intervals and the number of resamples.
        seed: The seed of the resamples.
    """
    if not differences:
        return []
    columns = np.column_stack(differences)
    sums = bootstrap_sums(columns, compare.resamples, generator(seed, "dev queries"))
    lows, highs = interval(sums / len(columns), compare.confidence)
    ends = zip(columns.mean(axis=0).tolist(), lows.tolist(), highs.tolist(), strict=True)
    return [Change(*values) for values in ends]
