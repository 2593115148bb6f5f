"""How much a change moves between seeds: the spread over trainings that differ in nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean, stdev

from retune.comparison.verdict import Measurement, printed


def add_spreads(measurements: Sequence[Measurement], groups: Mapping[str, Sequence[str]]) -> list[Measurement]:
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
