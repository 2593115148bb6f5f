"""Names in params.yaml that must be defined in another section."""

from collections.abc import Iterable, Iterator

from retune.check.project import Project
from retune.comparison import lineage
from retune.params.fetch import Endpoint, Lexical, Vectors
from retune.params.mix import Mix

MISSING_PATH = "write the model folder, or requirements.txt if source is not path; dvc.yaml reads it in every entry"


def unknown_names(project: Project) -> Iterator[str]:
    """Yield names that no section defines, and names that two sections define."""
    datasets = [*project.convert, *project.synthesize]
    yield from _names_of_two(project)
    for name, synthetic in project.synthesize.items():
        yield from _unknown(f"synthesize.{name}.dataset", [synthetic.dataset], project.convert)
        reranked = project.rerank.get(synthetic.model)  # its first stage encodes, the whole filters
        encodes = reranked.first_stage if reranked else synthetic.model
        yield from _no_encoder(f"synthesize.{name}.model", encodes, project)
    for name, recipe in project.mine.items():
        yield from _unknown(f"mine.{name}.dataset", [recipe.dataset], datasets)
        yield from _unknown(f"mine.{name}.pool", [recipe.pool], datasets)
        yield from _no_encoder(f"mine.{name}.model", recipe.model, project)
        yield from _no_encoder(f"mine.{name}.scorer", recipe.scorer, project)
    for name, model in project.finetune.items():
        yield from _no_weights(f"finetune.{name}.base", model.base, project)
        is_taught = model.loss == "embed_distill" and not model.teacher_documents
        if not (is_taught and isinstance(project.fetch.get(model.guide), Vectors)):
            yield from _no_encoder(f"finetune.{name}.guide", model.guide, project)
        yield from _unknown(f"finetune.{name}.data", [model.data], [*project.mine, *project.mix])
        yield from _unknown(f"finetune.{name}.dev", [model.dev], datasets)
        if model.home is not None and model.home not in project.eval.datasets:
            known = ", ".join(project.eval.datasets)
            yield f"finetune.{name}.home: expected one of eval.datasets ({known}), got {model.home!r}"
    yield from _unknown_to_merges(project, datasets)
    yield from _unknown_to_exports(project, datasets)
    yield from _unknown_to_systems(project)
    yield from _unknown("eval.models", project.eval.models, [*_with_texts(project), *project.systems])
    yield from _unknown("eval.datasets", project.eval.datasets, datasets)
    yield from _unknown("eval.judged_only", project.eval.judged_only, project.eval.datasets)
    for name, prediction in project.predict.items():
        yield from _unknown(f"predict.{name}.model", [prediction.model], [*_with_texts(project), *project.systems])
        yield from _unknown(f"predict.{name}.dataset", [prediction.dataset], datasets)


def _names_of_two(project: Project) -> Iterator[str]:
    """Yield names that two sections define."""
    for name in sorted({*project.fetch} & {*project.finetune}):
        yield f"finetune.{name}: fetch has a model of this name; rename one"
    for name in sorted({*project.fetch, *project.finetune} & {*project.merge}):
        yield f"merge.{name}: fetch or finetune has a model of this name; rename one"
    for name in sorted({*project.fetch, *project.made_models} & {*project.export}):
        yield f"export.{name}: fetch, finetune or merge has a model of this name; rename one"
    made = {*project.fetch, *project.made_models, *project.export}
    for name in sorted(made & {*project.systems} | {*project.rerank} & {*project.fuse}):
        section = "fuse" if name in project.fuse else "rerank"
        yield f"{section}.{name}: another section has a model of this name; rename one"
    for name in sorted({*project.convert} & {*project.synthesize}):
        yield f"synthesize.{name}: convert has a data set of this name; rename one"


def _unknown_to_merges(project: Project, datasets: Iterable[str]) -> Iterator[str]:
    """Yield names in `merge` that no section defines."""
    for name, merge in project.merge.items():
        yield from _no_weights(f"merge.{name}.base", merge.base, project)
        for field in ("tuned", "tuned_2"):
            yield from _unknown(f"merge.{name}.{field}", [getattr(merge, field)], project.made_models)
        for field in ("dev", "guard", "guard_2"):
            yield from _unknown(f"merge.{name}.{field}", [getattr(merge, field)], datasets)


def _unknown_to_exports(project: Project, datasets: Iterable[str]) -> Iterator[str]:
    """Yield names in `export` that no section defines."""
    for name, export in project.export.items():
        yield from _no_weights(f"export.{name}.model", export.model, project)
        yield from _unknown(f"export.{name}.dataset", [export.dataset], datasets)


def _unknown_to_systems(project: Project) -> Iterator[str]:
    """Yield names in `rerank` and `fuse` that no section defines."""
    known = [*_with_texts(project), *project.systems]
    for name, entry in project.rerank.items():
        yield from _unknown(f"rerank.{name}.first_stage", [entry.first_stage], known)
        yield from _unknown(f"rerank.{name}.reranker", [entry.reranker], known)
    for name, fusion in project.fuse.items():
        yield from _unknown(f"fuse.{name}.first", [fusion.first], known)
        yield from _unknown(f"fuse.{name}.second", [fusion.second], known)


def missing_paths(project: Project) -> Iterator[str]:
    """Yield fetched models without the path that dvc.yaml reads."""
    for name, entry in project.fetch.items():
        if entry.path is None:
            yield f"fetch.{name}.path: missing; {MISSING_PATH}"


def wrong_mixtures(project: Project) -> Iterator[str]:
    """Yield mixtures that have a recipe's name, or whose parts are undefined or contain the mixture itself."""
    for name, mixture in project.mix.items():
        yield from _unknown(f"mix.{name}.first", [mixture.first], [*project.mine, *project.mix])
        yield from _unknown(f"mix.{name}.second", [mixture.second], [*project.mine, *project.mix])
        if name in project.mine:
            yield f"mix.{name}: mine has a recipe of this name; rename one"
        if name in _parts(name, project):
            yield f"mix.{name}: expected a mixture of mining recipes, got one that contains itself"
        elif mixture.of == "scores":
            yield from _other_pairs(name, mixture, project)


def _other_pairs(name: str, mixture: Mix, project: Project) -> Iterator[str]:
    """Yield recipes whose scores cannot be averaged, as they differ in more than their scorer."""
    first, second = (project.mine.get(part) for part in (mixture.first, mixture.second))
    if first is None or second is None:
        return
    entries = [recipe.model_dump(exclude={"scorer", "relabel"}) for recipe in (first, second)]
    if differing := sorted(field for field in entries[0] if entries[0][field] != entries[1][field]):
        yield (
            f"mix.{name}.of: expected recipes that differ in nothing but the scorer with scores, got other "
            f"{', '.join(differing)} in {mixture.first!r} and {mixture.second!r}"
        )
    elif first.scorer == second.scorer:
        yield f"mix.{name}.of: expected recipes of two scorers with scores, got {first.scorer!r} in both"


def _no_weights(where: str, name: str, project: Project) -> Iterator[str]:
    """Yield a model's name if it is undefined, or the model cannot be trained, merged or exported."""
    if export := project.export.get(name):
        yield f"{where}: expected a model that is no export, got {name!r}; name {export.model!r}, its model"
    elif isinstance(project.fetch.get(name), Endpoint):
        yield f"{where}: expected a model with weights, got {name!r}, an endpoint; name another"
    else:
        yield from _no_encoder(where, name, project)


def _no_encoder(where: str, name: str, project: Project) -> Iterator[str]:
    """Yield a model's name if it is undefined or the model has no vectors."""
    if isinstance(project.fetch.get(name), Lexical):
        yield (
            f"{where}: expected an embedding model, got {name!r}, which is BM25 and has no vectors; only eval, "
            "predict, rerank and fuse can use it"
        )
        return
    if isinstance(project.fetch.get(name), Vectors):
        yield (
            f"{where}: expected an embedding model, got {name!r}, a table of vectors; only the guide of loss "
            "embed_distill can be one, without teacher_documents"
        )
        return
    if name in project.systems:
        yield f"{where}: expected one model, got {name!r}, a system of two; name one of them"
        return
    encoders = [known for known in _with_texts(project) if not isinstance(project.fetch.get(known), Lexical)]
    yield from _unknown(where, [name], encoders)


def _with_texts(project: Project) -> list[str]:
    """Return the models that read any text: all but tables of vectors."""
    return [name for name in project.models if not isinstance(project.fetch.get(name), Vectors)]


def _unknown(where: str, names: Iterable[str], known: Iterable[str]) -> Iterator[str]:
    seen: set[str] = set()
    for name in names:
        if name not in known:
            yield f"{where}: expected one of {', '.join(known) or 'none defined'}, got {name!r}"
        if name in seen:
            yield f"{where}: expected each name once, got {name!r} twice"
        seen.add(name)


def _parts(mixture: str, project: Project) -> set[str]:
    """Return all recipes and mixtures that a mixture contains, directly or not."""
    mix = project.mix
    return lineage.reached(mixture, lambda name: {mix[name].first, mix[name].second} if name in mix else set())
