"""Two models against each other: the difference, its interval, and a p-value corrected for all pairs."""

import json
from pathlib import Path

import pytest

from retune.comparison.pairs import PairDifference
from retune.comparison.result import Conclusion
from retune.comparison.verdict_file import verdict_json
from retune.core.errors import InputError
from retune.report.markdown import markdown
from tests.support.comparisons import QUERIES, SCORES, compared

OTHER = {"home": [0.6] * QUERIES, "far": [0.4] * QUERIES, "farther": [0.5] * QUERIES}
ALL = SCORES | {"other": OTHER}
PAIRS = [["tuned", "other"], ["base", "other"]]
SMALLEST_P = 1 / 2001  # of 2,000 resamples


@pytest.fixture
def found(tmp_path: Path) -> Conclusion:
    return compared(tmp_path, ALL, pairs=PAIRS)


def test_difference_has_an_interval_and_a_p_corrected_for_all_pairs(found: Conclusion) -> None:
    home, far, farther, base_home, base_far, base_farther = found.pairs
    assert home == PairDifference(
        "tuned", "other", "home", QUERIES, 0.1, QUERIES, 0, False, 0.1, 0.1, home.p, home.p_holm
    )
    assert home.p == pytest.approx(SMALLEST_P, abs=1e-6)
    assert home.p_holm == pytest.approx(6 * SMALLEST_P, abs=1e-5)  # of six tests
    assert (base_home.difference, base_home.better, base_home.worse) == (-0.1, 0, QUERIES)
    assert base_home.p_holm == pytest.approx(6 * SMALLEST_P, abs=1e-5)
    assert (far.difference, far.better, far.worse, far.p_holm) == (0.0, 1, 1, 1.0)
    assert far.low is not None
    assert far.high is not None
    assert far.low < 0.0 < far.high
    assert [pair.dataset for pair in found.pairs] == ["home", "far", "farther"] * 2
    assert (farther.difference, base_far.difference, base_farther.difference) == (0.0, 0.0, 0.1)


def test_report_and_verdict_show_the_pairs(found: Conclusion) -> None:
    report = markdown(found, "x.svg")
    section = report.partition("## Models against each other\n")[2].partition("## ")[0]
    assert "| `tuned` | `other` | home | +0.1000 | +0.1000 to +0.1000 | 0.0030 | 40 / 0 |" in section
    assert section.count("\n| `") == 6
    written = json.loads(json.dumps(verdict_json(found)))["pairs"]
    assert [pair["difference"] for pair in written] == [pair.difference for pair in found.pairs]


def test_there_is_no_section_without_pairs(tmp_path: Path) -> None:
    found = compared(tmp_path)
    assert found.pairs == []
    assert "against each other" not in markdown(found, "x.svg")


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([["tuned", "nobody"]], "^compare.pairs.0: expected models that eval.models lists, got 'nobody'$"),
        (
            [["tuned", "base"], ["base", "tuned"]],
            "^compare.pairs.1: expected each pair once, got 'base' and 'tuned' again",
        ),
    ],
)
def test_pairs_that_cannot_be_compared_are_refused(pairs: list[list[str]], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        compared(tmp_path, ALL, pairs=pairs)


def test_few_queries_have_a_difference_alone(tmp_path: Path) -> None:
    few = {model: {name: values[:10] for name, values in datasets.items()} for model, datasets in ALL.items()}
    home = compared(tmp_path, few, pairs=PAIRS).pairs[0]
    assert home == PairDifference("tuned", "other", "home", 10, 0.1, 10, 0, False)
    report = markdown(compared(tmp_path, few, pairs=PAIRS), "x.svg")
    assert "| `tuned` | `other` | home | +0.1000 |  |  | 10 / 0 |" in report
