"""Where fine-tuned models come from, read from the sections of params.yaml."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from retune.core.errors import InputError
from retune.params.eval import Eval
from retune.params.finetune import Finetune
from retune.params.mine import Mine
from retune.params.mix import Mix
from retune.params.synthesize import Synthesize


@dataclass(frozen=True)
class Run:
    """A fine-tuned model.

    Attributes:
        base: The model it started from.
        home: The data set it was trained for.
        mined: The mined set it was trained on, and those in it if that is a mixture.
    """

    base: str
    home: str
    mined: tuple[str, ...]


def read_runs(listed: Eval) -> dict[str, Run]:
    """Return the runs among the models evaluated, by name.

    Raises:
        InputError: A run's base or home is not evaluated.
    """
    finetune, mine, mixes = (Finetune.read_entries("finetune"), Mine.read_entries("mine"), Mix.read_entries("mix"))
    runs = trace(finetune, mine, mixes, Synthesize.read_entries("synthesize"))
    runs = {name: run for name, run in runs.items() if name in listed.models}
    if findings := list(unlisted(runs, listed)):
        raise InputError("\n".join(f"params.yaml: {finding}" for finding in findings))
    return runs


def unlisted(runs: Mapping[str, Run], listed: Eval) -> Iterator[str]:
    """Yield what a comparison of the runs lacks: bases and home data sets that are not evaluated."""
    for name, run in runs.items():
        if run.base not in listed.models:
            yield f"eval.models: expected {run.base!r}, the base of {name!r}, got none; add it"
        if run.home not in listed.datasets:
            yield f"eval.datasets: expected {run.home!r}, which {name!r} is tuned for, got none; add it"


def recipes(data: str, mine: Mapping[str, Mine], mixes: Mapping[str, Mix]) -> list[str]:
    """Return the recipe of this name, or those of the mixture of this name, the first first."""
    if data in mine:
        return [data]
    return [recipe for part in (mixes[data].first, mixes[data].second) for recipe in recipes(part, mine, mixes)]


def trace(
    finetune: Mapping[str, Finetune],
    mine: Mapping[str, Mine],
    mixes: Mapping[str, Mix],
    synthesize: Mapping[str, Synthesize],
) -> dict[str, Run]:
    """Follow each run to its home: the converted data set of its examples, or of their synthesis.

    Of a mixture it is that of its first.
    """
    runs = {}
    for name, run in finetune.items():
        dataset = mine[recipes(run.data, mine, mixes)[0]].dataset
        home = synthesize[dataset].dataset if dataset in synthesize else dataset
        mined = dict.fromkeys([run.data, *recipes(run.data, mine, mixes)])
        runs[name] = Run(run.base, home, tuple(mined))
    return runs


def reached(start: str, following: Callable[[str], set[str]]) -> set[str]:
    """Return all names that one leads to, itself only in a circle."""
    found: set[str] = set()
    open_ends = [start]
    while open_ends:
        new = following(open_ends.pop()) - found
        found |= new
        open_ends += new
    return found
