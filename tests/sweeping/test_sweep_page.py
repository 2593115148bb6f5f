"""The commands of the page about sweeps run as it shows them."""

import importlib
import shlex
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.support.commands import in_blocks
from tests.support.repository import REPOSITORY, link_environment, succeed

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("forks")]
GRID, MAKE, CURVE = in_blocks("docs/sweep.md")


@pytest.fixture
def repository(project: Path, server: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project with the name of the page for its model, and with `make`."""
    params = yaml.safe_load((project / "params.yaml").read_text())
    params["finetune"] = {"minilm_science": params["finetune"]["tuned"]}
    (project / "params.yaml").write_text(yaml.safe_dump(params))
    for name in ("Makefile", "stages", "src", "requirements.txt"):
        (project / name).symlink_to(REPOSITORY / name)
    link_environment(project, server)
    return project


def run_here(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a command in this process, where trainings start as forks."""
    python, flag, module, *arguments = shlex.split(command)
    assert [python, flag, module] == ["python", "-m", "stages.sweep"]
    script = importlib.import_module(module)
    monkeypatch.setattr(sys, "argv", [module, *arguments])
    script.run(script.main)


def test_grid_of_the_page_is_trained_by_python_and_read_back_by_make_and_in_the_background(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_here(GRID, monkeypatch)
    said = capsys.readouterr().out
    report = repository / "reports/sweeps/minilm_science.md"
    assert said == f"{report.read_text()}\n"
    assert "4 of 4 trainings are finished" in said
    assert "\n    dvc exp run -S ++finetune.minilm_science.learning_rate=" in said
    report.unlink()
    assert said in succeed(f"{MAKE} MINUTES=5", repository)
    assert report.is_file()
    report.unlink()
    monkeypatch.setattr(sys, "executable", str(repository / ".venv/bin/python"))
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    run_here(f"{GRID} --background", monkeypatch)
    log = repository / ".retune/sweeps/minilm_science/log"
    assert f"log: {log.relative_to(repository)}" in capsys.readouterr().out
    for _ in range(600):
        if said in log.read_text():
            break
        time.sleep(0.1)
    assert said in log.read_text()
    assert report.is_file()


def test_learning_curve_of_the_page_has_three_points(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    params = yaml.safe_load((repository / "params.yaml").read_text())
    params["finetune"]["minilm_science"]["batch_size"] = 2  # a tenth of 24 queries
    (repository / "params.yaml").write_text(yaml.safe_dump(params))
    run_here(CURVE, monkeypatch)
    said = capsys.readouterr().out
    rows = [line.strip("| ").split(" | ") for line in said.splitlines() if line.startswith("| ")]
    assert [row[:2] for row in rows[2:]] == [["10%", "2"], ["30%", "7"], ["100%", "24"]]
    assert said == f"{(repository / 'reports/learning_curves/minilm_science.md').read_text()}\n"
