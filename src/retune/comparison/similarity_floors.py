"""The cosines of relevant and of random pairs under every model, before and after tuning."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from retune.core.errors import InputError


def read_pair_scores(folder: Path, models: Sequence[str], datasets: Sequence[str]) -> dict[tuple[str, str], Any]:
    """Read percentiles and histogram of the cosines from `<model>/<dataset>.json`; BM25 and systems are left out.

    Raises:
        InputError: A file is missing or is not JSON.
    """
    found = {}
    for model in models:
        for dataset in datasets:
            path = folder / model / f"{dataset}.json"
            if not path.is_file():
                raise InputError(f"{path}: expected the pair scores of {model}, found none; run dvc repro eval")
            try:
                content = json.loads(path.read_text(encoding="utf-8"))
            except ValueError as error:
                raise InputError(f"{path}: expected JSON, got: {error}; run dvc repro eval") from None
            if "positives" in content:
                found[model, dataset] = content
    return found
