"""An export is compared with its model, and must be as good on every data set, at home too."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from retune.comparison.gate import judge_gate, read_measurements
from retune.comparison.lineage import TunedModel
from retune.comparison.model_verdicts import ModelVerdict
from retune.comparison.result import Conclusion
from retune.comparison.verdict_file import verdict_json
from retune.core.errors import InputError
from retune.core.files import write_json
from retune.doctor.examination import examine
from retune.doctor.state import read_state
from retune.params.compare import Gate
from retune.report.content import page_content
from retune.report.markdown import markdown
from retune.report.page import page_html
from tests.support.comparisons import QUERIES, SCORES, TUNED, Scores, compared, concluded, write_project

GATE = {"min_gain": 0.1, "max_forgetting": 0.02, "seed_spreads": 1.0}
MEASURED = {"format": "onnx", "dtype": "int8", "dims": 384, "megabytes": 23.04, "parameters": 22_000_000}
COSINES = {"cosine": {"least": 0.97, "median": 0.991}}


def scores(home: float, far: float = 0.4) -> Scores:
    """Scores of an export of `tuned`, whose own are 0.7 at home and about 0.4 far away."""
    farther = SCORES["tuned"]["farther"]
    return SCORES | {"small": {"home": [home] * QUERIES, "far": [far] * QUERIES, "farther": farther}}


def judged(folder: Path, given: Scores, base: str = "tuned") -> Conclusion:
    inputs = write_project(folder, given)
    write_json(inputs.exports / "small.json", MEASURED | COSINES)
    tuned = TUNED | {"small": TunedModel(base, "home", (), {"dtype": "int8"}, is_export=True)}
    return concluded(inputs, given, tuned, gate=GATE)


def verdict(found: Conclusion) -> ModelVerdict:
    return next(verdict for verdict in found.verdicts if verdict.model == "small")


def rules(found: Conclusion) -> dict[tuple[str, str], bool]:
    results = judge_gate(found.comparison.measurements, Gate(**GATE))
    return {(result.dataset, result.rule): result.holds for result in results if result.model == "small"}


def test_export_as_good_as_its_model_is_non_inferior_and_need_not_gain(tmp_path: Path) -> None:
    found = judged(tmp_path, scores(home=0.7))
    words = {measurement.dataset: measurement.word for measurement in found.comparison.of("small")}
    assert words == {"home": "non-inferior", "far": "non-inferior", "farther": "non-inferior"}
    assert (verdict(found).word, verdict(found).gate) == ("non-inferior", "passed")
    assert rules(found) == {(dataset, "non_inferior"): True for dataset in words}  # no rule of tuned models
    assert not any(measurement.is_home for measurement in found.comparison.of("small"))


def test_loss_at_home_counts_as_forgetting(tmp_path: Path) -> None:
    found = judged(tmp_path, scores(home=0.65))
    assert found.comparison.home("small").word == "forgot"
    assert (verdict(found).word, verdict(found).gate) == ("forgot", "failed")
    assert rules(found)["home", "non_inferior"] is False
    assert verdict(found).forgetting_worst == pytest.approx(0.05)


@pytest.mark.parametrize("limits", [{}, {"min_gain": 0.0}, {"max_forgetting": 0.02}])
def test_gate_asks_for_the_verdict_of_an_export_whatever_it_allows_tuned_models(
    limits: dict[str, float], tmp_path: Path
) -> None:
    found = judged(tmp_path, scores(home=0.685))  # a loss of 0.015: above the margin of 0.01, below the limit of 0.02
    results = judge_gate(found.comparison.measurements, Gate(**limits))
    (failed,) = [result.sentence for result in results if result.model == "small" and not result.holds]
    assert failed.startswith("small on home: lost 0.01500 ")
    assert failed.endswith("; forgot, but an export must be non-inferior")


def test_gain_on_one_data_set_does_not_hide_that_another_is_open(tmp_path: Path) -> None:
    given = scores(home=0.75)
    given["small"]["far"] = [0.0, 0.8] * (QUERIES // 2)  # as good on average, and nothing is ruled out
    found = judged(tmp_path, given)
    assert found.comparison.home("small").word == "improved"
    assert rules(found) == {
        ("home", "non_inferior"): True,
        ("far", "non_inferior"): False,
        ("farther", "non_inferior"): True,
    }
    assert verdict(found).word == "no difference shown"


def test_export_of_a_fetched_model_leaves_the_share_of_the_best_gain_alone(tmp_path: Path) -> None:
    found = judged(tmp_path, scores(home=0.5), base="base")
    assert [verdict.gain_kept for verdict in found.verdicts] == [None, None]


def test_report_has_a_row_for_each_export(tmp_path: Path) -> None:
    report = markdown(judged(tmp_path, scores(home=0.7)), "x.svg")
    assert (
        "| `small` | `tuned` | onnx | int8 | non-inferior | 384 | 23.0 | 0.97000 | 0.99100 | -0.0000 |" in report
        or ("| `small` | `tuned` | onnx | int8 | non-inferior | 384 | 23.0 | 0.97000 | 0.99100 | +0.0000 |" in report)
    )
    assert "- `small` (from `tuned`): **non-inferior**, +0.0000 on home" in report
    assert "## Exports" not in markdown(compared(tmp_path / "without"), "x.svg")


def test_static_model_has_no_cosines(tmp_path: Path) -> None:
    inputs = write_project(tmp_path, scores(home=0.7))
    write_json(inputs.exports / "small.json", MEASURED | {"format": "static", "dtype": "float32", "cosine": None})
    tuned = TUNED | {"small": TunedModel("tuned", "home", (), {"dtype": "float32"}, is_export=True)}
    report = markdown(concluded(inputs, scores(home=0.7), tuned, gate=GATE), "x.svg")
    assert "| `small` | `tuned` | static | float32 | non-inferior | 384 | 23.0 |  |  | " in report


def test_page_and_doctor_take_an_export(tmp_path: Path) -> None:
    found = judged(tmp_path, scores(home=0.65))
    inputs = write_project(tmp_path, scores(home=0.65))
    assert "small" in page_html(page_content(found, inputs))
    exports = {"small": found.comparison.tuned_models["small"]}
    state = read_state(tmp_path / "metrics", list(SCORES), ["home"], exports, 0.01, verdict_json(found))
    assert state.bases == []
    examine(state)


def test_gate_reads_from_the_verdict_that_a_model_is_an_export(tmp_path: Path) -> None:
    found = judged(tmp_path, scores(home=0.7))
    path = tmp_path / "verdict.json"
    path.write_text(json.dumps(verdict_json(found)))
    assert [asdict(measurement) for measurement in read_measurements(path)] == [
        asdict(measurement) for measurement in found.comparison.measurements
    ]


def test_missing_parity_is_named(tmp_path: Path) -> None:
    inputs = write_project(tmp_path, scores(home=0.7))
    tuned = {"small": TunedModel("base", "home", (), {}, is_export=True)}
    with pytest.raises(
        InputError, match="small.json: expected the parity of small, found none; run dvc repro export@small"
    ):
        concluded(inputs, scores(home=0.7), tuned)
