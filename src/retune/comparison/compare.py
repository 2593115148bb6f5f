"""Compare tuned models with their bases: the gain at home, the change elsewhere, and how certain both are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev

import numpy as np

from retune.comparison.lineage import TunedModel
from retune.comparison.score_tables import ScoreTable
from retune.comparison.significance import bootstrap_sums, interval, minimum_detectable_effect, p_values
from retune.comparison.verdict import FEWEST, Measurement, judge, printed
from retune.core.seeds import generator
from retune.params.compare import Compare


@dataclass(frozen=True)
class Comparison:
    """The scores of all models, and how each tuned model differs from its base.

    Attributes:
        params: The section `compare`.
        tuned_models: The tuned models, by name.
        measurements: Every model on every data set, in the order listed.
    """

    params: Compare
    tuned_models: Mapping[str, TunedModel]
    measurements: list[Measurement]

    def of(self, model: str) -> list[Measurement]:
        """Return one model's measurements."""
        return [measurement for measurement in self.measurements if measurement.model == model]

    @property
    def test_sets(self) -> dict[str, str]:
        """How each data set is named wherever figures of its test queries are shown."""
        return {measurement.dataset: measurement.test_set for measurement in self.measurements}

    def home(self, model: str) -> Measurement:
        """Return a tuned model's measurement on the data set it was tuned for, an export's on that of its model."""
        home = self.tuned_models[model].home
        return next(measurement for measurement in self.of(model) if measurement.dataset == home)

    def elsewhere(self, model: str) -> list[Measurement]:
        """Return a tuned model's measurements on all other data sets, from the largest loss to the largest gain.

        Those of an export are on all data sets.
        """
        others = [measurement for measurement in self.of(model) if not measurement.is_home]
        return sorted(others, key=lambda measurement: measurement.change or 0.0)


def compare(
    tables: Sequence[ScoreTable], tuned_models: Mapping[str, TunedModel], params: Compare, seed: int
) -> Comparison:
    """Compare every tuned model with its base on every data set."""
    measured = {
        (measurement.model, measurement.dataset): measurement
        for table in tables
        for measurement in _measure(table, tuned_models, params, seed)
    }
    ordered = [measured[model, table.dataset] for model in tables[0].models for table in tables]
    return Comparison(params, tuned_models, _add_spreads(judge(ordered, params), params.seeds))


def _add_spreads(measurements: Sequence[Measurement], groups: Mapping[str, Sequence[str]]) -> list[Measurement]:
    """Add the mean and the spread of a group's changes to the measurements of all its models.

    Args:
        measurements: All models on all data sets.
        groups: By model, the models that differ from it in nothing but their seed.
    """
    members = {name: (first, *others) for first, others in groups.items() for name in (first, *others)}
    changes = {(measurement.model, measurement.dataset): measurement.change for measurement in measurements}
    result = []
    for measurement in measurements:
        group = members.get(measurement.model, ())
        values = [change for name in group if (change := changes.get((name, measurement.dataset))) is not None]
        if len(values) > 1:
            mean, spread = printed(fmean(values)), printed(stdev(values))
            result.append(replace(measurement, seeds=len(values), seed_mean=mean, seed_spread=spread))
        else:
            result.append(measurement)
    return result


def summarise(comparison: Comparison) -> dict[str, dict[str, float]]:
    """Return `gain`, `forgetting_mean` and `forgetting_worst`, each by tuned model.

    Gain is the change at home. Forgetting is minus the change on another data set, so it is above 0 where the tuned
    model got worse. Its mean and its worst value are over all other data sets, and absent if there are none.
    """
    summary: dict[str, dict[str, float]] = {"gain": {}, "forgetting_mean": {}, "forgetting_worst": {}}
    for model in comparison.tuned_models:
        summary["gain"][model] = comparison.home(model).change or 0.0
        lost = [0.0 - (measurement.change or 0.0) for measurement in comparison.elsewhere(model)]
        if lost:
            summary["forgetting_mean"][model] = printed(sum(lost) / len(lost))
            summary["forgetting_worst"][model] = max(lost)
    return summary


def gain_kept(comparison: Comparison, model: str) -> float | None:
    """Return a tuned model's gain divided by the best gain of any model with the same base and home.

    This shows how much of the gain a milder tuning keeps. None if no other model has this base and home, or if none
    of them gained. Exports and systems do not count.
    """
    tuned = comparison.tuned_models[model]
    if tuned.is_export or tuned.is_system:
        return None
    gains = {
        name: comparison.home(name).change or 0.0
        for name, other in comparison.tuned_models.items()
        if (other.base, other.home) == (tuned.base, tuned.home) and not (other.is_export or other.is_system)
    }
    best = max(gains.values())
    return printed(gains[model] / best) if len(gains) > 1 and best > 0.0 else None


def by_model(comparison: Comparison) -> dict[str, dict[str, float]]:
    """Return each model's score by data set."""
    scores: dict[str, dict[str, float]] = {}
    for measurement in comparison.measurements:
        scores.setdefault(measurement.model, {})[measurement.test_set] = measurement.score
    return scores


def _measure(
    table: ScoreTable, tuned_models: Mapping[str, TunedModel], params: Compare, seed: int
) -> list[Measurement]:
    """Return the measurements on one data set, their p-values not corrected yet."""
    names = [model for model in table.models if model in tuned_models]
    scores = table.scores[params.metric]
    changes = [table.change(name, tuned_models[name].base, params.metric) for name in names]
    differences = np.column_stack([scores[:, :0], *changes])
    statistics = _statistics(table.dataset, scores, differences, params, seed) if len(scores) >= FEWEST else None
    measurements = []
    for column, model in enumerate(table.models):
        low, high = statistics.ends(column) if statistics else (None, None)
        measurement = Measurement(
            model, table.dataset, len(scores), table.mean(model, params.metric), score_low=low, score_high=high
        )
        measurement = replace(measurement, is_synthetic=table.is_synthetic)
        if model in tuned_models:
            row, tuned = names.index(model), tuned_models[model]
            base_score = table.mean(tuned.base, params.metric)
            measurement = _against_base(measurement, tuned, base_score, differences[:, row])
            if statistics:
                low, high = statistics.ends(len(table.models) + row)
                measurement = replace(measurement, low=low, high=high, p=statistics.p[row], mde=statistics.effect(row))
        measurements.append(measurement)
    return measurements


def _against_base(
    measurement: Measurement, tuned: TunedModel, base_score: float, differences: np.ndarray
) -> Measurement:
    """Add what is known of the difference from the base without statistics."""
    return replace(
        measurement,
        base=tuned.base,
        is_home=measurement.dataset == tuned.home and not tuned.is_export,
        is_export=tuned.is_export,
        is_system=tuned.is_system,
        base_score=base_score,
        change=printed(differences.mean()),
        better=int((differences > 0.0).sum()),
        worse=int((differences < 0.0).sum()),
    )


@dataclass(frozen=True)
class _Statistics:
    """The statistics on one data set.

    Attributes:
        low: Lower ends of the intervals: first of all models' scores, then of all tuned models' changes.
        high: Upper ends, in the same order.
        p: p-values of the tuned models.
        effects: Minimum detectable effects of the tuned models.
    """

    low: np.ndarray
    high: np.ndarray
    p: list[float]
    effects: np.ndarray

    def ends(self, column: int) -> tuple[float, float]:
        return printed(self.low[column]), printed(self.high[column])

    def effect(self, row: int) -> float | None:
        """Return the minimum detectable effect; None if all queries changed alike."""
        return printed(self.effects[row]) or None


def _statistics(dataset: str, scores: np.ndarray, differences: np.ndarray, params: Compare, seed: int) -> _Statistics:
    columns = np.hstack([scores, differences])
    sums = bootstrap_sums(columns, params.resamples, generator(seed, f"bootstrap {dataset}"))
    return _Statistics(
        *interval(sums / len(scores), params.confidence),
        p=[round(p, 6) for p in p_values(differences, params.resamples, generator(seed, f"randomisation {dataset}"))],
        effects=minimum_detectable_effect(differences, params.significance),
    )
