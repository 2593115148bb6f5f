"""What each weight of the merged models does on dev queries, as the stage `merge` wrote it.

dvc.yaml has no dep on these files, because there is no folder of them without a merge. What changes them changes
others that `compare` depends on: scores of the tuned models, data sets, or parameters.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from retune.comparison.lineage import TunedModel
from retune.comparison.verdict import Measurement
from retune.core.errors import InputError


def read_merge_curves(folder: Path, tuned_models: Mapping[str, TunedModel]) -> dict[str, dict[str, Any]]:
    """Read `<model>.json` of every merged model.

    Raises:
        InputError: A file is missing.
    """
    curves = {}
    for name, tuned in tuned_models.items():
        if tuned.merged_from:
            path = folder / f"{name}.json"
            if not path.is_file():
                raise InputError(f"{path}: expected the curve of {name}, found none; run dvc repro merge@{name}")
            curves[name] = json.loads(path.read_text(encoding="utf-8"))
    return curves


def add_weights(measurements: Sequence[Measurement], curves: Mapping[str, Mapping[str, Any]]) -> list[Measurement]:
    """Add the weight of the tuned models to the measurements of merged models."""
    return [
        replace(measurement, merged_weight=float(curves[measurement.model]["weight"]))
        if measurement.model in curves
        else measurement
        for measurement in measurements
    ]
