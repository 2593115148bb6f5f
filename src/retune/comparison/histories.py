"""The training loss and the dev scores of tuned models, from the histories that training wrote."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from retune.core.errors import InputError

MOST_LOSSES = 500  # of a model; of more steps every second, third, ... is kept


def read_histories(folder: Path, models: Iterable[str]) -> list[dict[str, Any]]:
    """Read `<model>.tsv` of every tuned model.

    Returns:
        Rows of `model`, `global_step`, `loss` and `dev`; loss and dev score are None at steps without one. All dev
        scores are kept, and at most 500 losses of each model.

    Raises:
        InputError: A history is missing.
    """
    rows: list[dict[str, Any]] = []
    for model in models:
        path = folder / f"{model}.tsv"
        if not path.is_file():
            raise InputError(f"{path}: expected the history of {model}, found none; run dvc repro finetune@{model}")
        history = pd.read_csv(path, sep="\t")
        devs = history.filter(regex="^dev_").iloc[:, 0]
        stride = -(-len(history) // MOST_LOSSES)
        for position, (step, loss, dev) in enumerate(zip(history["global_step"], history["loss"], devs, strict=True)):
            has_dev = bool(pd.notna(dev))
            if has_dev or position % stride == 0:
                numbers = {"loss": None if pd.isna(loss) else float(loss), "dev": float(dev) if has_dev else None}
                rows.append({"model": model, "global_step": int(step)} | numbers)
    return rows
