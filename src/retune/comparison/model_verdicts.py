"""What is said of each run as a whole: one word, one sentence, and whether it passes the gate."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from retune.comparison.compare import Comparison, gain_kept, summarise
from retune.comparison.gate import Finding
from retune.comparison.significance import POWER
from retune.comparison.verdict import Cell, Word


@dataclass(frozen=True)
class RunVerdict:
    """A run, judged.

    Attributes:
        run: Its name.
        base: The model it was tuned from.
        home: The data set it was tuned for.
        word: `forgot` if it did so anywhere, else the word at home.
        sentence: Gain and worst forgetting with their intervals.
        gain: Change at home.
        gain_kept: Of the best gain of any run with this base and home; None if there is no other run.
        forgetting_mean: Over all other data sets; None without any.
        forgetting_worst: On one of them.
        backward_transfer: Mean change on the other data sets, so minus the mean forgetting (Lopez-Paz and Ranzato,
            arXiv:1706.08840).
        gate: Whether every rule holds; None without a gate.
        failures: What was measured where a rule does not hold.
    """

    run: str
    base: str
    home: str
    word: Word
    sentence: str
    gain: float
    gain_kept: float | None
    forgetting_mean: float | None
    forgetting_worst: float | None
    backward_transfer: float | None
    gate: Literal["passed", "failed"] | None
    failures: list[str]


def judge_runs(comparison: Comparison, findings: Sequence[Finding]) -> list[RunVerdict]:
    """Judge every run, in the order of the models."""
    summary = summarise(comparison)
    verdicts = []
    for name, run in comparison.runs.items():
        home, elsewhere = comparison.home(name), comparison.elsewhere(name)
        assert home.word is not None
        forgetting_mean = summary["forgetting_mean"].get(name)
        failures = [finding.sentence for finding in findings if finding.run == name and not finding.holds]
        verdicts.append(
            RunVerdict(
                run=name,
                base=run.base,
                home=run.home,
                word="forgot" if any(cell.word == "forgot" for cell in elsewhere) else home.word,
                sentence=_sentence(home, elsewhere, comparison.params.confidence),
                gain=summary["gain"][name],
                gain_kept=gain_kept(comparison, name),
                forgetting_mean=forgetting_mean,
                forgetting_worst=summary["forgetting_worst"].get(name),
                backward_transfer=None if forgetting_mean is None else 0.0 - forgetting_mean,
                gate=None if comparison.params.gate is None else ("failed" if failures else "passed"),
                failures=failures,
            )
        )
    return verdicts


def verdict_json(comparison: Comparison, findings: Sequence[Finding], runs: Sequence[RunVerdict]) -> dict[str, Any]:
    """Return what `metrics/verdict.json` holds: numbers and names, no texts of the data."""
    params = comparison.params
    return {
        "metric": params.metric,
        "significance": params.significance,
        "confidence": params.confidence,
        "resamples": params.resamples,
        "margin": params.margin,
        "power": POWER,
        "runs": [asdict(run) for run in runs],
        "cells": [
            {key: value for key, value in asdict(cell).items() if value is not None} for cell in comparison.cells
        ],
        "gate": [asdict(finding) for finding in findings] if params.gate is not None else None,
    }


def change_in_words(cell: Cell) -> str:
    """Return a change with its interval, if it has one."""
    interval = f" ({cell.low:+.4f} to {cell.high:+.4f})" if cell.low is not None and cell.high is not None else ""
    return f"{cell.change or 0.0:+.4f}{interval}"


def p_in_words(p: float) -> str:
    """Return `p = 0.0312`, or that it is below what four decimals show."""
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.4f}"


def _sentence(home: Cell, elsewhere: Sequence[Cell], confidence: float) -> str:
    """Say what was gained at home and lost elsewhere; `elsewhere` is the worst first."""
    said = f"{home.change or 0.0:+.4f} on {home.dataset}"
    if home.p_holm is None:
        said += f", {home.reason}"
    else:
        said += (
            f" ({100 * confidence:g} % confidence interval {home.low:+.4f} to {home.high:+.4f}, corrected "
            f"{p_in_words(home.p_holm)}) over {home.queries:,} queries"
        )
    forgot = [cell for cell in elsewhere if cell.word == "forgot"]
    if forgot:
        said += f", {home.word}"  # the run as a whole is called forgot
        return f"{said}; forgot on {', '.join(f'{cell.dataset}: {change_in_words(cell)}' for cell in forgot)}"
    if not elsewhere:
        return f"{said}; forgetting not measured"
    worst = elsewhere[0]
    return f"{said}; least elsewhere on {worst.dataset}: {change_in_words(worst)}, {worst.word}"
