"""Reports of sweeps and learning curves: figures that can be checked by hand, and what follows from them."""

import math
import re
from pathlib import Path

import numpy as np
import pytest

from retune.params.compare import Compare
from retune.sweeping.configurations import Configuration, Sweep
from retune.sweeping.grid import Values
from retune.sweeping.intervals import changes
from retune.sweeping.report import Outcome, curve_report, more_labels, sweep_report
from retune.sweeping.training import Result
from retune.training.spec import Task
from tests.support.parameters import COMPUTE
from tests.support.sweeps import COMPARE, request_of
from tests.support.training_task import params

QUERIES = 200
BASE = np.tile([0.0, 0.5], QUERIES // 2)  # mean 0.25


def configuration(values: Values) -> Configuration:
    folder = Path("models/tiny")
    task = Task(folder, Path("data/mined/words"), Path("data/datasets/words"), params(), COMPUTE, 3, folder)
    return Configuration(values, task, task)


def result(values: Values, tuned: np.ndarray, minutes: float = 1.25) -> Result:
    return Result(configuration(values), BASE, tuned, best_step=3, steps=6, minutes=minutes)


def sweep_of(size: int, *, drawn_from: int = 0, **options: str) -> Sweep:
    request = request_of(**options) if options else request_of("epochs=1,2")
    every = [configuration({"epochs": number}) for number in range(size)]
    return Sweep(request, every, drawn_from or size, 3, math.inf, Compare(**COMPARE))


def noise(spread: float, mean: float) -> np.ndarray:
    """Differences of 200 queries with a mean, half of them above and half of them below it."""
    return np.tile([mean - spread, mean - spread, mean + spread, mean + spread], QUERIES // 4)


def test_interval_is_that_of_the_mean_over_resampled_queries() -> None:
    [change] = changes([noise(0.5, 0.1)], Compare(**COMPARE | {"resamples": 20000}), seed=1)
    deviation = 0.5 / math.sqrt(QUERIES)
    assert change.mean == pytest.approx(0.1)
    assert change.low == pytest.approx(0.1 - 1.96 * deviation, abs=0.004)
    assert change.high == pytest.approx(0.1 + 1.96 * deviation, abs=0.004)
    assert change.is_clear == (1.96 * deviation < 0.1)
    assert changes([], Compare(**COMPARE), seed=1) == []


def test_table_is_sorted_with_the_best_first_and_ends_with_its_command() -> None:
    results = [
        result({"epochs": 1}, BASE + 0.1),
        result({"epochs": 2}, BASE + 0.25, minutes=2.5),
        result({"epochs": 3}, BASE - 0.05),
    ]
    text = sweep_report(Outcome(sweep_of(4, drawn_from=9), results, [], []), "tuned.svg").text
    assert [line for line in text.splitlines() if line.startswith("|")] == [
        "| `epochs` | dev ndcg_at_3 | change | 95 % interval | best step | minutes |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        "| 2 | 0.5000 | +0.2500 | +0.2500 to +0.2500 | 3 of 6 | 2.5 |",
        "| 1 | 0.3500 | +0.1000 | +0.1000 to +0.1000 | 3 of 6 | 1.2 |",
        "| 3 | 0.2000 | -0.0500 | -0.0500 to -0.0500 | 3 of 6 | 1.2 |",
    ]
    assert "`tiny` scores 0.2500 on the 200 dev queries of `words` (mean ndcg_at_3)." in text
    assert "3 of 4 trainings are finished, drawn from 9 with seed 3. Test queries were not read." in text
    assert text.endswith("\n    dvc exp run -S ++finetune.tuned.epochs=2\n")


def test_best_of_several_is_called_optimistic_and_those_as_good_are_counted() -> None:
    best = BASE + 0.2
    results = [
        result({"epochs": 1}, best),
        result({"epochs": 2}, best - noise(0.5, 0.01)),  # about 0.07 on both sides: includes 0
        result({"epochs": 3}, best - noise(0.1, 0.1)),
    ]
    text = sweep_report(Outcome(sweep_of(3), results, [], []), "tuned.svg").text
    assert "The best of 3 dev scores is optimistic, because it was selected for being high" in text
    assert "1 of the others may be as good, as the 95 % interval of their difference from the best includes 0." in text
    alone = sweep_report(Outcome(sweep_of(1), results[:1], [], []), "tuned.svg").text
    assert "optimistic" not in alone


def test_failed_and_untried_configurations_are_named() -> None:
    failures = [(configuration({"epochs": 2}), "hard_negatives: expected 9")]
    outcome = Outcome(sweep_of(3), [result({"epochs": 1}, BASE)], failures, [configuration({"epochs": 3})])
    text = sweep_report(outcome, "tuned.svg").text
    assert "- **Failed**: epochs=2: hard_negatives: expected 9\n- **Not tried yet**: epochs=3\n" in text


def curve(*tuned: np.ndarray) -> list[Result]:
    shares = [{"share": 0.1, "queries": 100}, {"share": 0.4, "queries": 400}][-len(tuned) :]
    return [result(values, scores) for values, scores in zip(shares, tuned, strict=True)]


@pytest.mark.parametrize(
    ("step", "beginning", "for_each_doubling"),
    [
        (noise(0.1, 0.08), "**More labels would probably help**: from 100 to 400 queries", "+0.0400"),
        (noise(0.1, -0.08), "**More labels would probably not help**: from 100 to 400 queries", "-0.0400"),
        (noise(0.5, 0.01), "**Whether more labels would help is open**: from 100 to 400 queries", "+0.0050"),
    ],
    ids=["rises", "falls", "open"],
)
def test_last_step_of_the_curve_decides_whether_more_labels_would_help(
    step: np.ndarray, beginning: str, for_each_doubling: str
) -> None:
    said = more_labels(curve(BASE, BASE + step), sweep_of(2, labels="0.1,0.4"))
    assert said.startswith(f"{beginning} the dev score changed by {step.mean():+.4f} (95 % interval ")
    assert f"), which is {for_each_doubling} for each doubling" in said  # 2 doublings
    found = re.search(r"interval ([+-]\S+) to ([+-][\d.]+)\)", said)
    [change] = changes([step], Compare(**COMPARE), seed=3)
    assert found.groups() == (f"{change.low:+.4f}", f"{change.high:+.4f}")
    assert (f"where more than {change.high / 2:+.4f} is unlikely." in said) == ("open" in beginning)


def test_curve_shows_shares_and_numbers_of_queries_and_judges_two_points_at_least() -> None:
    sweep = sweep_of(2, labels="0.1,0.4")
    both = curve(BASE, BASE + 0.1)
    report = curve_report(Outcome(sweep, both, [], []), "tuned.svg")
    rows = [line for line in report.text.splitlines() if line.startswith("|")]
    assert rows[0] == "| share | labelled queries | dev ndcg_at_3 | change | 95 % interval | best step | minutes |"
    assert rows[2:] == [
        "| 10% | 100 | 0.2500 | +0.0000 | +0.0000 to +0.0000 | 3 of 6 | 1.2 |",
        "| 40% | 400 | 0.3500 | +0.1000 | +0.1000 to +0.1000 | 3 of 6 | 1.2 |",
    ]
    assert "Each training has 2 epochs, so fewer queries mean fewer steps." in report.text
    assert "**More labels would probably help**" in report.text
    one = curve_report(Outcome(sweep, both[:1], [], [configuration({"share": 0.4, "queries": 400})]), "tuned.svg")
    assert "More labels" not in one.text
    assert "- **Not tried yet**: share=0.4, queries=400" in one.text


def test_charts_name_what_they_show() -> None:
    results = [result({"epochs": 1}, BASE + 0.1), result({"epochs": 2}, BASE)]
    drawn = sweep_report(Outcome(sweep_of(2), results, [], []), "tuned.svg").chart
    assert drawn.startswith("<svg")
    for text in ("epochs=1", "epochs=2", "change of dev ndcg_at_3"):
        assert f">{text}</text>" in drawn
    drawn = curve_report(Outcome(sweep_of(2, labels="0.1,1"), curve(BASE, BASE + 0.1), [], []), "tuned.svg").chart
    for text in ("labelled queries", "100", "400", "change of dev ndcg_at_3"):
        assert f">{text}</text>" in drawn
