"""The weight that is chosen, and the bound and the numbers that go with it."""

from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest
from scipy import stats

from retune.core.errors import InputError
from retune.merging.choice import Point, choose, metrics, read_curve
from retune.params.merge import Merge

ENTRY = {
    "base": "base", "tuned": "tuned", "tuned_2": "tuned", "dev": "home", "guard": "away", "guard_2": "away",
    "weight": "search", "metric": "ndcg_at_10", "margin": 0.1, "rule": "point", "confidence": 0.95,
}  # fmt: skip
HOME = {0.0: 0.5, 0.5: 0.7, 1.0: 0.8}
AWAY = {0.0: 0.6, 0.5: 0.55, 1.0: 0.4}


def entry(**changed: object) -> Merge:
    return Merge.parse("merge.x", ENTRY | changed)


def curve(
    away: dict[float, float] = AWAY, *, queries: int = 100, spread: float = 0.0, **changed: object
) -> list[Point]:
    """Each query scores the mean, every other one more by `spread` times the weight, and the rest less."""
    signs = np.where(np.arange(queries) % 2, 1.0, -1.0)
    scores = {
        weight: {"home": np.full(queries, HOME[weight]), "away": away[weight] + spread * weight * signs}
        for weight in away
    }
    return read_curve(scores, entry(**changed))


def test_largest_gain_within_the_margin_is_chosen() -> None:
    chosen = choose(curve())
    assert chosen.weight == 0.5
    assert (chosen.home.change, chosen.worst) == (pytest.approx(0.2), pytest.approx(-0.05))
    assert choose(curve(margin=0.05)).weight == 0.5
    assert choose(curve(margin=0.2)).weight == 1.0
    assert choose(curve(margin=0.0)).weight == 0.0


def test_base_is_kept_where_nothing_gains_but_noise() -> None:
    base = curve()[0]
    noise = replace(base.home, change=1e-17)
    assert choose([base, Point(1.0, noise, base.guards, 0.0, True)]).weight == 0.0


def test_worst_of_two_guards_decides() -> None:
    scores = {
        weight: {"home": np.full(9, HOME[weight]), "away": np.full(9, 0.6), "far": np.full(9, AWAY[weight])}
        for weight in HOME
    }
    points = read_curve(scores, entry(guard_2="far", margin=0.01))
    assert [point.is_allowed for point in points] == [True, False, False]
    assert [guard.dataset for guard in points[0].guards] == ["away", "far"]


def test_bound_is_corrected_for_the_weights_tried() -> None:
    [_, half, _] = curve(spread=0.2, rule="bound")
    [guard] = half.guards
    deviation = 0.1 * np.sqrt(100 / 99)
    level = 1 - 0.05 / 2  # two weights above 0
    assert guard.bound == half.worst == pytest.approx(-0.05 - stats.t.ppf(level, 99) * deviation / 10)
    assert half.is_allowed
    factor = NormalDist().inv_cdf(level) + NormalDist().inv_cdf(0.8)
    assert guard.queries_needed == int(np.ceil((factor * deviation / 0.05) ** 2)) == 32
    assert not curve(spread=0.2, rule="bound", margin=0.06)[1].is_allowed
    assert curve(spread=0.2, rule="bound", margin=0.05)[1].guards[0].queries_needed is None
    assert curve({0.0: 0.6, 0.5: 0.6})[1].guards[0].queries_needed == 30


def test_fixed_weight_is_one_trial() -> None:
    [_, half, _] = curve(spread=0.2, weight=0.5)
    deviation = 0.1 * np.sqrt(100 / 99)
    assert half.guards[0].bound == pytest.approx(-0.05 - stats.t.ppf(0.95, 99) * deviation / 10)


def test_bound_needs_thirty_queries() -> None:
    message = "away: expected at least 30 dev queries for rule bound, got 20; about {} would do for one of the weights"
    with pytest.raises(InputError, match=message.format("30")):
        curve(queries=20, rule="bound")
    with pytest.raises(InputError, match="got 20; no number would do: raise convert.away.dev, or write rule: point"):
        curve(queries=20, rule="bound", margin=0.01)
    assert curve(queries=20)


def test_metrics_have_the_choice_and_the_next_weight() -> None:
    points = curve()
    content = metrics(points, choose(points), entry())
    assert (content["weight"], content["next"]["weight"], content["next"]["is_allowed"]) == (0.5, 1.0, False)
    assert (content["worst"], content["next"]["worst"], content["is_searched"]) == (-0.05, -0.2, True)
    assert [row["gain"] for row in content["curve"]] == [0.0, 0.2, 0.3]
    assert [change["dataset"] for change in content["changes"]["0.5"]] == ["home", "away"]
    assert "next" not in metrics(points, points[-1], entry())


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"tuned_2": "base"}, "base: expected another model than the tuned ones, got 'base'"),
        ({"guard_2": "home"}, "guard and guard_2: expected other data sets than dev, got 'home'"),
        ({"weight": 1.5}, "weight: expected"),
        ({"weight": "best"}, "weight: expected"),
        ({"margin": -0.1}, "margin: expected"),
        ({"rule": "mean"}, "rule: expected"),
        ({"confidence": 0.3}, "confidence: expected"),
    ],
)
def test_wrong_parameter_is_named(changed: dict, line: str) -> None:
    with pytest.raises(InputError, match=line):
        entry(**changed)
