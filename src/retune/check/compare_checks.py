"""What section `compare` asks of the other sections."""

import math
from collections.abc import Iterable, Iterator, Mapping

from retune.comparison.lineage import Run
from retune.params.compare import Compare
from retune.params.eval import Eval


def compared_metrics(params: Compare, listed: Eval) -> list[tuple[str, str, list[str]]]:
    """Return every metric that is compared: where it stands, its key, and the data sets it is read on."""
    references = [
        (f"compare.references.{number}.values", metric, [reference.dataset])
        for number, reference in enumerate(params.references)
        for metric in reference.values
    ]
    return [("compare.metric", params.metric, listed.datasets), *references]


def unknown_datasets(params: Compare, datasets: Iterable[str]) -> Iterator[str]:
    """Yield references to data sets that are not evaluated."""
    known = list(datasets)
    for number, reference in enumerate(params.references):
        if reference.dataset not in known:
            where = f"compare.references.{number}.dataset"
            yield f"{where}: expected one of eval.datasets ({', '.join(known)}), got {reference.dataset!r}"


def unguarded_runs(params: Compare, runs: Mapping[str, Run], listed: Eval) -> Iterator[str]:
    """Yield runs whose forgetting the gate limits and no data set measures."""
    if params.gate is None or params.gate.max_forgetting is None:
        return
    for name, run in runs.items():
        if name in listed.models and not set(listed.datasets) - {run.home}:
            yield (
                f"compare.gate.max_forgetting: expected a data set besides {run.home!r} under eval.datasets, on which "
                f"{name!r} may forget, got none; add one, or write null"
            )


def too_few_resamples(params: Compare, runs: Mapping[str, Run], listed: Eval) -> Iterator[str]:
    """Yield resamples with which not even the smallest p could be significant once it is corrected (Holm)."""
    tests = sum(name in listed.models for name in runs) * len(listed.datasets)
    if tests > params.significance * (1 + params.resamples):  # the smallest p is 1 / (1 + resamples)
        yield (
            f"compare.resamples: expected at least {math.ceil(tests / params.significance)}, so that one of {tests} "
            f"tests can be significant at {params.significance:g}, got {params.resamples}"
        )
