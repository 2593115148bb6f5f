"""The content of `metrics/verdict.json`: all numbers of a comparison and the parameters that led to them."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from retune.comparison.result import Conclusion
from retune.comparison.significance import POWER


def verdict_json(found: Conclusion) -> dict[str, Any]:
    """Return numbers, names and parameters, and no texts of the data."""
    comparison = found.comparison
    return {
        "parameters": found.parameters,
        "power": POWER,
        "tuned_models": [
            asdict(verdict) | {"parameters": comparison.tuned_models[verdict.model].parameters}
            for verdict in found.verdicts
        ],
        "measurements": [_without_none(asdict(measurement)) for measurement in comparison.measurements],
        "pairs": [_without_none(asdict(pair)) for pair in found.pairs],
        "gate": [asdict(result) for result in found.gate_results] if comparison.params.gate is not None else None,
    }


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
