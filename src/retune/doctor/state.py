"""The state of a project, as far as its small files show it; any of them may be absent."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from retune.comparison.lineage import TunedModel
from retune.comparison.verdict import SYNTHETIC
from retune.core.errors import InputError


@dataclass(frozen=True)
class State:
    """Parameters and metrics of a project.

    Attributes:
        tuned_models: All tuned models by name.
        margin: `compare.margin`.
        data: Statistics of data sets, by name.
        mined: Audits of mined sets, by name.
        histories: Histories of trainings, by tuned model.
        pair_scores: Cosines by model and data set; empty for BM25, and for a system just `parts`.
        measurements: The rows of `measurements` in metrics/verdict.json.
    """

    tuned_models: Mapping[str, TunedModel]
    margin: float
    data: Mapping[str, Any]
    mined: Mapping[str, Any]
    histories: Mapping[str, pd.DataFrame]
    pair_scores: Mapping[tuple[str, str], Any]
    measurements: Sequence[Mapping[str, Any]]

    @property
    def bases(self) -> list[str]:
        """The models that were tuned, in the order of the tuned models."""
        tuned_models = [tuned for tuned in self.tuned_models.values() if not (tuned.is_export or tuned.is_system)]
        return list(dict.fromkeys(tuned.base for tuned in tuned_models))

    def is_synthetic(self, dataset: str) -> bool:
        """Return whether a data set's test queries are synthetic, as far as the verdict says."""
        return any(row["dataset"] == dataset and row.get("is_synthetic") for row in self.measurements)

    def test_set(self, dataset: str) -> str:
        """Return a data set's name as it is shown with figures of its test queries."""
        return f"{dataset} ({SYNTHETIC})" if self.is_synthetic(dataset) else dataset

    def count(self) -> int:
        """Return the number of files and measurements that there are."""
        files = len(self.data) + len(self.mined) + len(self.histories) + len(self.pair_scores)
        return files + len(self.measurements)


def read_state(
    metrics: Path,
    models: Sequence[str],
    datasets: Sequence[str],
    tuned_models: Mapping[str, TunedModel],
    margin: float,
    verdict: Mapping[str, Any] | None = None,
) -> State:
    """Read the files that the parameters name, and leave out those that are absent.

    Args:
        metrics: The folder of metrics.
        models: The models that are evaluated.
        datasets: The data sets that they are evaluated on.
        tuned_models: All tuned models by name.
        margin: `compare.margin`.
        verdict: The content of metrics/verdict.json; None: read the file.

    Raises:
        InputError: A file is not JSON.
    """
    recipes = dict.fromkeys(recipe for tuned in tuned_models.values() for recipe in tuned.mined)
    named = (name for tuned in tuned_models.values() for name in (tuned.home, *tuned.trained_on))
    pairs = [(model, dataset) for model in models for dataset in datasets]
    if verdict is None:
        verdict = read_json(metrics / "verdict.json") or {}
    trained = [name for name, tuned in tuned_models.items() if tuned.is_trained]
    return State(
        tuned_models,
        margin,
        _present({name: read_json(metrics / "data" / f"{name}.json") for name in (*datasets, *named)}),
        _present({name: read_json(metrics / "mined" / f"{name}.json") for name in recipes}),
        _present({name: _read_history(metrics / "train" / f"{name}.tsv") for name in trained}),
        _present({pair: read_json(metrics / "pair_scores" / pair[0] / f"{pair[1]}.json") for pair in pairs}),
        [row for row in verdict.get("measurements", []) if (row["model"], row["dataset"]) in pairs],
    )


def read_json(path: Path) -> Any:
    """Return the content of a JSON file, or None if there is no file."""
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    except ValueError as error:
        raise InputError(f"{path}: expected JSON, got: {error}; run dvc repro") from None


def number(content: Any, *keys: str) -> float | None:
    """Return the number that some keys lead to in nested mappings; None if one of them is absent."""
    for key in keys:
        content = content.get(key) if isinstance(content, Mapping) else None
    return None if content is None else float(content)


def _read_history(path: Path) -> pd.DataFrame | None:
    return pd.read_csv(path, sep="\t") if path.is_file() else None


def _present(contents: Mapping[Any, Any]) -> dict[Any, Any]:
    return {key: content for key, content in contents.items() if content is not None}
