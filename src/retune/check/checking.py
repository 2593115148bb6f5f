"""Check all of params.yaml across its sections, before anything runs."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from retune.check.compare_checks import compared_metrics, too_few_resamples, unguarded_runs, unknown_datasets
from retune.check.project import Project
from retune.check.references import unknown_names, wrong_mixtures
from retune.comparison import lineage
from retune.core.errors import InputError
from retune.core.section import DEFAULTS, NAME, Section, defaults_of, origins
from retune.datasets import convert as converting
from retune.encoding.compute import Compute
from retune.evaluation.metrics import UNCUT, parse_metric
from retune.models.encoding_settings import Encoding
from retune.params.compare import Compare
from retune.params.convert import Convert
from retune.params.eval import Eval
from retune.params.fetch import parse_entry
from retune.params.finetune import Finetune
from retune.params.mine import Mine
from retune.params.mix import Mix
from retune.params.predict import Predict
from retune.params.synthesize import Synthesize


class Defaults(Section):
    """What completes the entries of a stage: only what all its formats and methods have in common."""

    fetch: dict[str, Any]
    convert: dict[str, Any]
    mine: dict[str, Any]
    finetune: dict[str, Any]


class _Top(Section):
    """The sections there are; entries of the open ones are checked one by one."""

    defaults: Defaults
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    compute: Compute
    fetch: dict[str, Any]
    convert: dict[str, Any]
    synthesize: dict[str, Any]
    mine: dict[str, Any]
    mix: dict[str, Any]
    finetune: dict[str, Any]
    eval: Eval
    compare: Compare
    predict: dict[str, Any]


PARSERS: dict[str, Callable[[str, Any, Mapping[str, Any]], Section]] = {
    "fetch": parse_entry,
    "convert": converting.parse_params,
    "synthesize": Synthesize.parse,
    "mine": Mine.parse,
    "mix": Mix.parse,
    "finetune": Finetune.parse,
    "predict": Predict.parse,
}


COMMON: dict[str, type[Section]] = {"fetch": Encoding, "convert": Convert, "mine": Mine, "finetune": Finetune}
OF_ONE_ENTRY = {  # what dvc.yaml interpolates, which must stand in every entry
    "fetch": set[str](),
    "convert": {"format", "raw"},
    "mine": {"dataset", "pool", "model", "scorer"},
    "finetune": {"base", "data", "dev", "guide"},
}


def check(params: Mapping[str, Any]) -> Project:
    """Check names, types, ranges and references of a whole params file.

    Raises:
        InputError: One line per finding; references are looked at once every entry is sound by itself.
    """
    top = _Top.parse("", dict(params))
    findings = list(_common_defaults(params))
    sections: dict[str, dict[str, Any]] = {section: {} for section in PARSERS}
    for section, parse in PARSERS.items():
        for name, value in getattr(top, section).items():
            if not re.fullmatch(NAME, name):
                findings.append(f"{section}.{name}: expected a name of a-z, 0-9 and _, got {name!r}")
            try:
                sections[section][name] = parse(f"{section}.{name}", value, defaults_of(params, section))
            except InputError as error:
                findings += [line.removeprefix("params.yaml: ") for line in str(error).splitlines()]
    findings = list(dict.fromkeys(findings))  # a wrong default is found in every entry
    if not findings:
        project = Project(**sections, eval=top.eval, compare=top.compare)
        findings = [*unknown_names(project), *wrong_mixtures(project), *_comparison(project)]
        findings = findings or [*_splits(project), *_licences(project), *_runs(project)]
    if findings:
        raise InputError("\n".join(f"params.yaml: {finding}" for finding in findings))
    return project


def show(params: Mapping[str, Any], key: str) -> str:
    """Return an entry as it runs, a value a line, each with the section where it stands.

    Raises:
        InputError: There is no such entry, or it is wrong.
    """
    section, _, name = key.partition(".")
    entries = params.get(section, {})
    if section not in PARSERS or name not in entries:
        known = [f"{each}.{one}" for each in PARSERS for one in params.get(each, {})]
        raise InputError(f"params.yaml: {key}: expected an entry, one of {', '.join(known)}")
    defaults = defaults_of(params, section)
    value = PARSERS[section](key, entries[name], defaults).model_dump()
    lines = [
        (f"{path}: {json.dumps(each, ensure_ascii=False)}", place)
        for path, each, place in origins(key, value, entries[name], defaults)
    ]
    width = max(len(line) for line, _ in lines)
    return "\n".join([f"{key}:", *(f"  {line:<{width}}  # {place}" for line, place in lines)])


def _common_defaults(params: Mapping[str, Any]) -> Iterator[str]:
    """Yield defaults that belong to one format or method of a stage alone, or to one entry."""
    for section, kind in COMMON.items():
        for name in defaults_of(params, section):
            if name not in kind.model_fields or name in OF_ONE_ENTRY[section]:
                yield f"{DEFAULTS}.{section}.{name}: expected what every entry may share; write it in the entry"


def check_files(project: Project) -> None:
    """Check the files that are a user's own: raw data, queries to predict for, lists of excluded documents.

    Raises:
        InputError: One line per path that is missing or empty, or list that belongs to no data set evaluated.
    """
    paths = {f"convert.{name}.raw": entry.raw for name, entry in project.convert.items()}
    paths |= {f"predict.{name}.queries": entry.queries for name, entry in project.predict.items()}
    findings = [
        f"params.yaml: {key}: expected data at {path}, found {found}; put it there"
        for key, path in paths.items()
        if (found := _found(Path(path)))
    ]
    findings += [
        f"{path}: expected the name of a data set under eval.datasets, got {path.stem!r}; rename or remove it"
        for path in sorted(Path("data/excluded").glob("*.csv"))
        if path.stem not in project.eval.datasets
    ]
    if findings:
        raise InputError("\n".join(findings))


def _found(raw: Path) -> str:
    """Name what is wrong with a raw path, or nothing."""
    if not raw.exists():
        return "nothing"
    is_empty = not any(raw.iterdir()) if raw.is_dir() else raw.stat().st_size == 0
    return ("an empty folder" if raw.is_dir() else "an empty file") if is_empty else ""


def _comparison(project: Project) -> Iterator[str]:
    """Yield metrics that are none, and references to what is not evaluated."""
    yield from _metrics(project)
    yield from unknown_datasets(project.compare, project.eval.datasets)


def _metrics(project: Project) -> Iterator[str]:
    for name, run in project.finetune.items():
        yield from _metric(f"finetune.{name}.dev_metric", run.dev_metric)
    for where, metric, datasets in compared_metrics(project.compare, project.eval):
        if metric not in UNCUT:
            yield from _metric(where, metric, project.eval.ks)
        elif whole := sorted(set(datasets) - set(project.eval.judged_only)):
            yield (
                f"{where}: expected a metric at a k, as the whole corpus of {whole[0]!r} is ranked, got {metric!r}; "
                f"or list {', '.join(whole)} in eval.judged_only"
            )


def _metric(where: str, key: str, ks: list[int] | None = None) -> Iterator[str]:
    try:
        _, k = parse_metric(key)
    except InputError as error:
        yield f"{where}: {error}"
        return
    if ks is not None and k not in ks:
        yield f"{where}: expected a k of eval.ks ({', '.join(map(str, ks))}), got {key!r}; add {k} to eval.ks"


def _splits(project: Project) -> Iterator[str]:
    """Yield data sets that lack the split they are used for."""
    for name in project.eval.datasets:
        if project.convert[name].test == 0.0:
            yield f"convert.{name}.test: expected a share above 0 or given, got 0.0; eval.datasets lists the data set"
    for name, recipe in project.mine.items():
        entry = project.convert.get(recipe.dataset)
        if entry and entry.assign_all_to in ("dev", "test"):
            held = f"whose assign_all_to is {entry.assign_all_to}"
            yield f"mine.{name}.dataset: expected a data set with train queries, got {recipe.dataset!r} {held}"
    for name, run in project.finetune.items():
        dev = project.convert.get(run.dev) or project.synthesize[run.dev]
        if dev.dev == 0.0 and run.method != "none":
            yield f"finetune.{name}.dev: expected a data set with a dev split, got {run.dev!r} whose dev is 0.0"


def _licences(project: Project) -> Iterator[str]:
    """Yield data sets made for evaluation only that something trains on."""
    trained = {f"mine.{name}.dataset": recipe.dataset for name, recipe in project.mine.items()}
    trained |= {f"mine.{name}.pool": recipe.pool for name, recipe in project.mine.items()}
    trained |= {f"synthesize.{name}.dataset": synthetic.dataset for name, synthetic in project.synthesize.items()}
    for where, dataset in trained.items():
        if dataset in project.convert and project.convert[dataset].use == "evaluation_only":
            yield (
                f"{where}: expected a data set to train on, got {dataset!r} whose use is evaluation_only; "
                f"take another, or write convert.{dataset}.use: training_against_licence"
            )


def _runs(project: Project) -> Iterator[str]:
    """Yield runs that cannot be trained or compared."""
    runs = lineage.trace(project.finetune, project.mine, project.mix, project.synthesize)
    yield from lineage.unlisted({name: runs[name] for name in runs if name in project.eval.models}, project.eval)
    yield from unguarded_runs(project.compare, runs, project.eval)
    yield from too_few_resamples(project.compare, runs, project.eval)
    for name, run in project.finetune.items():
        for recipe in lineage.recipes(run.data, project.mine, project.mix):
            if run.hard_negatives > project.mine[recipe].negatives:
                most = f"mine.{recipe}.negatives ({project.mine[recipe].negatives})"
                yield f"finetune.{name}.hard_negatives: expected at most {most}, got {run.hard_negatives}"
        if run.trainer:
            yield from _trainer_arguments(name, run)
    for name in project.finetune:
        if name in _ancestors(name, project):
            yield f"finetune.{name}: expected a chain of models that ends at a fetched one, got a circle"


def _trainer_arguments(name: str, run: Finetune) -> Iterator[str]:
    """Yield the first of a run's training arguments that the trainer would refuse."""
    from retune.training.arguments import refusal  # some seconds, which most projects need not wait

    if reason := refusal(run):
        yield f"finetune.{name}: {reason}"


def _ancestors(run: str, project: Project) -> set[str]:
    """Return the models a run is made from, directly or not."""
    return lineage.reached(
        run, lambda name: _parents(project.finetune[name], project) if name in project.finetune else set()
    )


def _parents(run: Finetune, project: Project) -> set[str]:
    """Return the models that a run reads, or that mined for it."""
    recipes = [project.mine[name] for name in lineage.recipes(run.data, project.mine, project.mix)]
    return {run.base, run.guide} | {model for recipe in recipes for model in (recipe.model, recipe.scorer)}
