"""A sweep trains each configuration once, within its budget and on dev alone, and reports what it found."""

import fcntl
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from retune.core.errors import InputError
from retune.sweeping import sweep as module
from retune.sweeping.configurations import Configuration
from retune.sweeping.sweep import start, sweep
from tests.support.repository import REPOSITORY
from tests.support.sweeps import FOLDERS, request_of

pytestmark = pytest.mark.usefixtures("forks")
RATES = "learning_rate=0.01,0.0001"


def refuse(configuration: Configuration, folder: Path) -> None:
    raise AssertionError(configuration.values)


def table(report: str) -> list[list[str]]:
    """Return the cells of the table in a report, without its head."""
    rows = [line.strip("| ").split(" | ") for line in report.splitlines() if line.startswith("| ")]
    return rows[2:]


def test_grid_is_trained_once_and_ranked_by_dev_scores_without_a_test_split(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not (project / "data/datasets/words/test").exists()
    report = sweep(request_of(RATES), FOLDERS)
    rows = table(report)
    assert sorted(row[0] for row in rows) == ["0.0001", "0.01"]
    assert float(rows[0][1]) > float(rows[1][1])
    assert (project / "reports/sweeps/tuned.md").read_text() == report
    assert "![change of each configuration](tuned.svg)" in report
    assert (project / "reports/sweeps/tuned.svg").read_text().startswith("<svg")
    assert not list(project.rglob(".retune/**/*.safetensors"))
    assert sorted(path.name for path in project.iterdir()) == [".retune", "data", "models", "params.yaml", "reports"]
    assert [path.name for path in (project / "models").iterdir()] == ["tiny"]
    monkeypatch.setattr(module, "train", refuse)
    assert sweep(request_of(RATES), FOLDERS) == report


def test_learning_curve_is_drawn_from_fewer_to_more_queries(project: Path) -> None:
    report = sweep(request_of(labels="1,0.4"), FOLDERS)
    assert [row[:2] for row in table(report)] == [["40%", "10"], ["100%", "24"]]
    assert [row[5] for row in table(report)] == ["2 of 2", "3 of 3"]  # 10 and 24 queries in batches of 8
    assert "from 10 to 24 queries the dev score changed by" in report
    assert (project / "reports/learning_curves/tuned.md").read_text() == report
    assert (project / "reports/learning_curves/tuned.svg").read_text().startswith("<svg")


def test_no_training_starts_after_the_budget_and_the_next_call_continues(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter([0.0, 0.0, 60.0])
    with monkeypatch.context() as patch:
        patch.setattr(module, "monotonic", lambda: next(now))
        report = sweep(request_of(RATES, minutes="1"), FOLDERS)
    assert len(table(report)) == 1
    assert "- **Not tried yet**: learning_rate=0.0001\n\nThe same command continues with them." in report
    report = sweep(request_of(RATES, minutes="1"), FOLDERS)
    assert len(table(report)) == 2
    assert "Not tried yet" not in report


def test_budget_that_is_over_before_the_first_training_is_refused(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter([0.0, 60.0])
    monkeypatch.setattr(module, "monotonic", lambda: next(now))
    with pytest.raises(InputError, match=r"^--minutes: expected time for one training at least, got none; raise it$"):
        sweep(request_of(RATES, minutes="1"), FOLDERS)


def test_configuration_that_fails_is_named_and_the_others_are_trained(project: Path) -> None:
    report = sweep(request_of("hard_negatives=9,1"), FOLDERS)
    assert [row[0] for row in table(report)] == ["1"]
    line = (
        "- **Failed**: hard_negatives=9: hard_negatives: expected 9 mined negatives per query, got fewer for 24 of 24"
    )
    assert line in report


def test_sweep_of_which_nothing_can_be_trained_is_an_error(project: Path) -> None:
    line = (
        "finetune.tuned, batch_size=32: words: expected at least 2 documents and 32 pairs for a batch, got 24 and 24; "
        "convert more data, or lower batch_size"
    )
    with pytest.raises(InputError, match=f"^{re.escape(line)}$"):
        sweep(request_of("batch_size=32"), FOLDERS)
    assert not (project / "reports").exists()


@pytest.mark.parametrize("run", [sweep, start])
def test_second_sweep_of_a_model_waits_for_the_first(project: Path, run: object) -> None:
    lock = project / ".retune/sweeps/tuned/lock"
    lock.parent.mkdir(parents=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(
            InputError, match=r"^finetune.tuned: a sweep of it runs already; its reports are in reports"
        ):
            run(request_of(RATES), FOLDERS)


@pytest.mark.parametrize("run", [sweep, start])
def test_wrong_model_leaves_nothing_behind(project: Path, run: object) -> None:
    with pytest.raises(InputError, match="finetune: expected an entry 'bert', found tuned"):
        run(module.Request("finetune.bert", [RATES]), FOLDERS)
    assert not (project / ".retune").exists()


@pytest.mark.slow
def test_sweep_in_the_background_writes_its_log_and_report(
    project: Path, server: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = request_of("learning_rate=0.01", random="1", minutes="5")
    expected = sweep(request, FOLDERS)  # which the process in the background reads back
    report = project / "reports/sweeps/tuned.md"
    report.unlink()
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setattr(sys, "executable", str(server / "python"))
    said = re.fullmatch(
        r"process (\d+) trains; log: (\S+); report, renewed after each training: reports/sweeps/tuned.md",
        start(request, FOLDERS),
    )
    for run in (start, sweep):
        with pytest.raises(InputError, match="a sweep of it runs already"):  # though that process hardly started yet
            run(request, FOLDERS)
    log = project / said[2]
    for _ in range(600):
        if expected in log.read_text():
            break
        time.sleep(0.1)
    assert log.read_text().endswith(f"{expected}\n")
    assert report.read_text() == expected
    os.waitpid(int(said[1]), 0)
    assert sweep(request, FOLDERS) == expected  # the lock is free again


def test_background_process_gets_the_whole_request_and_a_session_of_its_own(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []

    class Started:
        pid = 7

        def __init__(self, command: list[str], **options: object) -> None:
            started.append((command, options["start_new_session"], Path(options["stdin"].name).name))

    monkeypatch.setattr(subprocess, "Popen", Started)
    request = request_of(RATES, "epochs=1,2", random="3", minutes="1.5")
    start(request, FOLDERS)
    options = ["--try", RATES, "--try", "epochs=1,2", "--random", "3", "--minutes", "1.5"]
    assert started == [([sys.executable, "-m", "stages.sweep", "finetune.tuned", *options], True, "lock")]
