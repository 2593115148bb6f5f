"""All files of a comparison, written at once."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from retune.core.files import write_json
from retune.report.outputs import write_outputs
from tests.support.comparisons import SCORES, TUNED, concluded, write_project
from tests.support.patients import PARAMETERS


@pytest.mark.slow
def test_findings_are_in_both_reports_and_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    inputs, metrics, reports = write_project(tmp_path, SCORES), tmp_path / "metrics", tmp_path / "reports"
    tuned = {"tuned": replace(TUNED["tuned"], parameters=PARAMETERS)}
    statistics = {"leaks": {"policy": "report", "train_queries": 2}, "splits": {"train": {"queries": 20}}}
    write_json(metrics / "data" / "home.json", statistics)
    write_outputs(concluded(inputs, tuned=tuned), inputs, metrics=metrics, reports=reports)
    expected = "convert.home: 2 of 20 train queries leak a dev or test query."
    assert f"\n- {expected}" in (reports / "compare.md").read_text()
    assert "2 of 20 train queries leak" in (reports / "index.html").read_text()
    assert f"finding: {expected}" in caplog.text


def test_verdict_may_be_absent_while_findings_are_made(tmp_path: Path) -> None:
    inputs = write_project(tmp_path, SCORES)
    tuned = {"tuned": replace(TUNED["tuned"], parameters=PARAMETERS)}
    write_outputs(concluded(inputs, tuned=tuned), inputs, metrics=tmp_path / "metrics", reports=tmp_path)
    assert "## Findings" not in (tmp_path / "compare.md").read_text()
