"""The scores of all models on each query of a data set, checked so that they can be paired."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from retune.core.errors import InputError
from retune.core.records import DECIMALS, read_table


@dataclass(frozen=True)
class ScoreTable:
    """The scores of every model on every test query of a data set.

    Attributes:
        dataset: The data set's name.
        query_ids: The queries.
        models: The models' names.
        scores: By metric, (queries, models).
        is_synthetic: Whether the test queries are synthetic.
    """

    dataset: str
    query_ids: pd.Index
    models: list[str]
    scores: dict[str, np.ndarray]
    is_synthetic: bool = False

    def of(self, model: str, metric: str) -> np.ndarray:
        """Return one model's score of each query."""
        scores: np.ndarray = self.scores[metric][:, self.models.index(model)]
        return scores

    def change(self, model: str, base: str, metric: str) -> np.ndarray:
        """Return a tuned model's score minus its base's for each query; rounding errors count as no change."""
        differences: np.ndarray = np.round(self.of(model, metric) - self.of(base, metric), 9) + 0.0
        return differences

    def mean(self, model: str, metric: str) -> float:
        """Return one model's mean score, rounded as it is printed."""
        return round(float(self.of(model, metric).mean()), DECIMALS)


def read_score_table(folder: Path, models: Sequence[str], dataset: str, metrics: Sequence[str]) -> ScoreTable:
    """Read the scores of all models on a data set from `<model>/<dataset>.parquet` in a folder.

    Args:
        folder: The folder with the scores.
        models: The models' names.
        dataset: The data set's name.
        metrics: The metrics to read.

    Raises:
        InputError: A file of scores is missing or lacks a metric, a query is listed twice or has no score, or models
            were evaluated on different queries.
    """
    tables = {model: _read_scores(folder, model, dataset, metrics) for model in models}
    first = models[0]
    query_ids = tables[first].index
    for model, table in tables.items():
        if len(lone := query_ids.symmetric_difference(table.index)):
            raise InputError(
                f"{dataset}: {model} and {first} were evaluated on different queries, "
                f"{len(lone)} of which only one of them has, first: {lone[0]!r}; run dvc repro eval"
            )
    scores = {
        metric: np.column_stack([table.loc[query_ids, metric].to_numpy(np.float64) for table in tables.values()])
        for metric in metrics
    }
    return ScoreTable(dataset, query_ids, list(models), scores)


def _read_scores(folder: Path, model: str, dataset: str, metrics: Sequence[str]) -> pd.DataFrame:
    """Read the scores of one model on one data set, by query."""
    path = folder / model / f"{dataset}.parquet"
    if not path.is_file():
        raise InputError(f"{path}: expected the scores of {model} on {dataset}, found none; run dvc repro eval")
    table = read_table(path)
    if table.empty:
        raise InputError(
            f"{path}: expected scores of test queries, got none; give {dataset} some, or remove it from eval.datasets"
        )
    for metric in metrics:
        if metric not in table:
            known = ", ".join(map(str, table.columns.drop("query_id")))
            raise InputError(f"{path}: expected {metric!r}, got {known}; add its k to eval.ks")
    if (repeated := table["query_id"].duplicated()).any():
        query_id = table["query_id"][repeated].iloc[0]
        raise InputError(f"{path}: expected each query once, got {query_id!r} twice; run dvc repro eval")
    rows = np.flatnonzero(~np.isfinite(table[list(metrics)].to_numpy(np.float64)).all(axis=1))
    if len(rows):
        query_id = table["query_id"].iloc[rows[0]]
        raise InputError(
            f"{path}: expected a score for every query, got none for {len(rows)}, "
            f"first: {query_id!r}; run dvc repro eval"
        )
    return table.set_index("query_id")
