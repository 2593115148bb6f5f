"""What the section `compare` requires of the other sections."""

import math
from collections.abc import Iterable, Iterator, Mapping

from retune.comparison.lineage import TunedModel
from retune.params.compare import Compare
from retune.params.eval import Eval
from retune.params.finetune import Finetune

SEEDLESS = ("none", "nudge")  # methods without any randomness


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
        if not (set(listed.datasets) - {model.home} or model.is_export):
            yield (
                f"compare.gate.max_forgetting: expected a data set besides {model.home!r} under eval.datasets, on "
                f"which {name!r} may forget, got none; add one, or write null"
            )


def wrong_seeds(params: Compare, project_seed: int, models: Mapping[str, Finetune], listed: Eval) -> Iterator[str]:
    """Yield groups of seeds with unknown models, with a seed twice, or with another difference than the seed."""
    yield from _wrong_groups(params, models, listed)
    for first, others in params.seeds.items():
        seeds: set[int] = set()
        for name in (first, *others):
            where = f"compare.seeds.{first}"
            if name not in models or name not in listed.models:
                yield f"{where}: expected tuned models that eval.models lists, got {name!r}"
                continue
            if models[name].method in SEEDLESS:
                yield f"{where}: expected models that a seed changes, got {name!r} of method {models[name].method}"
            differing = {
                field
                for field in Finetune.model_fields
                if field != "seed" and getattr(models[name], field) != getattr(models.get(first, models[name]), field)
            }
            if differing:
                yield f"{where}: expected models that differ in their seed alone, {name!r} differs in {min(differing)}"
            seed = models[name].seed
            seed = project_seed if seed is None else seed
            if seed in seeds:
                yield f"{where}: expected another seed for each model, got {seed} twice"
            seeds.add(seed)


def _wrong_groups(params: Compare, models: Mapping[str, Finetune], listed: Eval) -> Iterator[str]:
    """Yield models in two groups of seeds, and models without one although the gate asks for several seeds."""
    grouped = [name for first, others in params.seeds.items() for name in (first, *others)]
    for name in sorted({name for name in grouped if grouped.count(name) > 1}):
        yield f"compare.seeds: expected each model in one group, got {name!r} twice"
    if params.gate is not None and params.gate.seed_spreads is not None:
        for name in sorted({*models} & {*listed.models} - {*grouped}):
            yield f"compare.gate.seed_spreads: expected a group of {name!r} in compare.seeds, found none; add one"


def too_few_resamples(params: Compare, num_evaluated: int, listed: Eval) -> Iterator[str]:
    """Yield a number of resamples so small that no p-value can be significant after Holm's correction."""
    tests = max(num_evaluated, len(params.pairs)) * len(listed.datasets)  # of the larger family
    if tests > params.significance * (1 + params.resamples):  # the smallest p is 1 / (1 + resamples)
        yield (
            f"compare.resamples: expected at least {math.ceil(tests / params.significance)}, so that one of {tests} "
            f"tests can be significant at {params.significance:g}, got {params.resamples}"
        )
