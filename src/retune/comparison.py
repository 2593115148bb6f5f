"""Compare fine-tuned models with their bases: gained at home, forgotten elsewhere."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retune.errors import InputError
from retune.lineage import Run
from retune.metrics import DECIMALS
from retune.records import read_table


@dataclass(frozen=True)
class Cell:
    """One model on one data set.

    Attributes:
        model: The model's name.
        dataset: The data set's name.
        score: Mean over the test queries.
        change: Score minus the base's; 0 for a model that is no run.
        is_home: Whether the model was tuned for this data set.
        better: Test queries ranked better than by the base.
        worse: Test queries ranked worse than by the base.
    """

    model: str
    dataset: str
    score: float
    change: float
    is_home: bool
    better: int
    worse: int


@dataclass(frozen=True)
class Comparison:
    """What the models score, and how each run differs from its base.

    Attributes:
        metric: The metric compared, such as `ndcg_at_10`.
        runs: The fine-tuned models.
        cells: Every model on every data set, in the order listed.
        summary: `gain`, `forgetting_mean`, `forgetting_worst`, each by run.
    """

    metric: str
    runs: Mapping[str, Run]
    cells: list[Cell]
    summary: dict[str, dict[str, float]]

    def of(self, model: str) -> list[Cell]:
        """Return one model's cells."""
        return [cell for cell in self.cells if cell.model == model]


def compare(
    metrics: Path, scores: Path, models: list[str], datasets: list[str], runs: Mapping[str, Run], metric: str
) -> Comparison:
    """Compare the listed cells of `metrics` (`<model>/<dataset>.json`) and `scores` (`.parquet`, per query).

    Gain is a run's score on its home data set minus its base's. Forgetting is the base's score minus the
    run's on another data set, above 0 where the run got worse; its mean and its worst are over all others and
    absent where there is none.

    Raises:
        InputError: A cell is missing, or models were evaluated on different queries.
    """
    table = {(model, dataset): _read_score(metrics, model, dataset, metric) for model in models for dataset in datasets}
    cells = []
    for (model, dataset), score in table.items():
        run = runs.get(model)
        if run is None:
            cells.append(Cell(model, dataset, score, 0.0, False, 0, 0))
            continue
        change = round(score - table[run.base, dataset], DECIMALS)
        better, worse = _changed_queries(scores, model, run.base, dataset, metric)
        cells.append(Cell(model, dataset, score, change, run.home == dataset, better, worse))
    return Comparison(metric, runs, cells, _summarise(cells, runs))


def by_model(comparison: Comparison) -> dict[str, dict[str, float]]:
    """Return each model's score by data set."""
    scores: dict[str, dict[str, float]] = {}
    for cell in comparison.cells:
        scores.setdefault(cell.model, {})[cell.dataset] = cell.score
    return scores


def plot_data(comparison: Comparison) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of the plots of `dvc plots`: the forgetting matrix and the scores of all cells."""
    return {
        "forgetting": [
            {"model": cell.model, "dataset": cell.dataset, "score": cell.score, "change": cell.change}
            for cell in comparison.cells
        ],
        "scores": [{"cell": f"{cell.model} on {cell.dataset}", "score": cell.score} for cell in comparison.cells],
    }


def _summarise(cells: list[Cell], runs: Mapping[str, Run]) -> dict[str, dict[str, float]]:
    summary: dict[str, dict[str, float]] = {"gain": {}, "forgetting_mean": {}, "forgetting_worst": {}}
    for run in runs:
        summary["gain"][run] = next(cell.change for cell in cells if cell.model == run and cell.is_home)
        forgetting = [0.0 - cell.change for cell in cells if cell.model == run and not cell.is_home]
        if forgetting:
            summary["forgetting_mean"][run] = round(sum(forgetting) / len(forgetting), DECIMALS)
            summary["forgetting_worst"][run] = max(forgetting)
    return summary


def _read_score(metrics: Path, model: str, dataset: str, metric: str) -> float:
    path = metrics / model / f"{dataset}.json"
    if not path.is_file():
        raise InputError(f"{path}: expected the scores of {model} on {dataset}, found none; run dvc repro eval")
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if metric not in content:
        raise InputError(f"{path}: expected {metric!r}, got {', '.join(content)}; add its k to eval.ks")
    return float(content[metric])


def _changed_queries(scores: Path, model: str, base: str, dataset: str, metric: str) -> tuple[int, int]:
    """Count the queries a run ranks better and worse than its base."""
    tuned = read_table(scores / model / f"{dataset}.parquet")
    before = read_table(scores / base / f"{dataset}.parquet")
    if not tuned["query_id"].equals(before["query_id"]):
        raise InputError(f"{dataset}: {model} and {base} were evaluated on different queries; run dvc repro eval")
    return int((tuned[metric] > before[metric]).sum()), int((tuned[metric] < before[metric]).sum())
