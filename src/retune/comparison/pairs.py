"""Two evaluated models against each other, such as two trainings of one base that differ in their negatives."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from retune.comparison.score_tables import ScoreTable
from retune.comparison.significance import bootstrap_sums, holm, interval, p_values
from retune.comparison.verdict import FEWEST, printed
from retune.core.seeds import generator
from retune.params.compare import Compare


@dataclass(frozen=True)
class PairDifference:
    """What one model scores more than another on one data set.

    Attributes:
        model: The first model's name.
        other: The second model's name.
        dataset: The data set's name.
        queries: Number of test queries.
        difference: Mean difference of their scores; above 0 if `model` is better.
        better: Number of queries on which `model` scores higher.
        worse: Number of queries on which `model` scores lower.
        low: Lower end of the difference's confidence interval; None for fewer than 30 queries, as what follows.
        high: Upper end of the interval.
        p_holm: p-value of the paired randomisation test, corrected for all pairs on all data sets.
    """

    model: str
    other: str
    dataset: str
    queries: int
    difference: float
    better: int
    worse: int
    low: float | None = None
    high: float | None = None
    p_holm: float | None = None


def compare_pairs(tables: Sequence[ScoreTable], params: Compare, seed: int) -> list[PairDifference]:
    """Compare the pairs of `compare.pairs` on every data set, pair by pair."""
    measured = [_differences(table, params, seed) for table in tables]
    ordered = [differences[row] for row in range(len(params.pairs)) for differences in measured]
    corrected = iter(holm([pair.p_holm for pair in ordered if pair.p_holm is not None]))
    return [
        pair if pair.p_holm is None else replace(pair, p_holm=round(next(corrected), 6)) for pair in ordered
    ]  # fmt: skip


def _differences(table: ScoreTable, params: Compare, seed: int) -> list[PairDifference]:
    """Return the differences on one data set, their p-values not corrected yet."""
    changes = [table.change(model, other, params.metric) for model, other in params.pairs]
    pairs = [
        PairDifference(
            model,
            other,
            table.dataset,
            len(change),
            printed(change.mean()),
            better=int((change > 0.0).sum()),
            worse=int((change < 0.0).sum()),
        )
        for (model, other), change in zip(params.pairs, changes, strict=True)
    ]
    if not pairs or len(table.query_ids) < FEWEST:
        return pairs
    columns = np.column_stack(changes)
    sums = bootstrap_sums(columns, params.resamples, generator(seed, f"bootstrap pairs {table.dataset}"))
    low, high = interval(sums / len(columns), params.confidence)
    p = p_values(columns, params.resamples, generator(seed, f"randomisation pairs {table.dataset}"))
    return [
        replace(pair, low=printed(low[row]), high=printed(high[row]), p_holm=p[row]) for row, pair in enumerate(pairs)
    ]
