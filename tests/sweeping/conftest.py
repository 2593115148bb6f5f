"""A small project in the working directory, with a model to sweep over."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from retune.sweeping.request import Folders, Request
from tests.support.parameters import FINETUNE
from tests.support.training_task import split, task

COMPARE = {
    "metric": "ndcg_at_3",
    "significance": 0.05,
    "confidence": 0.95,
    "resamples": 1000,
    "margin": 0.01,
    "changed_queries": 10,
}
FOLDERS = Folders(Path("models"), Path("data/datasets"), Path("data/mined"), Path(".retune/sweeps"), Path("reports"))


def change_params(**changes: object) -> None:
    """Change values of the entry `finetune.tuned`."""
    path = Path("params.yaml")
    params = yaml.safe_load(path.read_text())
    params["finetune"]["tuned"] |= changes
    path.write_text(yaml.safe_dump(params))


def request_of(*grid: str, **options: str) -> Request:
    return Request("finetune.tuned", grid, **options)


@pytest.fixture
def project(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a data set without train and test split, its mined set, a base and their params.yaml."""
    dev = split()
    dev.qrels["doc_id"] = np.roll(dev.qrels["doc_id"], 1)  # what the base does not find first
    made = task(tiny_model, tmp_path, dev=dev)
    (tmp_path / "models").mkdir()
    (tmp_path / "models/tiny").symlink_to(tiny_model)
    (tmp_path / "data/datasets").mkdir(parents=True)
    made.dev.rename(tmp_path / "data/datasets/words")
    (tmp_path / "data/mined").mkdir()
    made.mined.rename(tmp_path / "data/mined/words")
    for split in ("train", "test"):
        shutil.rmtree(tmp_path / "data/datasets/words" / split)
    own = ("base", "data", "dev", "guide")
    entry = {name: FINETUNE[name] for name in own} | {"epochs": 1}
    params = {
        "seed": 3,
        "compute": {"device": "cpu", "token_budget": 512},
        "defaults": {"finetune": {name: value for name, value in FINETUNE.items() if name not in own}},
        "fetch": {"tiny": {}},
        "convert": {"words": {}},
        "mine": {"words": {}, "other": {}},
        "finetune": {"tuned": entry},
        "compare": COMPARE,
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    monkeypatch.chdir(tmp_path)
    return tmp_path
