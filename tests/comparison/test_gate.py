"""The gate judges at the conservative bound of the interval, from a file that is in Git."""

import logging
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from retune.comparison.gate import judge_gate, pass_gate
from retune.comparison.verdict import Measurement
from retune.comparison.verdict_file import verdict_json
from retune.core.errors import InputError
from retune.core.files import write_json
from retune.params.compare import Gate
from tests.support.comparisons import QUERIES, SCORES, compared
from tests.support.repository import REPOSITORY, run

HOME = Measurement(
    "tuned", "home", 100, 0.7, 0.68, 0.72, "base", True, 0.6, 0.1, 0.05, 0.15, 0.001, 0.002, 0.07, 60, 20
)
FAR = Measurement(
    "tuned", "far", 100, 0.5, 0.48, 0.52, "base", False, 0.531, -0.031, -0.041, -0.02, 0.001, 0.002, 0.01, 3, 30
)
BASE = Measurement("base", "home", 100, 0.6, 0.58, 0.62)


def gate(min_gain: float | None, max_forgetting: float | None) -> Gate:
    return Gate(min_gain=min_gain, max_forgetting=max_forgetting)


def write(folder: Path, *measurements: Measurement) -> Path:
    write_json(folder / "verdict.json", {"measurements": [asdict(measurement) for measurement in measurements]})
    return folder / "verdict.json"


@pytest.mark.parametrize(("min_gain", "holds"), [(0.05, True), (0.051, False), (0.1, False)])
def test_gain_counts_at_the_lower_end(min_gain: float, holds: bool) -> None:
    assert [finding.holds for finding in judge_gate([BASE, HOME, FAR], gate(min_gain, None))] == [holds]


@pytest.mark.parametrize(("max_forgetting", "holds"), [(0.041, True), (0.04, False), (0.031, False)])
def test_forgetting_counts_at_the_upper_end(max_forgetting: float, holds: bool) -> None:
    assert [finding.holds for finding in judge_gate([BASE, HOME, FAR], gate(None, max_forgetting))] == [holds]


def test_failed_rule_is_said_with_its_numbers(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="retune")
    with pytest.raises(InputError) as caught:
        pass_gate(write(tmp_path, BASE, HOME, FAR), gate(0.0, 0.02))
    assert str(caught.value) == (
        "gate: tuned on far: lost 0.03100 (confidence interval of the change -0.04100 to -0.02000), above the allowed 0.02"
    )
    assert caplog.messages == [
        "gate: tuned on home: gained 0.10000 (confidence interval of the change +0.05000 to +0.15000); "
        "at least 0.0 is required: holds"
    ]


def test_loss_that_only_the_interval_allows_is_called_possible() -> None:
    gained = replace(FAR, change=0.002, low=-0.021, high=0.026)
    assert [finding.sentence for finding in judge_gate([BASE, gained], gate(None, 0.02))] == [
        "tuned on far: gained 0.00200 (confidence interval of the change -0.02100 to +0.02600), but the interval does not "
        "rule out a loss of up to 0.02100, above the allowed 0.02"
    ]


def test_gain_that_the_interval_does_not_show_is_called_uncertain() -> None:
    sentences = [
        judge_gate([replace(HOME, change=change, low=low)], gate(0.05, None))[0].sentence.partition("0.15000)")[2]
        for change, low in ((0.1, -0.01), (0.1, 0.01), (0.04, -0.01))
    ]
    assert sentences == [
        ", but the interval does not rule out a loss of 0.01000, and a gain of at least 0.05 is required",
        ", but the interval does not rule out a gain of only 0.01000, and a gain of at least 0.05 is required",
        ", but a gain of at least 0.05 is required",
    ]


def test_gate_that_all_tuned_models_pass_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="retune")
    pass_gate(write(tmp_path, BASE, HOME, FAR), gate(0.0, 0.05))
    assert len(caplog.messages) == 2
    assert all(message.endswith(": holds") for message in caplog.messages)


def test_no_gate_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="retune")
    pass_gate(tmp_path / "absent.json", None)
    assert caplog.messages == ["gate: there is none, because compare.gate is null"]


def test_verdict_without_a_tuned_model_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="retune")
    pass_gate(write(tmp_path, BASE), gate(0.0, 0.02))
    assert caplog.messages == [
        f"gate: nothing to judge, because {tmp_path}/verdict.json has no tuned model or compare.gate has no rule"
    ]


def test_model_that_was_not_evaluated_at_home_does_not_pass() -> None:
    assert [finding.sentence for finding in judge_gate([BASE, FAR], gate(0.0, 0.05)) if not finding.holds] == [
        "tuned: not evaluated on the data set it was tuned for, so its gain cannot be judged"
    ]


def test_too_few_queries_do_not_pass() -> None:
    few = Measurement("tuned", "home", 12, 0.7, None, None, "base", True, 0.6, 0.1, word="withheld")
    findings = judge_gate([few], gate(0.0, 0.02))
    assert [finding.sentence for finding in findings if not finding.holds] == [
        "tuned on home: min_gain cannot be judged with 12 test queries; at least 30 are needed",
        "tuned: not evaluated on any other data set, so forgetting cannot be judged",
    ]


@pytest.mark.slow
def test_gate_of_a_comparison_is_the_gate_of_its_file(tmp_path: Path) -> None:
    found = compared(tmp_path)  # farther lost 0.1 on every query
    write_json(tmp_path / "verdict.json", verdict_json(found))
    assert found.verdicts[0].gate == "failed"
    with pytest.raises(InputError, match=r"gate: tuned on farther: lost 0.10000 .* above the allowed 0.02"):
        pass_gate(tmp_path / "verdict.json", gate(0.0, 0.02))
    kept = {model: datasets | {"farther": [0.6] * QUERIES} for model, datasets in SCORES.items()}
    assert compared(tmp_path / "kept", kept).verdicts[0].gate == "passed"


def test_missing_verdict_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="absent.json: expected the verdict of the comparison, found none; run dvc"):
        pass_gate(tmp_path / "absent.json", gate(0.0, None))


@pytest.mark.parametrize(
    "content",
    [
        *(None, [], {}, {"cells": []}, {"measurements": None}, {"measurements": {}}),
        {"measurements": [{"model": "tuned", "gone": 1}]},
    ],
)
def test_verdict_of_another_version_is_refused(content: object, tmp_path: Path) -> None:
    write_json(tmp_path / "verdict.json", content)
    with pytest.raises(
        InputError, match="verdict.json: expected a verdict of this version of compare, .*; run dvc repro"
    ):
        pass_gate(tmp_path / "verdict.json", gate(0.0, None))


def test_edited_verdict_with_a_wrong_value_is_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "verdict.json", {"measurements": [asdict(BASE), asdict(HOME) | {"low": "much"}]})
    with pytest.raises(
        InputError, match=r"verdict.json: measurements.1.low: expected a valid number, .*, got 'much'; run"
    ):
        pass_gate(tmp_path / "verdict.json", gate(0.0, None))


@pytest.mark.slow
def test_stage_needs_no_data_and_exits_with_1(tmp_path: Path) -> None:
    verdict = write(tmp_path, BASE, HOME, FAR)
    result = run(f"python -m stages.gate --verdict {verdict}", REPOSITORY)
    assert result.returncode == 1
    assert "error: gate: tuned on far: lost 0.03100" in result.stderr
