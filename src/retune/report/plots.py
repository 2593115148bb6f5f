"""The rows behind `dvc plots`."""

from collections.abc import Sequence
from typing import Any

from retune.comparison.compare import Comparison
from retune.comparison.model_verdicts import RunVerdict


def plot_data(
    comparison: Comparison, runs: Sequence[RunVerdict], curves: Sequence[dict[str, Any]]
) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of each plot: forgetting matrix, scores with their intervals, frontier, dev scores."""
    return {
        "forgetting": [
            {"model": cell.model, "dataset": cell.dataset, "score": cell.score, "change": cell.change or 0.0}
            for cell in comparison.cells
        ],
        "scores": [
            {
                "cell": f"{cell.model} on {cell.dataset}",
                "score": cell.score,
                "low": cell.score if cell.score_low is None else cell.score_low,
                "high": cell.score if cell.score_high is None else cell.score_high,
            }
            for cell in comparison.cells
        ],
        "frontier": [
            {"run": run.run, "gain": run.gain, "forgetting_worst": run.forgetting_worst}
            for run in runs
            if run.forgetting_worst is not None
        ],
        "dev": [
            {"run": row["run"], "global_step": row["global_step"], "dev": row["dev"]}
            for row in curves
            if row["dev"] is not None
        ],
    }
