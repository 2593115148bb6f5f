"""Where fine-tuned models come from, read from the sections of params.yaml."""

from collections.abc import Mapping
from dataclasses import dataclass

from retune.params.finetune import Finetune
from retune.params.mine import Mine
from retune.params.synthesize import Synthesize


@dataclass(frozen=True)
class Run:
    """A fine-tuned model: the model it started from and the data set it was trained for."""

    base: str
    home: str


def read_runs() -> dict[str, Run]:
    """Return every run of params.yaml by name."""
    finetune = Finetune.read_entries("finetune")
    return trace(finetune, Mine.read_entries("mine"), Synthesize.read_entries("synthesize"))


def trace(
    finetune: Mapping[str, Finetune], mine: Mapping[str, Mine], synthesize: Mapping[str, Synthesize]
) -> dict[str, Run]:
    """Follow each run to its home: the converted data set of its examples, or of their synthesis."""
    runs = {}
    for name, run in finetune.items():
        dataset = mine[run.data].dataset
        home = synthesize[dataset].dataset if dataset in synthesize else dataset
        runs[name] = Run(run.base, home)
    return runs
