"""A small project with a model to sweep over."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.support.parameters import FINETUNE
from tests.support.repository import write_params
from tests.support.sweeps import COMPARE
from tests.support.training_task import split, task


@pytest.fixture
def project(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: params.yaml, a base, a mined set, and a data set that has neither train nor test split."""
    dev = split()
    dev.qrels["doc_id"] = np.roll(dev.qrels["doc_id"], 1)  # so that the base does not find everything
    made = task(tiny_model, tmp_path, dev=dev)
    for name in ("models", "data/datasets", "data/mined"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "models/tiny").symlink_to(tiny_model)
    made.mined.rename(tmp_path / "data/mined/words")
    made.dev.rename(tmp_path / "data/datasets/words")
    for name in ("train", "test"):
        shutil.rmtree(tmp_path / "data/datasets/words" / name)
    own = {name: FINETUNE[name] for name in ("base", "data", "dev", "guide")}
    params = {
        "seed": 3,
        "compute": {"device": "cpu", "token_budget": 512},
        "defaults": {"finetune": {name: value for name, value in FINETUNE.items() if name not in own}},
        "fetch": {"tiny": {}},
        "convert": {"words": {}},
        "mine": {"words": {}, "other": {}},
        "finetune": {"tuned": own | {"epochs": 1}},
        "compare": COMPARE,
    }
    write_params(tmp_path, params)
    monkeypatch.chdir(tmp_path)
    return tmp_path
