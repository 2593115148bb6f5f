"""Write the folder of a model for the Hub: the model, its card and its scores as MTEB writes them."""

import logging
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from retune.comparison.verdict import FEWEST
from retune.core.errors import InputError
from retune.core.files import atomic_directory, write_json, write_text
from retune.core.provenance import Origin, read_origins
from retune.encoding.compute import Compute
from retune.publishing.card import Place, card_text
from retune.publishing.contents import licensed_origins, published_files
from retune.publishing.judged import Judged, read_judged
from retune.publishing.metadata import card_metadata, hub_name, read_languages
from retune.publishing.mteb_results import task_result
from retune.publishing.thresholds import Shift, Wanted, measure_shift

README = "README.md"
RESULTS = "results"  # the folder of MTEB's files
REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Folders:
    """Where the project keeps what is published.

    Attributes:
        models: `<model>/`.
        datasets: `<dataset>/`.
        metrics: verdict.json, `eval/<model>/<dataset>.json` and `data/<dataset>.json`.
        published: `<model>/`, which is written.
    """

    models: Path
    datasets: Path
    metrics: Path
    published: Path


@dataclass(frozen=True)
class Options:
    """What to publish, as given on the command line.

    Attributes:
        model: The tuned model.
        precision: The precision that the score threshold is computed for.
        force: `1` publishes a model that did not pass the gate.
        repo: The repository on the Hub; empty if there is none yet.
        base: The base's repository on the Hub; empty if the base was fetched from there, or is not there.
    """

    model: str
    precision: str
    force: str
    repo: str
    base: str


def publish(options: Options, folders: Folders, compute: Compute) -> Path:
    """Write `published/<model>`, and return it.

    Raises:
        InputError: The model may not be published, or an input is missing or malformed; nothing is written.
    """
    _check_repositories(options)
    judged = read_judged(
        folders.metrics / "verdict.json", folders.models, options.model, is_forced=options.force == "1"
    )
    folder, out = judged.folder, folders.published / judged.name
    files, origins = published_files(folder), _with_repository(licensed_origins(folder), judged.base, options.base)
    metadata = card_metadata(
        judged, origins, _bases(judged, folders, options), _languages(folders, judged.verdict.home)
    )
    results = {measured.dataset: _result(judged, folders, measured.dataset) for measured in judged.measurements}
    text = card_text(judged, origins, _shift(judged, folders, options, compute), Place(out, options.repo))
    with atomic_directory(out) as partial:
        for name, file in files.items():
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, partial / name)
        write_text(partial / README, f"---\n{metadata.to_yaml(line_break=chr(10))}\n---\n\n{text}")
        for dataset, result in results.items():
            write_json(partial / RESULTS / f"{dataset}.json", result)
    LOG.info("%s: written", out)
    return out


def _check_repositories(options: Options) -> None:
    for option, value in (("REPO", options.repo), ("BASE", options.base)):
        if value and REPOSITORY.fullmatch(value) is None:
            raise InputError(f"{option}: expected organisation/name, got {value!r}")


def _with_repository(origins: Sequence[Origin], base: str, repo: str) -> list[Origin]:
    """Return the origins, of which the base has its repository on the Hub beside its source."""
    return [
        replace(origin, source=f"{origin.source}; https://huggingface.co/{repo}")
        if repo and (origin.kind, origin.name) == ("model", base)
        else origin
        for origin in origins
    ]


def _bases(judged: Judged, folders: Folders, options: Options) -> list[str]:
    """Return the base's repository on the Hub, or its name here; several if it was made from several models."""
    if options.base:
        return [options.base]
    names = [hub_name(origin) for origin in read_origins(folders.models / judged.base) if origin.kind == "model"]
    if elsewhere := [name for name in names if "/" not in name]:
        LOG.warning("base_model: %s was not fetched from the Hub; BASE=organisation/name names it", elsewhere[0])
    return names


def _shift(judged: Judged, folders: Folders, options: Options, compute: Compute) -> Shift:
    models = [folders.models / judged.verdict.base, judged.folder]
    evaluated = judged.settings["eval"]
    wanted = Wanted(
        _precision(options.precision),
        judged.comparison.params.confidence,
        evaluated.get("dtype", "auto"),
        evaluated.get("exclude_same_id", False),
    )
    shift = measure_shift(models, folders.datasets / judged.verdict.home, compute, wanted)
    if shift.queries and shift.fewest_answered < FEWEST:
        LOG.warning(
            "%s: a threshold for a precision of %g rests on %d of %d dev queries, which is uncertain; choose a lower "
            "PRECISION, or more dev queries", judged.name, shift.precision, shift.fewest_answered, shift.queries,
        )  # fmt: skip
    return shift


def _languages(folders: Folders, dataset: str) -> list[str]:
    return read_languages(folders.metrics / "data" / f"{dataset}.json")


def _result(judged: Judged, folders: Folders, dataset: str) -> dict[str, object]:
    scores = folders.metrics / "eval" / judged.name / f"{dataset}.json"
    metric = judged.comparison.params.metric
    return task_result(scores, folders.datasets / dataset, metric, _languages(folders, dataset))


def _precision(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value <= 1.0:
        raise InputError(f"PRECISION: expected a share above 0 and up to 1, such as 0.9, got {text!r}")
    return value
