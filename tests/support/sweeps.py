"""What tests of sweeps ask for, and where a project keeps it."""

from pathlib import Path
from typing import Any

import yaml

from retune.sweeping.request import Folders, Request

FOLDERS = Folders(Path("models"), Path("data/datasets"), Path("data/mined"), Path(".retune/sweeps"), Path("reports"))
COMPARE: dict[str, Any] = {
    "metric": "ndcg_at_3",
    "significance": 0.05,
    "confidence": 0.95,
    "resamples": 1000,
    "margin": 0.01,
    "changed_queries": 10,
}


def request_of(*grid: str, **options: str) -> Request:
    return Request("finetune.tuned", grid, **options)


def change_entry(**changes: object) -> None:
    """Change values of the entry in params.yaml of the working directory, before it is read: it is read once."""
    path = Path("params.yaml")
    params = yaml.safe_load(path.read_text())
    params["finetune"]["tuned"] |= changes
    path.write_text(yaml.safe_dump(params))
