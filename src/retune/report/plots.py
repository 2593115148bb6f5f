"""The data of `dvc plots`."""

from typing import Any

from retune.comparison.result import Conclusion


def plot_data(found: Conclusion) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of each plot: forgetting matrix, scores, gain and change elsewhere, dev scores, merges."""
    measurements = found.comparison.measurements
    return {
        "forgetting": [
            {"model": item.model, "dataset": item.test_set, "score": item.score, "change": item.change or 0.0}
            for item in measurements
        ],
        "scores": [
            {
                "measurement": f"{item.model} on {item.test_set}",
                "score": item.score,
                "low": item.score if item.score_low is None else item.score_low,
                "high": item.score if item.score_high is None else item.score_high,
            }
            for item in measurements
        ],
        "frontier": [
            {"model": verdict.model, "gain": verdict.gain, "worst_change_elsewhere": verdict.worst_change_elsewhere}
            for verdict in found.verdicts
            if verdict.worst_change_elsewhere is not None
        ],
        "dev": [
            {"model": row["model"], "global_step": row["global_step"], "dev": row["dev"]}
            for row in found.histories
            if row["dev"] is not None
        ],
        "merges": [
            {"model": model, "weight": row["weight"], "gain": row["gain"], "worst_guard": row["worst"]}
            for model, curve in found.merge_curves.items()
            for row in curve["curve"]
        ],
    }
