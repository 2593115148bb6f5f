"""Models that would be made from themselves."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from retune.check.predictions import is_predicted
from retune.check.project import Project
from retune.comparison import lineage


def circles(project: Project) -> Iterator[str]:
    """Yield tuned models and systems that are made from themselves."""
    sections: dict[str, Iterable[str]] = {
        "finetune": project.finetune, "merge": project.merge, "rerank": project.rerank, "fuse": project.fuse,
    }  # fmt: skip
    for section, name in ((section, name) for section, entries in sections.items() for name in entries):
        if name in lineage.reached(name, lambda model: _parents(model, project)):
            yield f"{section}.{name}: expected a chain of models that ends at a fetched one, got a circle"


def _parents(name: str, project: Project) -> set[str]:
    """Return the models that a model is made from: base, guide, and those behind its training data."""
    if export := project.export.get(name):
        return {export.model}
    if system := project.systems.get(name):
        return {*system.parts}
    if merge := project.merge.get(name):
        return {merge.base, *merge.tuned_models}
    if name not in project.finetune:
        return set()
    model = project.finetune[name]
    recipes = [project.mine[recipe] for recipe in lineage.recipes(model.data, project.mine, project.mix)]
    datasets = {dataset for recipe in recipes for dataset in (recipe.dataset, recipe.pool)}
    filters = {project.synthesize[dataset].model for dataset in datasets & {*project.synthesize}}
    read = [project.convert[dataset].raw for dataset in datasets & {*project.convert}]
    labellers = {project.predict[Path(raw).name].model for raw in read if is_predicted(raw)}
    miners = {miner for recipe in recipes for miner in (recipe.model, recipe.scorer)}
    return {model.base, model.guide} | filters | labellers | miners
