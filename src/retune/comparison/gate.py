"""The gate of a pull request: how much every tuned model must gain at home, and how much it may lose elsewhere."""

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from retune.comparison.verdict import FEWEST, Measurement, printed
from retune.core.errors import InputError
from retune.params.compare import Gate

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class GateResult:
    """Whether a tuned model meets a rule on a data set.

    Attributes:
        model: The tuned model.
        dataset: The data set; empty if there is none to judge by.
        rule: `min_gain` or `max_forgetting`; `non_inferior` of an export.
        holds: Whether the rule is met.
        sentence: What was measured and what the rule requires.
    """

    model: str
    dataset: str
    rule: str
    holds: bool
    sentence: str


def judge_gate(measurements: Sequence[Measurement], gate: Gate | None) -> list[GateResult]:
    """Judge every tuned model at the conservative bound of its confidence intervals.

    `min_gain` holds if the lower end of the change at home is at least the limit. `max_forgetting` holds if the
    largest loss in the interval, which is minus its lower end, is at most the limit on every other data set. A rule
    that cannot be judged does not hold. With `seed_spreads`, as many standard deviations between seeds are taken off
    the lower end first; merged models, exports and systems have no seeds of their own. A merge that fell back to its
    base gained nothing. An export has one rule of its own: `non_inferior` holds if its verdict on a data set is that,
    or better.
    """
    if gate is None:
        return []
    tuned: dict[str, list[Measurement]] = {}
    for measurement in measurements:
        if measurement.base is not None:
            tuned.setdefault(measurement.model, []).append(measurement)
    return [result for model, measured in tuned.items() for result in _judge_model(model, measured, gate)]


def _judge_model(model: str, measurements: Sequence[Measurement], gate: Gate) -> Iterator[GateResult]:
    home = [measurement for measurement in measurements if measurement.is_home]
    others = [measurement for measurement in measurements if not measurement.is_home]
    if any(measurement.is_export for measurement in measurements):
        yield from map(_judge_export, others)
        return
    if gate.min_gain is not None:
        yield from (_judge(measurement, "min_gain", gate.min_gain, gate) for measurement in home)
        if not home:
            sentence = f"{model}: not evaluated on the data set it was tuned for, so its gain cannot be judged"
            yield GateResult(model, "", "min_gain", False, sentence)
    if gate.max_forgetting is not None:
        yield from (_judge(measurement, "max_forgetting", gate.max_forgetting, gate) for measurement in others)
        if not others:
            sentence = f"{model}: not evaluated on any other data set, so forgetting cannot be judged"
            yield GateResult(model, "", "max_forgetting", False, sentence)


def _judge_export(measurement: Measurement) -> GateResult:
    """Judge an export on one data set."""
    if measurement.change is None or measurement.low is None:
        return _too_few(measurement, "non_inferior")
    holds = measurement.word in ("improved", "non-inferior")
    outcome = f"; {measurement.word}" if holds else f"; {measurement.word}, but an export must be non-inferior"
    return _result(measurement, "non_inferior", holds, outcome, None)


def _judge(measurement: Measurement, rule: str, limit: float, gate: Gate) -> GateResult:
    """Judge one rule on one data set."""
    has_seeds = measurement.merged_weight is None and not measurement.is_system
    spreads = gate.seed_spreads if has_seeds else None
    if measurement.change is None or measurement.low is None:
        return _too_few(measurement, rule)
    if spreads is not None and measurement.seed_spread is None:
        return _not_judged(measurement, rule, "one seed, as gate.seed_spreads asks for several; stages.seeds adds them")
    low = printed(measurement.low - (spreads or 0.0) * (measurement.seed_spread or 0.0))
    if rule == "min_gain" and measurement.merged_weight == 0.0:
        outcome = "; no weight of the merge was within the margin, so the model is its base and gained nothing"
        return _result(measurement, rule, False, outcome, spreads)
    judge = _min_gain if rule == "min_gain" else _max_forgetting
    holds, outcome = judge(measurement.change, low, limit)
    return _result(measurement, rule, holds, outcome, spreads)


def _min_gain(change: float, low: float, limit: float) -> tuple[bool, str]:
    if low >= limit:
        return True, f"; at least {limit} is required"
    if change < limit:
        return False, f", but a gain of at least {limit} is required"
    possible = f"a loss of {-low:.5f}" if low < 0.0 else f"a gain of only {low:.5f}"
    return False, f", but the interval does not rule out {possible}, and a gain of at least {limit} is required"


def _max_forgetting(change: float, low: float, limit: float) -> tuple[bool, str]:
    largest_loss = 0.0 - low
    if largest_loss <= limit:
        return True, f"; a loss of at most {limit} is allowed"
    if 0.0 - change > limit:
        return False, f", above the allowed {limit}"
    return False, f", but the interval does not rule out a loss of up to {largest_loss:.5f}, above the allowed {limit}"


def _result(measurement: Measurement, rule: str, holds: bool, outcome: str, spreads: float | None) -> GateResult:
    """Return a result whose sentence has the change and its interval, followed by the outcome."""
    change = measurement.change or 0.0
    changed = f"gained {change:.5f}" if change > 0.0 else f"lost {-change:.5f}" if change < 0.0 else "did not change"
    less = (
        ""
        if spreads is None
        else f", less {spreads:g} standard deviations of {measurement.seed_spread:.5f} between seeds"
    )
    sentence = (
        f"{measurement.model} on {measurement.test_set}: {changed} (confidence interval of the change "
        f"{measurement.low:+.5f} to {measurement.high:+.5f}{less}){outcome}"
    )
    return GateResult(measurement.model, measurement.dataset, rule, holds, sentence)


def _too_few(measurement: Measurement, rule: str) -> GateResult:
    return _not_judged(measurement, rule, f"{measurement.queries} test queries; at least {FEWEST} are needed")


def _not_judged(measurement: Measurement, rule: str, reason: str) -> GateResult:
    sentence = f"{measurement.model} on {measurement.test_set}: {rule} cannot be judged with {reason}"
    return GateResult(measurement.model, measurement.dataset, rule, False, sentence)


def read_measurements(verdict: Path) -> list[Measurement]:
    """Read the measurements from a verdict that `compare` wrote.

    Raises:
        InputError: The file is missing, or another version of `compare` wrote it.
    """
    if not verdict.is_file():
        raise InputError(f"{verdict}: expected the verdict of the comparison, found none; run dvc repro compare")
    try:
        content = json.loads(verdict.read_text(encoding="utf-8"))
        rows = content.get("measurements") if isinstance(content, dict) else None
        if not isinstance(rows, list):
            raise ValueError("no list of them")
        for row in rows:
            Measurement(**row)  # pydantic would ignore an unknown name
        return TypeAdapter(list[Measurement]).validate_python(rows)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, ("measurements", *first["loc"])))
        expected = first["msg"].removeprefix("Input should be ")
        raise InputError(
            f"{verdict}: {where}: expected {expected}, got {first['input']!r}; run dvc repro compare"
        ) from None
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{verdict}: expected a verdict of this version of compare, got another ({error!r:.80}); "
            "run dvc repro compare"
        ) from None


def pass_gate(verdict: Path, gate: Gate | None) -> None:
    """Log every rule that holds.

    Raises:
        InputError: A rule does not hold; one line for each.
    """
    if gate is None:
        LOG.info("gate: there is none, because compare.gate is null")
        return
    results = judge_gate(read_measurements(verdict), gate)
    if not results:
        LOG.info("gate: nothing to judge, because %s has no tuned model or compare.gate has no rule", verdict)
    for result in results:
        if result.holds:
            LOG.info("gate: %s: holds", result.sentence)
    if failed := [f"gate: {result.sentence}" for result in results if not result.holds]:
        raise InputError("\n".join(failed))
