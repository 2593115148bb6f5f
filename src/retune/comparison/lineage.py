"""The base, the home and the mined sets of each tuned or merged model, export and system, read from params.yaml."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

from retune.core.errors import ParameterError
from retune.core.section import read_value
from retune.params.eval import Eval
from retune.params.export import Export
from retune.params.finetune import Finetune
from retune.params.fuse import Fuse
from retune.params.merge import Merge
from retune.params.mine import Mine
from retune.params.mix import Mix
from retune.params.rerank import Rerank
from retune.params.synthesize import Synthesize


@dataclass(frozen=True)
class TunedModel:
    """A fine-tuned model, one that was merged from some, an export of a model, or a system with one of these.

    Attributes:
        base: The model that was tuned or exported, or the first of a system.
        home: The data set it was tuned for. That of an export is its model's, or `dataset` if its model is fetched;
            that of a system is its first model's that has one.
        mined: The mined set it was trained on; of a mixture also the sets that were mixed.
        parameters: Its entry in `finetune`, `merge`, `export`, `rerank` or `fuse`, completed by the defaults.
        trained_on: The data sets whose train queries it was trained on, which may be synthetic.
        merged_from: The tuned models that it was merged from; empty if it was not merged.
        is_export: Whether it is an export, which must be as good as its model on all data sets.
        is_system: Whether it is a system of two models.
        trained_parts: The models of a system that were trained themselves.
    """

    base: str
    home: str
    mined: tuple[str, ...]
    parameters: Mapping[str, Any]
    trained_on: tuple[str, ...] = ()
    merged_from: tuple[str, ...] = ()
    is_export: bool = False
    is_system: bool = False
    trained_parts: tuple[str, ...] = ()

    @property
    def is_trained(self) -> bool:
        """Return whether it was trained itself, and so has a history."""
        return not (self.merged_from or self.is_export or self.is_system)


def names_with_history(tuned_models: Mapping[str, TunedModel]) -> list[str]:
    """Return the trained models, and the trained parts of systems, even if these are not evaluated themselves."""
    names = ([name] if tuned.is_trained else tuned.trained_parts for name, tuned in tuned_models.items())
    return list(dict.fromkeys(chain.from_iterable(names)))


class Recipe(NamedTuple):
    """What counts of a mining recipe in a comparison, and needs none of its defaults."""

    dataset: str


def read_tuned_models(listed: Eval) -> dict[str, TunedModel]:
    """Return the tuned models among the models evaluated, by name.

    Raises:
        InputError: The base or the home of a tuned model is not evaluated.
    """
    tuned_models = trace_all(listed)
    evaluated = {name: model for name, model in tuned_models.items() if name in listed.models}
    if findings := list(unlisted(evaluated, listed)):
        raise ParameterError(findings)
    return evaluated


def trace_all(listed: Eval) -> dict[str, TunedModel]:
    """Return all tuned models of params.yaml, by name."""
    finetune, mixes = Finetune.read_entries("finetune"), Mix.read_entries("mix")
    mine = {name: Recipe(entry["dataset"]) for name, entry in read_value("mine").items()}
    synthesize, merges = Synthesize.read_entries("synthesize"), Merge.read_entries("merge")
    tuned_models = trace(finetune, mine, mixes, synthesize, evaluated=listed.datasets)
    tuned_models |= trace_merges(merges, tuned_models)
    tuned_models |= trace_exports(Export.read_entries("export"), tuned_models)
    systems: dict[str, Rerank | Fuse] = {**Rerank.read_entries("rerank"), **Fuse.read_entries("fuse")}
    return tuned_models | trace_systems(systems, tuned_models)


def unlisted(tuned_models: Mapping[str, TunedModel], listed: Eval) -> Iterator[str]:
    """Yield a line for each base and each home data set that a comparison needs and that is not evaluated."""
    for name, model in tuned_models.items():
        if model.base not in listed.models:
            yield f"eval.models: expected {model.base!r}, the base of {name!r}, got none; add it"
        homes = list(dict.fromkeys([model.home, *model.trained_on[:1]]))  # a source, and its synthetic data set
        if model.home not in listed.datasets:
            expected = " or ".join(map(repr, homes))
            missing = "got neither; add one" if len(homes) > 1 else "got none; add it"
            purpose = "is judged on" if model.is_export else "is tuned for"
            yield f"eval.datasets: expected {expected}, which {name!r} {purpose}, {missing}"


def recipes(data: str, mine: Mapping[str, Mine | Recipe], mixes: Mapping[str, Mix]) -> list[str]:
    """Return the mining recipe of this name, or those of the mixture of this name, in the order of the mixture."""
    if data in mine:
        return [data]
    mixture = mixes[data]
    return [recipe for name in (mixture.first, mixture.second) for recipe in recipes(name, mine, mixes)]


def trace(
    finetune: Mapping[str, Finetune],
    mine: Mapping[str, Mine | Recipe],
    mixes: Mapping[str, Mix],
    synthesize: Mapping[str, Synthesize],
    *,
    evaluated: Collection[str],
) -> dict[str, TunedModel]:
    """Find the home of each tuned model: the one its entry names, or the converted data set of its training queries.

    Synthetic queries belong to the data set they were synthesised from if that is evaluated, so that real queries
    judge the model; if only the synthetic data set is evaluated, they belong to that. A mixture belongs to its first
    recipe's data set.
    """
    tuned_models = {}
    for name, entry in finetune.items():
        used = recipes(entry.data, mine, mixes)
        trained_on = dict.fromkeys(mine[recipe].dataset for recipe in used)
        dataset = next(iter(trained_on))
        source = synthesize[dataset].dataset if dataset in synthesize else dataset
        home = entry.home or (dataset if source not in evaluated and dataset in evaluated else source)
        mined = tuple(dict.fromkeys([entry.data, *used]))
        tuned_models[name] = TunedModel(entry.base, home, mined, entry.model_dump(mode="json"), tuple(trained_on))
    return tuned_models


def trace_merges(merges: Mapping[str, Merge], tuned_models: Mapping[str, TunedModel]) -> dict[str, TunedModel]:
    """Return the merged models, whose home is that of the first model they are merged from."""
    found: dict[str, TunedModel] = {}
    waiting = dict(merges)
    while ready := [name for name, entry in waiting.items() if {*entry.tuned_models} <= {*tuned_models, *found}]:
        for name in ready:
            entry = waiting.pop(name)
            parts = [tuned_models.get(part) or found[part] for part in entry.tuned_models]
            mined, trained_on = (
                tuple(dict.fromkeys(item for part in parts for item in getattr(part, field)))
                for field in ("mined", "trained_on")
            )
            parameters, merged_from = entry.model_dump(mode="json"), tuple(entry.tuned_models)
            found[name] = TunedModel(entry.base, parts[0].home, mined, parameters, trained_on, merged_from)
    return {name: found[name] for name in merges if name in found}


def trace_exports(exports: Mapping[str, Export], tuned_models: Mapping[str, TunedModel]) -> dict[str, TunedModel]:
    """Return the exports, whose base is the model that was exported."""
    return {
        name: TunedModel(
            entry.model,
            tuned_models[entry.model].home if entry.model in tuned_models else entry.dataset,
            (),
            entry.model_dump(mode="json"),
            is_export=True,
        )
        for name, entry in exports.items()
    }


def trace_systems(
    systems: Mapping[str, Rerank | Fuse], tuned_models: Mapping[str, TunedModel]
) -> dict[str, TunedModel]:
    """Return the systems that contain a tuned model; others have no home, and so no verdict."""
    found: dict[str, TunedModel] = {}
    waiting = dict(systems)
    while ready := [name for name, entry in waiting.items() if not {*entry.parts} & {*waiting}]:
        for name in ready:
            entry = waiting.pop(name)
            parts = {known: part for known in entry.parts if (part := tuned_models.get(known) or found.get(known))}
            if parts:
                home = next(iter(parts.values())).home
                mined = tuple(dict.fromkeys(recipe for part in parts.values() for recipe in part.mined))
                trained = [[known] if part.is_trained else part.trained_parts for known, part in parts.items()]
                found[name] = TunedModel(
                    entry.parts[0],
                    home,
                    mined,
                    entry.model_dump(mode="json"),
                    is_system=True,
                    trained_parts=tuple(dict.fromkeys(chain.from_iterable(trained))),
                )
    return {name: found[name] for name in systems if name in found}


def reached(start: str, following: Callable[[str], set[str]]) -> set[str]:
    """Return all names that can be reached from `start`, which is among them only if there is a circle."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        new = following(waiting.pop()) - found
        found |= new
        waiting += new
    return found
