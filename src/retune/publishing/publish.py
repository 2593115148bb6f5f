"""Write the folder of a model for the Hub: the model, its card and its scores as MTEB writes them."""

import logging
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from retune.core.errors import InputError
from retune.core.files import atomic_directory, write_json, write_text
from retune.core.provenance import read_origins
from retune.encoding.compute import Compute
from retune.publishing.card import card_text
from retune.publishing.contents import licensed_origins, publishable_files
from retune.publishing.judged import Judged, read_judged
from retune.publishing.metadata import card_metadata, read_languages
from retune.publishing.mteb_results import task_result
from retune.publishing.thresholds import measure_shift

CARD = "README.md"
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
        force: `1` publishes a model whose gate failed.
        repo: The repository on the Hub; empty if there is none yet.
    """

    model: str
    precision: str
    force: str
    repo: str


def publish(options: Options, folders: Folders, compute: Compute) -> Path:
    """Write `published/<model>`, and return it.

    Raises:
        InputError: The model may not be published, or an input is missing or malformed; nothing is written.
    """
    precision = _precision(options.precision)
    if options.repo and REPOSITORY.fullmatch(options.repo) is None:
        raise InputError(f"REPO: expected organisation/name, got {options.repo!r}")
    verdict = folders.metrics / "verdict.json"
    judged = read_judged(verdict, folders.models, options.model, is_forced=options.force == "1")
    folder, out = judged.folder, folders.published / judged.name
    files, origins = publishable_files(folder), licensed_origins(folder)
    base = folders.models / judged.verdict.base
    home, dtype = folders.datasets / judged.verdict.home, judged.settings["eval"].get("dtype", "auto")
    languages = read_languages(folders.metrics / "data" / f"{home.name}.json")
    metadata = card_metadata(judged, origins, read_origins(base), languages)
    results = {
        measurement.dataset: _result(judged, folders, measurement.dataset) for measurement in judged.measurements
    }
    shift = measure_shift([base, folder], home, compute, dtype=dtype, precision=precision)
    text = card_text(judged, origins, shift, place=options.repo or str(out))
    with atomic_directory(out) as partial:
        for file in files:
            (partial / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / file, partial / file)
        write_text(partial / CARD, f"---\n{metadata.to_yaml(line_break=chr(10))}\n---\n\n{text}")
        for name, result in results.items():
            write_json(partial / RESULTS / f"{name}.json", result)
    LOG.info("%s: written", out)
    return out


def _result(judged: Judged, folders: Folders, dataset: str) -> dict[str, object]:
    languages = read_languages(folders.metrics / "data" / f"{dataset}.json")
    scores = folders.metrics / "eval" / judged.name / f"{dataset}.json"
    return task_result(scores, folders.datasets / dataset, judged.comparison.params.metric, languages)


def _precision(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value <= 1.0:
        raise InputError(f"PRECISION: expected a share above 0 and up to 1, such as 0.9, got {text!r}")
    return value
