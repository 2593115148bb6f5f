"""Choose the weight of the tuned model: the largest gain at home such that no guard falls by more than a margin."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from scipy import stats

from retune.core.errors import InputError
from retune.core.records import DECIMALS
from retune.params.merge import Merge

FEWEST = 30  # queries for a bound
POWER = 0.8  # of the number of queries that a bound needs
TOLERANCE = 1e-9  # of a change, for sums in another order


@dataclass(frozen=True)
class Change:
    """How a model's score on a data set differs from the base's.

    Attributes:
        dataset: The data set.
        queries: Its dev queries.
        score: The mean score of the model.
        change: The mean of its score minus the base's.
        bound: The lower bound of the change, one-sided, corrected for the weights tried.
        queries_needed: With how many queries like these the bound is within the margin in 80 of 100 cases; None if no
            number would do.
    """

    dataset: str
    queries: int
    score: float
    change: float
    bound: float
    queries_needed: int | None


@dataclass(frozen=True)
class Point:
    """A weight, and what the merged model of that weight does.

    Attributes:
        weight: The weight of the tuned model.
        home: The change on the dev queries of the home data set.
        guards: The change on those of each guard.
        worst: The lowest change of a guard, or the lowest bound, as the rule of the entry says.
        is_allowed: Whether `worst` is within the margin.
    """

    weight: float
    home: Change
    guards: Sequence[Change]
    worst: float
    is_allowed: bool


def read_curve(scores: Mapping[float, Mapping[str, np.ndarray]], params: Merge) -> list[Point]:
    """Return what each weight does.

    Args:
        scores: By weight and data set, the scores of at least two dev queries, (queries,); weight 0 is the base.
        params: The entry.

    Raises:
        InputError: The rule is `bound` and a guard has fewer than 30 dev queries.
    """
    tried = sum(weight > 0 for weight in scores) if params.weight == "search" else 1
    points = []
    for weight, by_dataset in sorted(scores.items()):
        home, *guards = (
            _change(name, by_dataset[name], scores[0.0][name], params, tried) for name in (params.dev, *params.guards)
        )
        worst = min(guard.bound if params.rule == "bound" else guard.change for guard in guards)
        points.append(Point(weight, home, guards, worst, weight == 0.0 or worst >= -params.margin - TOLERANCE))
    if params.rule == "bound":
        _check_enough(points)
    return points


def choose(points: Sequence[Point]) -> Point:
    """Return the allowed point with the largest gain at home; of equal ones, that nearest to the base.

    Weight 0 is always allowed.
    """
    return max(
        (point for point in points if point.is_allowed),
        key=lambda point: (round(point.home.change / TOLERANCE), -point.weight),
    )


def metrics(points: Sequence[Point], chosen: Point, params: Merge) -> dict[str, Any]:
    """Return the curve, the choice and the next larger weight, for a file of metrics."""
    following = next((point for point in points if point.weight > chosen.weight), None)
    result: dict[str, Any] = {
        **_row(chosen),
        "rule": params.rule,
        "margin": params.margin,
        "is_searched": params.weight == "search",
        "curve": [_row(point) for point in points],
        "changes": {
            f"{point.weight:g}": [_rounded(asdict(change)) for change in (point.home, *point.guards)]
            for point in points
        },
    }
    return result if following is None else result | {"next": _row(following)}


def _row(point: Point) -> dict[str, Any]:
    values = {"weight": point.weight, "gain": point.home.change, "worst": point.worst, "is_allowed": point.is_allowed}
    return _rounded(values)


def _rounded(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: round(value, DECIMALS) + 0.0 if isinstance(value, float) else value for name, value in values.items()}


def _change(dataset: str, scores: np.ndarray, base: np.ndarray, params: Merge, tried: int) -> Change:
    """Compare the scores of at least two queries with the base's.

    The bound is mean - t * sd / sqrt(queries), with Student's t of 1 - (1 - confidence) / weights tried (Bonferroni).
    The number of queries is ((z + z(0.8)) * sd / (mean + margin))^2, the sample-size formula of the one-sided z-test.
    """
    differences = scores - base
    count, mean, deviation = len(differences), float(differences.mean()), float(differences.std(ddof=1))
    level = 1.0 - (1.0 - params.confidence) / tried
    bound = mean - float(stats.t.ppf(level, count - 1)) * deviation / math.sqrt(count)
    room = mean + params.margin
    factor = NormalDist().inv_cdf(level) + NormalDist().inv_cdf(POWER)
    needed = max(FEWEST, math.ceil((factor * deviation / room) ** 2)) if room > TOLERANCE else None
    return Change(dataset, count, float(scores.mean()), mean, bound, needed)


def _check_enough(points: Sequence[Point]) -> None:
    for guard in points[0].guards:
        if guard.queries < FEWEST:
            numbers = [[change.queries_needed for change in point.guards] for point in points if point.weight > 0.0]
            enough = [max(needed) for needed in numbers if None not in needed]  # type: ignore[type-var]
            would_do = f"about {min(enough):,} would do for one of the weights" if enough else "no number would do"  # type: ignore[type-var]
            raise InputError(
                f"{guard.dataset}: expected at least {FEWEST} dev queries for rule bound, got {guard.queries}; "
                f"{would_do}: raise convert.{guard.dataset}.dev, or write rule: point"
            )
