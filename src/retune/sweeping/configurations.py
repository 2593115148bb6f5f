"""The trainings of a sweep: the parameters and the inputs of each, checked before the first one starts."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from retune.core.errors import InputError, ParameterError
from retune.core.records import read_mined, read_split, write_mined
from retune.core.section import read_all, read_defaults, read_value
from retune.encoding.compute import Compute
from retune.params.compare import Compare
from retune.params.finetune import Finetune
from retune.sweeping.grid import Values, changed, combinations, draw, read_grid
from retune.sweeping.labels import read_shares, subset
from retune.sweeping.request import SECTION, Folders, Request
from retune.training.spec import Task

STAGES = {"base": ("fetch", "finetune", "merge"), "data": ("mine", "mix"), "dev": ("convert", "synthesize")}
STAGES["guide"] = (*STAGES["base"], "export")


@dataclass(frozen=True)
class Configuration:
    """One training of a sweep.

    Attributes:
        values: What it differs in, by name: parameters, or the share and the number of training queries.
        task: The training.
        scored: The training as far as scoring goes: a sample of dev documents is that of the entry as it stands.
    """

    values: Values
    task: Task
    scored: Task


@dataclass(frozen=True)
class Sweep:
    """All trainings of a sweep.

    Attributes:
        request: The arguments of the command.
        configurations: The trainings, in the order in which they start.
        size: The number of configurations that some were drawn from, or that all are.
        seed: The seed of the model, and of all draws.
        seconds: The time after which no further training starts.
        compare: The level of the intervals and the number of resamples.
    """

    request: Request
    configurations: list[Configuration]
    size: int
    seed: int
    seconds: float
    compare: Compare


def read_sweep(request: Request, folders: Folders) -> Sweep:
    """Return the sweep that a request describes, with all its parameters and inputs checked.

    Raises:
        InputError: An argument, the entry or a configuration is wrong, or an input of a training is absent.
    """
    entry, seconds, compare = read_entry(request), request.seconds, Compare.read("compare")
    params = Finetune.parse(request.entry, entry, read_defaults(request.entry))
    if params.method == "none":
        raise InputError(f"params.yaml: {request.entry}.method: expected a method that trains, got none")
    seed = int(read_value("seed")) if params.seed is None else params.seed
    task = _task(params, folders, seed)
    if request.labels:
        _check_inputs(task, f"params.yaml: {request.entry}")
        configurations = _with_fewer_labels(task, request, folders)
        return Sweep(request, configurations, len(configurations), seed, seconds, compare)
    grid = combinations(read_grid(request.grid))
    drawn = draw(grid, request.random, seed) if request.random else grid
    configurations = [_configured(task, values, entry, request, folders) for values in drawn]
    for configuration in configurations:
        _check_inputs(configuration.task, f"--try: {request.entry}")
    return Sweep(request, configurations, len(grid), seed, seconds, compare)


def read_entry(request: Request) -> dict[str, Any]:
    """Return the entry of params.yaml as it stands there.

    Raises:
        InputError: The request names none.
    """
    request.check()
    entries = read_all().get(SECTION) or {}
    if request.model not in entries:
        names = ", ".join(entries) or "none"
        raise ParameterError([f"{SECTION}: expected an entry {request.model!r}, found {names}"])
    return dict(entries[request.model])


def _configured(
    task: Task, values: Values, entry: Mapping[str, Any], request: Request, folders: Folders
) -> Configuration:
    """Return the training of an entry with some of its values changed."""
    try:
        params = Finetune.parse(request.entry, changed(entry, values), read_defaults(request.entry))
    except ParameterError as error:
        raise ParameterError(error.findings, "--try") from None
    other = _task(params, folders, task.seed if params.seed is None else params.seed)
    return Configuration(values, other, replace(other, mined=task.mined, seed=task.seed))


def _task(params: Finetune, folders: Folders, seed: int) -> Task:
    return Task(
        base=folders.models / params.base,
        mined=folders.mined / params.data,
        dev=folders.datasets / params.dev,
        params=params,
        compute=Compute.read("compute"),
        seed=seed,
        guide=folders.models / params.guide,
    )


def _with_fewer_labels(task: Task, request: Request, folders: Folders) -> list[Configuration]:
    """Write the mined set with each share of the queries, and return the trainings on them.

    Raises:
        InputError: A share has fewer queries than a batch, or as many as another.
    """
    mined = read_mined(task.mined)
    configurations: list[Configuration] = []
    for share in read_shares(request.labels):
        drawn = subset(mined, share, batch_size=task.params.batch_size, seed=task.seed)
        if configurations and configurations[-1].values["queries"] == len(drawn.examples):
            shares = f"{configurations[-1].values['share']:g} and {share:g}"
            raise InputError(f"--labels: expected shares that differ in queries, got {shares}; remove one")
        folder = task.mined
        if len(drawn.examples) < len(mined.examples):
            folder = folders.trainings / request.model / f"{task.params.data}_{len(drawn.examples)}"
            write_mined(folder, drawn)
        values = {"share": share, "queries": len(drawn.examples)}
        configurations.append(Configuration(values, replace(task, mined=folder), task))
    return configurations


def _check_inputs(task: Task, entry: str) -> None:
    """Check that the inputs of a training are there, and that the dev split has queries.

    Raises:
        InputError: One line for each that is absent, with the command that makes it.
    """
    if absent := [
        _absent(f"{entry}.{parameter}", parameter, path) for parameter, path in _inputs(task) if not path.exists()
    ]:
        raise InputError("\n".join(absent))
    if read_split(task.dev, "dev").queries.empty:
        raise InputError(
            f"{task.dev}: expected dev queries, got an empty dev split; set convert.<name>.dev to make one"
        )


def _inputs(task: Task) -> Iterator[tuple[str, Path]]:
    """Yield what a training reads: the parameter that names it, and a file or folder that it must have."""
    yield "base", task.base
    yield "data", task.mined / "examples.parquet"
    yield "dev", task.dev / "corpus.parquet"
    yield "dev", task.dev / "dev"
    if task.params.needs_guide:
        yield "guide", task.guide


def _absent(where: str, parameter: str, path: Path) -> str:
    name = path.parent.name if parameter in ("data", "dev") else path.name
    params = read_all()
    known = {entry: stage for stage in STAGES[parameter] for entry in params.get(stage) or {}}
    if name in known:
        return f"{path}: expected an input of the training, found nothing; run dvc repro {known[name]}@{name}"
    sections = " or ".join(STAGES[parameter])
    return f"{where}: expected an entry of {sections} ({', '.join(known)}), got {name!r}"
