"""What the section `compare` requires of the other sections."""

import math
from collections.abc import Iterable, Iterator, Mapping

from retune.comparison.lineage import TunedModel
from retune.params.compare import Compare
from retune.params.eval import Eval


def compared_metrics(params: Compare, listed: Eval) -> list[tuple[str, str, list[str]]]:
    """Return every metric that is compared: its place in params.yaml, its name, and the data sets it is read on."""
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


def unguarded_models(params: Compare, evaluated: Mapping[str, TunedModel], listed: Eval) -> Iterator[str]:
    """Yield tuned models whose forgetting the gate limits although no data set measures it."""
    if params.gate is None or params.gate.max_forgetting is None:
        return
    for name, model in evaluated.items():
        if not set(listed.datasets) - {model.home}:
            yield (
                f"compare.gate.max_forgetting: expected a data set besides {model.home!r} under eval.datasets, on "
                f"which {name!r} may forget, got none; add one, or write null"
            )


def too_few_resamples(params: Compare, num_evaluated: int, listed: Eval) -> Iterator[str]:
    """Yield a number of resamples so small that no p-value can be significant after Holm's correction."""
    tests = num_evaluated * len(listed.datasets)
    if tests > params.significance * (1 + params.resamples):  # the smallest p is 1 / (1 + resamples)
        yield (
            f"compare.resamples: expected at least {math.ceil(tests / params.significance)}, so that one of {tests} "
            f"tests can be significant at {params.significance:g}, got {params.resamples}"
        )
