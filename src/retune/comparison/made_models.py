"""What the stages `merge` and `export` measured of the models that they made.

dvc.yaml has no dep on these files, because there is no folder of them without an entry. What changes them changes
others that `compare` depends on: scores of the models, data sets, or parameters.
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
    """Read `<model>.json` of every merged model: what each weight does on dev queries.

    Raises:
        InputError: A file is missing.
    """
    merged = [name for name, tuned in tuned_models.items() if tuned.merged_from]
    return {name: _read(folder / f"{name}.json", f"the curve of {name}", f"merge@{name}") for name in merged}


def read_exports(folder: Path, tuned_models: Mapping[str, TunedModel]) -> dict[str, dict[str, Any]]:
    """Read `<model>.json` of every export: its size, and its cosines with its model.

    Raises:
        InputError: A file is missing.
    """
    exports = [name for name, tuned in tuned_models.items() if tuned.is_export]
    return {name: _read(folder / f"{name}.json", f"the parity of {name}", f"export@{name}") for name in exports}


def _read(path: Path, content: str, stage: str) -> dict[str, Any]:
    if not path.is_file():
        raise InputError(f"{path}: expected {content}, found none; run dvc repro {stage}")
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return result


def add_weights(measurements: Sequence[Measurement], curves: Mapping[str, Mapping[str, Any]]) -> list[Measurement]:
    """Add the weight of the tuned models to the measurements of merged models."""
    return [
        replace(measurement, merged_weight=float(curves[measurement.model]["weight"]))
        if measurement.model in curves
        else measurement
        for measurement in measurements
    ]
