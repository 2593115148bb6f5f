"""Per-step training history: a table with the same bytes for the same training."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from retune.core.files import write_text

DEV = "eval_dev"  # the dev score's key in the trainer's log


@dataclass(frozen=True)
class HistoryRow:
    """A training step, or a dev score."""

    global_step: int
    loss: float | None = None
    learning_rate: float | None = None
    dev: float | None = None
    epoch: float | None = None


def read_log(log_history: Iterable[Mapping[str, Any]]) -> list[HistoryRow]:
    """Return the steps and dev scores in the log of a transformers trainer."""
    rows: list[HistoryRow] = []
    for entry in log_history:
        if "loss" in entry:
            rows.append(HistoryRow(int(entry["step"]), loss=entry["loss"], learning_rate=entry["learning_rate"]))
        elif DEV in entry:
            rows.append(HistoryRow(int(entry["step"]), dev=entry[DEV], epoch=entry["epoch"]))
    return rows


def dev_scores(rows: Iterable[HistoryRow]) -> list[float]:
    """Return all dev scores, in order."""
    return [row.dev for row in rows if row.dev is not None]


def write_history(
    rows: Sequence[HistoryRow],
    path: Path,
    dev_metric: str,
    *,
    base_dev: float | None = None,
    remarks: Mapping[str, object] = {},
) -> None:
    """Write one row per step, as tab-separated values.

    Args:
        rows: Steps and dev scores.
        path: The file to write.
        dev_metric: The metric of the dev scores.
        base_dev: The base's dev score, which stands beside every dev score.
        remarks: Further columns, with the same value in every row.
    """
    columns = ["global_step", "loss", "lr", f"dev_{dev_metric}", f"base_{dev_metric}"]
    steps: dict[int, dict[str, object]] = {}
    for row in rows:
        step = steps.setdefault(row.global_step, {"global_step": row.global_step})
        if row.loss is not None:
            step |= {"loss": f"{row.loss:.5f}", "lr": f"{row.learning_rate:.4e}"}
        else:
            step |= {f"dev_{dev_metric}": row.dev, f"base_{dev_metric}": base_dev}
    table = pd.DataFrame([{**step, **remarks} for step in steps.values()], columns=[*columns, *remarks])
    write_text(path, table.to_csv(sep="\t", index=False, lineterminator="\n"))
