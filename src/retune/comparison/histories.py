"""Loss and dev scores of runs, from the histories that training wrote."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from retune.core.errors import InputError

MOST_LOSSES = 500  # drawn of a run; of more steps, every second, third, ...


def read_curves(folder: Path, runs: Iterable[str]) -> list[dict[str, Any]]:
    """Read `<run>.tsv` of every run.

    Returns:
        Rows of `run`, `global_step`, `loss` and `dev`, each None where there is none at that step. Every dev score is
        there, and some hundred losses.

    Raises:
        InputError: A history is missing.
    """
    rows: list[dict[str, Any]] = []
    for run in runs:
        path = folder / f"{run}.tsv"
        if not path.is_file():
            raise InputError(f"{path}: expected the history of {run}, found none; run dvc repro finetune@{run}")
        history = pd.read_csv(path, sep="\t")
        devs = history.filter(regex="^dev_").iloc[:, 0]
        every = -(-len(history) // MOST_LOSSES)
        for position, (step, loss, dev) in enumerate(zip(history["global_step"], history["loss"], devs, strict=True)):
            has_dev = bool(pd.notna(dev))
            if has_dev or position % every == 0:
                numbers = {"loss": None if pd.isna(loss) else float(loss), "dev": float(dev) if has_dev else None}
                rows.append({"run": run, "global_step": int(step)} | numbers)
    return rows
