"""`make publish` runs as the page says, on a verdict that is current."""

from pathlib import Path

import pytest

from tests.support.commands import in_blocks
from tests.support.repository import REPOSITORY, link_environment, run, succeed

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("forks")]
STAGES = """stages:
  eval: {cmd: 'true', deps: [models/minilm_science]}
  compare: {cmd: 'true', deps: [metrics/verdict.json]}
"""


@pytest.fixture
def repository(project: Path, server: Path) -> Path:
    """The project as a repository whose `tuned` has the name that the page uses."""
    for name in ("Makefile", "stages", "src", "requirements.txt"):
        (project / name).symlink_to(REPOSITORY / name)
    link_environment(project, server)
    (project / "params.yaml").write_text("compute: {device: cpu, token_budget: 512}\n")
    (project / "dvc.yaml").write_text(STAGES)
    (project / "models/tuned").rename(project / "models/minilm_science")
    (project / "metrics/eval/tuned").rename(project / "metrics/eval/minilm_science")
    verdict = project / "metrics/verdict.json"
    verdict.write_text(verdict.read_text().replace('"tuned"', '"minilm_science"'))
    succeed("git init -q && dvc init -q && dvc repro -q", project)
    return project


def test_command_of_the_page_writes_the_folder_and_says_how_to_upload_it(repository: Path) -> None:
    said = succeed(in_blocks("docs/publish.md")[0], repository, HF_TOKEN="")
    assert "hf upload --private organisation/name published/minilm_science ." in said
    assert (repository / "published/minilm_science/README.md").is_file()
    assert "  minilm_science: {path: models/minilm_science, type: model}" in (repository / "dvc.yaml").read_text()
    assert "up to date" in succeed("dvc status", repository)


def test_verdict_on_another_model_is_refused(repository: Path) -> None:
    (repository / "models/minilm_science/config.json").write_text("{}")
    refused = run("make publish MODEL=minilm_science", repository)
    assert refused.returncode != 0
    assert "error: metrics/verdict.json is older than what is here: run make repro" in refused.stdout
    assert not (repository / "published").exists()


def test_refusal_is_one_line_and_ends_make(repository: Path) -> None:
    refused = run("make publish", repository, MODEL="minilm_science", FORCE="1")  # not from the environment
    assert refused.returncode != 0
    assert [line for line in refused.stderr.splitlines() if line.startswith("error: ")] == [
        "error: publish: expected one of the models that metrics/verdict.json judges (minilm_science), got '', "
        "which is not in models"
    ]
