"""A finished project in the working directory: `tuned` gained at home and passes the gate."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from retune.comparison.lineage import TunedModel
from retune.comparison.verdict_file import verdict_json
from retune.core.files import write_json
from retune.core.provenance import Origin, write_origins
from retune.core.records import Dataset, empty_split, write_dataset
from retune.publishing.publish import Folders, Options, publish
from tests.support.comparisons import PARAMS, QUERIES, SCORES, compared
from tests.support.parameters import COMPUTE
from tests.support.training_task import corpus, split

BASE = Origin("model", "base", "Apache-2.0", "https://huggingface.co/org/base-model at 0123", "")
DATA = Origin("data", "home", "MIT", "made for a test", "any")
FOLDERS = Folders(Path("models"), Path("data/datasets"), Path("metrics"), Path("published"))
TUNED = {"tuned": TunedModel("base", "home", ("home",), {"epochs": 2, "seed": None})}
Publish = Callable[..., Path]


def write_verdict(
    folder: Path,
    *,
    farther: float = 0.6,
    more: Mapping[str, TunedModel] = MappingProxyType({}),
    lost: float = 0.0,
    gate: Mapping[str, float] | None = PARAMS["gate"],
) -> None:
    """Compare the models and write the verdict.

    Args:
        folder: The project.
        farther: What `tuned` scores there; the base has 0.6.
        more: Models beside `tuned`, which score what it scores.
        lost: What these score less at home.
        gate: The gate.
    """
    scores = {model: datasets | {"farther": [0.6] * QUERIES} for model, datasets in SCORES.items()}
    scores["tuned"]["farther"] = [farther] * QUERIES
    scores |= {name: scores["tuned"] | {"home": [0.7 - lost] * QUERIES} for name in more}
    for name in more:
        write_json(folder / f"compared/metrics/merge/{name}.json", {"weight": 0.75, "points": []})
        write_json(folder / f"compared/metrics/export/{name}.json", {})
    found = compared(folder / "compared", scores, TUNED | dict(more), gate=gate)
    write_json(folder / "metrics/verdict.json", verdict_json(found))
    shutil.rmtree(folder / "compared")


@pytest.fixture(scope="session")
def finished(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    write_verdict(folder)
    for name, origins in (("base", [BASE]), ("tuned", [BASE, DATA])):
        shutil.copytree(tiny_model, folder / "models" / name)
        write_origins(folder / "models" / name, origins)
    write_json(folder / "models/bm25/bm25.json", {"ranking": "bm25"})
    for name in ("home", "far", "farther"):
        splits = {"train": empty_split(), "dev": split(), "test": split()}
        write_dataset(folder / "data/datasets" / name, Dataset(corpus(), splits))
        write_json(folder / f"metrics/eval/tuned/{name}.json", {"ndcg_at_10": 0.7, "recall_at_10": 1.0})
        write_json(folder / f"metrics/data/{name}.json", {"corpus": {"language": {"de": 0.2, "en": 0.75, "la": 0.05}}})
    return folder


@pytest.fixture
def project(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(finished, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


@pytest.fixture
def publish_it(project: Path) -> Publish:
    """Publishes a model of the project."""

    def call(model: str = "tuned", *, precision: str = "0.9", force: str = "", repo: str = "", base: str = "") -> Path:
        return publish(Options(model, precision, force, repo, base), FOLDERS, COMPUTE)

    return call
