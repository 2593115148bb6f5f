"""How changes, p-values and verdicts are written, in every file and on the page."""

from dataclasses import dataclass
from typing import Literal

from retune.comparison.verdict import Measurement, Word
from retune.params.compare import Gate

SMALLEST_P = 0.0001  # a smaller p-value is written as a bound
SEEDS = (
    "The intervals cover the choice of test queries. The scores of a tuned model also move if it is trained with "
    "another seed or on another machine: docs/dvc.md says by how much."
)


@dataclass(frozen=True)
class Mark:
    """How a verdict looks: a sign, for readers who see no colour, and a kind, which selects a colour on the page."""

    sign: str
    kind: Literal["gain", "loss", "kept", "open"]


MARKS: dict[Word, Mark] = {
    "improved": Mark("▲", "gain"),
    "worse": Mark("▼", "loss"),
    "forgot": Mark("▼", "loss"),
    "non-inferior": Mark("≈", "kept"),
    "no difference shown": Mark("○", "open"),
    "withheld": Mark("?", "open"),
}


def p_value(p: float) -> str:
    """Return a p-value with four decimals, a small one as a bound."""
    return f"< {SMALLEST_P}" if p < SMALLEST_P else f"{p:.4f}"


def p_equation(p: float) -> str:
    """Return `p = 0.0312`, or `p < 0.0001` for a small one."""
    return f"p < {SMALLEST_P}" if p < SMALLEST_P else f"p = {p_value(p)}"


def change_with_interval(measurement: Measurement) -> str:
    """Return a change followed by its confidence interval, if it has one."""
    change = f"{measurement.change or 0.0:+.4f}"
    if measurement.low is None or measurement.high is None:
        return change
    return f"{change} ({measurement.low:+.4f} to {measurement.high:+.4f})"


def gate_rules(gate: Gate, *, is_export: bool = False) -> str:
    """Return what the gate requires of a tuned model, or of an export."""
    if is_export:
        return "Required: non-inferior on every data set."
    rules = {"a gain of at least": gate.min_gain, "a loss elsewhere of at most": gate.max_forgetting}
    required = " and ".join(f"{rule} {limit}" for rule, limit in rules.items() if limit is not None) or "nothing"
    return f"Required: {required}, at the conservative bound of the confidence interval."
