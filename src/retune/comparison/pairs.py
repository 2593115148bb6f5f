"""Two evaluated models against each other, such as two trainings of one base that differ in their negatives."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from retune.comparison.score_tables import ScoreTable
from retune.comparison.significance import bootstrap_sums, holm, interval, p_values
from retune.comparison.verdict import FEWEST, printed
from retune.core.errors import InputError
from retune.core.seeds import generator
from retune.params.compare import Compare


@dataclass(frozen=True)
class PairDifference:
    """How much higher one model scores than another on one data set.

    Attributes:
        model: The first model's name.
        other: The second model's name.
        dataset: The data set's name.
        queries: Number of test queries.
        difference: Mean difference of their scores; above 0 if `model` is better.
        better: Number of queries on which `model` scores higher.
        worse: Number of queries on which `model` scores lower.
        is_synthetic: Whether the test queries are synthetic.
        low: Lower end of the difference's confidence interval. This and the next three are None for fewer than 30
            queries.
        high: Upper end of the interval.
        p: p-value of the paired randomisation test.
        p_holm: p-value corrected for all pairs on all data sets.
    """

    model: str
    other: str
    dataset: str
    queries: int
    difference: float
    better: int
    worse: int
    is_synthetic: bool
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_holm: float | None = None


def compare_pairs(tables: Sequence[ScoreTable], params: Compare, seed: int) -> list[PairDifference]:
    """Compare the pairs of `compare.pairs` on every data set, pair by pair.

    Raises:
        InputError: A pair cannot be compared.
    """
    if faults := [fault for table in tables[:1] for fault in wrong_pairs(params, table.models)]:
        raise InputError("\n".join(faults))
    measured = [_differences(table, params, seed) for table in tables]
    ordered = [differences[row] for row in range(len(params.pairs)) for differences in measured]
    corrected = iter(holm([pair.p for pair in ordered if pair.p is not None]))
    return [pair if pair.p is None else replace(pair, p_holm=round(next(corrected), 6)) for pair in ordered]


def wrong_pairs(params: Compare, models: Sequence[str]) -> Iterator[str]:
    """Yield what is wrong with `compare.pairs`, given the evaluated models."""
    seen: list[set[str]] = []
    for number, pair in enumerate(params.pairs):
        where = f"compare.pairs.{number}"
        for name in pair:
            if name not in models:
                yield f"{where}: expected models that eval.models lists, got {name!r}"
        if len({*pair}) == 1:
            yield f"{where}: expected two models, got {pair[0]!r} twice"
        if {*pair} in seen:
            yield f"{where}: expected each pair once, got {pair[0]!r} and {pair[1]!r} again"
        seen.append({*pair})


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
            is_synthetic=table.is_synthetic,
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
        replace(pair, low=printed(low[row]), high=printed(high[row]), p=round(p[row], 6))
        for row, pair in enumerate(pairs)
    ]
