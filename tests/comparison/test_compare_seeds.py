"""Trainings that differ in their seed alone: their mean and spread, in the report and for the gate."""

from dataclasses import replace
from pathlib import Path
from statistics import stdev

import pytest

from retune.comparison.gate import judge_gate
from retune.comparison.lineage import TunedModel
from retune.comparison.result import Conclusion
from retune.params.compare import Gate
from retune.report.markdown import markdown
from tests.support.comparisons import QUERIES, SCORES, TUNED, compared

HOME = {"tuned_14": 0.65, "tuned_15": 0.6}  # the base has 0.5, tuned 0.7
SPREAD = stdev([0.2, 0.15, 0.1])  # 0.05
TRAINED = TUNED | {name: TunedModel("base", "home", ("home",), {}) for name in HOME}
ALL = SCORES | {name: SCORES["tuned"] | {"home": [score] * QUERIES} for name, score in HOME.items()}


@pytest.fixture
def found(tmp_path: Path) -> Conclusion:
    for name in HOME:
        (tmp_path / "metrics/train").mkdir(parents=True, exist_ok=True)
        (tmp_path / f"metrics/train/{name}.tsv").write_text("global_step\tloss\tlr\tdev_x\n1\t0.9\t1e-4\t0.6\n")
    return compared(tmp_path, ALL, TRAINED, seeds={"tuned": list(HOME)})


def test_group_has_a_mean_and_a_spread(found: Conclusion) -> None:
    for model in TRAINED:
        home = found.comparison.home(model)
        assert (home.seeds, home.seed_mean) == (3, pytest.approx(0.15))
        assert home.seed_spread == pytest.approx(SPREAD)
    [base, *_] = found.comparison.measurements
    assert (base.model, base.seeds) == ("base", None)


def test_report_shows_the_first_model_of_a_group(found: Conclusion) -> None:
    report = markdown(found, "x.svg")
    assert "| `tuned` | home | 3 | +0.2000 | +0.1500 | 0.0500 |" in report
    assert "mean of 3 seeds +0.1500, standard deviation 0.0500" in report
    section = report[report.index("## Seeds") :]
    assert "tuned_14" not in section[: section.index("\n## ")]


def test_gate_takes_the_spread_off_the_bound(found: Conclusion) -> None:
    def holds(spreads: float | None, min_gain: float) -> dict[str, bool]:
        gate = Gate(min_gain=min_gain, seed_spreads=spreads)
        return {result.model: result.holds for result in judge_gate(found.comparison.measurements, gate)}

    # all queries gain alike, so each interval is a point: 0.2, 0.15 and 0.1
    assert holds(None, 0.1) == {"tuned": True, "tuned_14": True, "tuned_15": True}
    assert holds(2.0, 0.1) == {"tuned": True, "tuned_14": False, "tuned_15": False}
    gate = Gate(min_gain=0.1, seed_spreads=2.0)
    sentences = [result.sentence for result in judge_gate(found.comparison.measurements, gate)]
    assert (
        "+0.15000 to +0.15000, less 2 standard deviations of 0.05000 between seeds), but the interval" in sentences[1]
    )


def test_merged_model_needs_no_seeds(found: Conclusion) -> None:
    home = replace(found.comparison.home("tuned"), seed_spread=None, merged_weight=0.5)
    [result] = judge_gate([home], Gate(min_gain=0.1, seed_spreads=2.0))
    assert result.holds


def test_system_needs_no_seeds(tmp_path: Path) -> None:
    system = TunedModel("base", "home", (), {}, is_system=True)
    scores = SCORES | {"both": SCORES["tuned"]}
    found = compared(tmp_path, scores, TUNED | {"both": system}).comparison
    assert found.home("both").is_system
    assert not found.home("tuned").is_system
    [result] = judge_gate([found.home("both")], Gate(min_gain=0.1, seed_spreads=2.0))
    assert result.holds


def test_gate_that_asks_for_seeds_cannot_judge_a_model_without(tmp_path: Path) -> None:
    measurements = compared(tmp_path).comparison.measurements
    [result] = judge_gate(measurements, Gate(min_gain=0.0, seed_spreads=1.0))
    assert not result.holds
    assert "cannot be judged with one seed, as gate.seed_spreads asks for several" in result.sentence
