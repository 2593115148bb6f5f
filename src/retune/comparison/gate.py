"""The gate of a pull request: what every run must have gained, and may have forgotten at most."""

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from retune.comparison.verdict import FEWEST, Cell
from retune.core.errors import InputError
from retune.params.compare import Gate

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Finding:
    """Whether a run keeps to a rule on a data set.

    Attributes:
        run: The run.
        dataset: The data set, empty where there is none to judge by.
        rule: `min_gain` or `max_forgetting`.
        holds: Whether it does.
        sentence: What was measured and what is asked for.
    """

    run: str
    dataset: str
    rule: str
    holds: bool
    sentence: str


def judge_gate(cells: Sequence[Cell], gate: Gate | None) -> list[Finding]:
    """Judge every run by the cautious end of its confidence intervals.

    `min_gain` holds where the lower end of the change at home is no less; `max_forgetting` where the upper end of
    the loss, minus the lower end of the change, is no more on every other data set. What cannot be judged does not
    hold.
    """
    if gate is None:
        return []
    runs = list(dict.fromkeys(cell.model for cell in cells if cell.base is not None))
    return [finding for run in runs for finding in _judge_run(run, [cell for cell in cells if cell.model == run], gate)]


def _judge_run(run: str, cells: Sequence[Cell], gate: Gate) -> Iterator[Finding]:
    others = [cell for cell in cells if not cell.is_home]
    if gate.min_gain is not None:
        yield from (_min_gain(cell, gate.min_gain) for cell in cells if cell.is_home)
        if len(others) == len(cells):
            yield Finding(run, "", "min_gain", False, f"{run}: not measured on the data set it was tuned for")
    if gate.max_forgetting is not None:
        yield from (_max_forgetting(cell, gate.max_forgetting) for cell in others)
        if not others:
            yield Finding(run, "", "max_forgetting", False, f"{run}: no other data set to measure forgetting on")


def _min_gain(cell: Cell, limit: float) -> Finding:
    if cell.change is None or cell.low is None or cell.high is None:
        return _not_judged(cell, "min_gain")
    sentence = (
        f"{cell.model} on {cell.dataset}: gained {cell.change:.5f} "
        f"(confidence interval {cell.low:.5f} to {cell.high:.5f}), at least {limit} wanted"
    )
    return Finding(cell.model, cell.dataset, "min_gain", cell.low >= limit, sentence)


def _max_forgetting(cell: Cell, limit: float) -> Finding:
    if cell.change is None or cell.low is None or cell.high is None:
        return _not_judged(cell, "max_forgetting")
    lost, least, most = 0.0 - cell.change, 0.0 - cell.high, 0.0 - cell.low
    sentence = (
        f"{cell.model} on {cell.dataset}: forgot {lost:.5f} "
        f"(confidence interval {least:.5f} to {most:.5f}), at most {limit} allowed"
    )
    return Finding(cell.model, cell.dataset, "max_forgetting", most <= limit, sentence)


def _not_judged(cell: Cell, rule: str) -> Finding:
    sentence = (
        f"{cell.model} on {cell.dataset}: {cell.queries} test queries, fewer than {FEWEST}: {rule} cannot be judged"
    )
    return Finding(cell.model, cell.dataset, rule, False, sentence)


def read_cells(verdict: Path) -> list[Cell]:
    """Read the cells of a verdict that `compare` wrote.

    Raises:
        InputError: There is none, or it is of another version.
    """
    if not verdict.is_file():
        raise InputError(f"{verdict}: expected the verdict of the comparison, found none; run dvc repro compare")
    try:
        return [Cell(**cell) for cell in json.loads(verdict.read_text(encoding="utf-8"))["cells"]]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{verdict}: expected a verdict with cells, got {error}; run dvc repro compare") from None


def pass_gate(verdict: Path, gate: Gate | None) -> None:
    """Say of every rule whether it holds.

    Raises:
        InputError: One does not: a line each.
    """
    if gate is None:
        logger.info("gate: none, as compare.gate is null")
        return
    findings = judge_gate(read_cells(verdict), gate)
    if not findings:
        logger.info("gate: %s has no run, or compare.gate no rule, to judge by", verdict)
    for finding in findings:
        if finding.holds:
            logger.info("gate: %s: holds", finding.sentence)
    if failed := [f"gate: {finding.sentence}" for finding in findings if not finding.holds]:
        raise InputError("\n".join(failed))
