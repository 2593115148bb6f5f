"""Rules that hold between the sections of params.yaml, once all names in them are known."""

from collections.abc import Iterator

from retune.check.circles import circles
from retune.check.compare_checks import (
    compared_metrics,
    too_few_resamples,
    unguarded_models,
    unknown_datasets,
    wrong_seeds,
)
from retune.check.model_kinds import wrong_kinds
from retune.check.project import Project
from retune.comparison import lineage
from retune.comparison.pairs import wrong_pairs
from retune.core.errors import InputError
from retune.evaluation.metrics import UNCUT, parse_metric
from retune.params.finetune import Finetune


def unknown_in_comparison(project: Project) -> Iterator[str]:
    """Yield unknown metrics, and references to data sets that are not evaluated."""
    for name, model in project.finetune.items():
        yield from _wrong_metric(f"finetune.{name}.dev_metric", model.dev_metric)
    for name, merge in project.merge.items():
        yield from _wrong_metric(f"merge.{name}.metric", merge.metric)
    for where, metric, datasets in compared_metrics(project.compare, project.eval):
        if metric not in UNCUT:
            yield from _wrong_metric(where, metric, project.eval.ks)
        elif whole := sorted(set(datasets) - set(project.eval.judged_only)):
            yield (
                f"{where}: expected a metric at a k, as the whole corpus of {whole[0]!r} is ranked, got {metric!r}; "
                f"or list {', '.join(whole)} in eval.judged_only"
            )
    yield from unknown_datasets(project.compare, project.eval.datasets)
    yield from wrong_pairs(project.compare, project.eval.models)
    yield from wrong_seeds(project.compare, project.seed, project.finetune, project.eval)


def broken_rules(project: Project) -> Iterator[str]:
    """Yield data sets without the split they are used for, breaches of a licence, and models that cannot be made."""
    yield from _missing_splits(project)
    yield from _breached_licences(project)
    yield from _wrong_comparison(project)
    yield from _untrainable(project)
    yield from _unfit_merges(project)
    yield from _short_exports(project)
    yield from _shallow_fusions(project)
    yield from _misused_models(project)
    yield from wrong_kinds(project)
    yield from circles(project)


def _wrong_metric(where: str, key: str, ks: list[int] | None = None) -> Iterator[str]:
    """Yield a metric that does not exist, or whose k is not among `ks`."""
    try:
        _, k = parse_metric(key)
    except InputError as error:
        yield f"{where}: {error}"
        return
    if ks is not None and k not in ks:
        yield f"{where}: expected a k of eval.ks ({', '.join(map(str, ks))}), got {key!r}; add {k} to eval.ks"


def _missing_splits(project: Project) -> Iterator[str]:
    """Yield data sets that lack the split they are used for."""
    for name in project.eval.datasets:
        if name in project.synthesize and project.synthesize[name].test == 0.0:
            yield f"synthesize.{name}.test: expected a share above 0, got 0.0; eval.datasets lists the data set"
        elif name in project.convert and project.convert[name].test == 0.0:
            yield f"convert.{name}.test: expected a share above 0 or given, got 0.0; eval.datasets lists the data set"
    for name, recipe in project.mine.items():
        entry = project.convert.get(recipe.dataset)
        if entry and entry.assign_all_to in ("dev", "test"):
            held = f"whose assign_all_to is {entry.assign_all_to}"
            yield f"mine.{name}.dataset: expected a data set with train queries, got {recipe.dataset!r} {held}"
    for name, model in project.finetune.items():
        dev = project.convert.get(model.dev) or project.synthesize[model.dev]
        if dev.dev == 0.0 and model.method != "none":
            yield f"finetune.{name}.dev: expected a data set with a dev split, got {model.dev!r} whose dev is 0.0"
    yield from _undivided_dev_sets(project)


def _undivided_dev_sets(project: Project) -> Iterator[str]:
    """Yield data sets that a merge measures on and that have no dev split."""
    for name, merge in project.merge.items():
        for field in ("dev", "guard", "guard_2"):
            dataset = getattr(merge, field)
            if (project.convert.get(dataset) or project.synthesize[dataset]).dev == 0.0:
                yield f"merge.{name}.{field}: expected a data set with a dev split, got {dataset!r} whose dev is 0.0"


def _breached_licences(project: Project) -> Iterator[str]:
    """Yield training data whose licence allows evaluation only."""
    trained = {f"mine.{name}.dataset": recipe.dataset for name, recipe in project.mine.items()}
    trained |= {f"mine.{name}.pool": recipe.pool for name, recipe in project.mine.items()}
    trained |= {f"synthesize.{name}.dataset": synthetic.dataset for name, synthetic in project.synthesize.items()}
    trained |= {
        f"predict.{name}.dataset": entry.dataset for name, entry in project.predict.items() if entry.pseudo_labels
    }
    for where, dataset in trained.items():
        if dataset in project.convert and project.convert[dataset].use == "evaluation_only":
            yield (
                f"{where}: expected a data set to train on, got {dataset!r} whose use is evaluation_only; "
                f"choose another, or write convert.{dataset}.use: training_against_licence"
            )


def _wrong_comparison(project: Project) -> Iterator[str]:
    """Yield what a comparison of the tuned models lacks."""
    tuned_models = _tuned_models(project)
    evaluated = {name: model for name, model in tuned_models.items() if name in project.eval.models}
    yield from lineage.unlisted(evaluated, project.eval)
    yield from unguarded_models(project.compare, evaluated, project.eval)
    yield from too_few_resamples(project.compare, len(evaluated), project.eval)


def _tuned_models(project: Project) -> dict[str, lineage.TunedModel]:
    """Return the tuned and the merged models, the exports and the systems, by name."""
    evaluated = project.eval.datasets
    tuned = lineage.trace(project.finetune, project.mine, project.mix, project.synthesize, evaluated=evaluated)
    tuned |= lineage.trace_merges(project.merge, tuned)
    tuned |= lineage.trace_exports(project.export, tuned)
    return tuned | lineage.trace_systems(project.systems, tuned)


def _untrainable(project: Project) -> Iterator[str]:
    """Yield tuned models that ask for more negatives than were mined, or whose training arguments are wrong."""
    for name, model in project.finetune.items():
        for recipe in lineage.recipes(model.data, project.mine, project.mix):
            if model.method != "nudge" and model.hard_negatives > project.mine[recipe].negatives:
                most = f"mine.{recipe}.negatives ({project.mine[recipe].negatives})"
                yield f"finetune.{name}.hard_negatives: expected at most {most}, got {model.hard_negatives}"
        if model.anchor:
            yield from _unknown_anchor(name, model, project)
        if model.trainer:
            yield from _wrong_trainer_arguments(name, model)


def _unknown_anchor(name: str, model: Finetune, project: Project) -> Iterator[str]:
    """Yield an anchor that is no part of the mixture that the model is trained on, or all of it."""
    parts = [project.mine[recipe].dataset for recipe in lineage.recipes(model.data, project.mine, project.mix)]
    if model.anchor and (model.anchor.dataset not in parts or len(set(parts)) == 1):
        yield (
            f"finetune.{name}.anchor.dataset: expected one of several data sets that {model.data!r} mixes "
            f"({', '.join(parts)}), got {model.anchor.dataset!r}"
        )


def _wrong_trainer_arguments(name: str, model: Finetune) -> Iterator[str]:
    """Yield the first training argument that the trainer would refuse."""
    from retune.training.arguments import refusal  # the import takes seconds, and most projects need no arguments

    if reason := refusal(model):
        yield f"finetune.{name}: {reason}"


def _unfit_merges(project: Project) -> Iterator[str]:
    """Yield merges of models that were not tuned from their base, or that measure their gain elsewhere than at home."""
    tuned_models = _tuned_models(project)
    for name, merge in project.merge.items():
        for tuned in merge.tuned_models:
            bases = [base for base in _bases(tuned, project) if base != tuned]
            if merge.base not in bases:
                known = ", ".join(bases)
                yield f"merge.{name}.base: expected what {tuned!r} was tuned from ({known}), got {merge.base!r}"
        if name in tuned_models:
            home = dict.fromkeys([tuned_models[name].home, *tuned_models[name].trained_on])
            if merge.dev not in home:
                known = ", ".join(home)
                yield f"merge.{name}.dev: expected what the models are tuned for ({known}), got {merge.dev!r}"


def _short_exports(project: Project) -> Iterator[str]:
    """Yield evaluated exports that have fewer dimensions than the evaluation keeps."""
    kept = project.eval.dims or 0
    for name, export in project.export.items():
        if name in project.eval.models and export.dims is not None and export.dims < kept:
            yield f"export.{name}.dims: expected at least eval.dims ({kept}), got {export.dims}; raise it"


def _shallow_fusions(project: Project) -> Iterator[str]:
    """Yield fusions of fewer documents than are evaluated or predicted."""
    for name, entry in project.fuse.items():
        needed = {"the largest of eval.ks": max(project.eval.ks)} if name in project.eval.models else {}
        needed |= {f"predict.{of}.k": asked.k for of, asked in project.predict.items() if asked.model == name}
        for what, count in needed.items():
            if entry.depth < count:
                yield f"fuse.{name}.depth: expected at least {what} ({count}), got {entry.depth}; raise it"


def _misused_models(project: Project) -> Iterator[str]:
    """Yield models made for one data set that are used where any text is encoded, or whose `dev` is not their home."""
    made_for_one = {name for name, model in project.finetune.items() if model.method in ("nudge", "query_tower")}
    of_two = made_for_one | {name for name, model in project.finetune.items() if model.teacher_documents}
    moved = {name for name in made_for_one if project.finetune[name].method == "nudge"}
    uses = [
        (f"finetune.{name}.{field}", getattr(model, field), of_two)
        for name, model in project.finetune.items()
        for field in ("base", "guide")
    ]
    uses += [
        (f"merge.{name}.{field}", getattr(merge, field), of_two)
        for name, merge in project.merge.items()
        for field in ("base", "tuned", "tuned_2")
    ]
    uses += [(f"export.{name}.model", export.model, of_two) for name, export in project.export.items()]
    uses += [(f"synthesize.{name}.model", entry.model, of_two) for name, entry in project.synthesize.items()]
    uses += [
        (f"mine.{name}.{field}", getattr(recipe, field), moved)
        for name, recipe in project.mine.items()
        for field in ("model", "scorer")
    ]
    for where, model, refused in uses:
        if model in refused:
            tuned = project.finetune[model]
            of = f"which is made for {tuned.dev!r}" if model in made_for_one else "a student beside its teacher"
            yield (f"{where}: expected a model that treats all data sets alike, got {model!r}, {of}; name its base")
    tuned_models = _tuned_models(project)
    for name in sorted(made_for_one):
        dev, home = project.finetune[name].dev, tuned_models[name].home
        if dev != home:
            yield f"finetune.{name}.dev: expected its home ({home}), the one data set it is made for, got {dev!r}"


def _bases(model: str, project: Project) -> Iterator[str]:
    """Yield a model, the model it was tuned from, and so on."""
    seen: set[str] = set()
    while model not in seen:
        seen.add(model)
        yield model
        entry = project.merge.get(model) or project.finetune.get(model)
        model = model if entry is None else entry.base
