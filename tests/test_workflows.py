"""The workflows: what they run, what they install, and how little they may do."""

import ast
import os
import re
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.support.imports import import_closure
from tests.support.repository import REPOSITORY

GITHUB = REPOSITORY / ".github"
SCRIPTS = sorted((GITHUB / "scripts").glob("*.sh"))
WORKFLOWS = {path.stem: YAML(typ="safe").load(path) for path in sorted((GITHUB / "workflows").glob("*.yml"))}
each_script = pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
each_workflow = pytest.mark.parametrize("name", WORKFLOWS)


def steps(name: str) -> list[dict]:
    return [step for job in WORKFLOWS[name]["jobs"].values() for step in job["steps"]]


def commands(name: str) -> list[str]:
    return [step["run"] for step in steps(name) if "run" in step]


def test_workflows_run_every_script_and_no_other() -> None:
    used = {path for name in WORKFLOWS for command in commands(name) for path in re.findall(r"[\w./]+\.sh", command)}
    assert used == {path.relative_to(REPOSITORY).as_posix() for path in SCRIPTS}


@each_script
def test_script_is_executable_and_stops_at_the_first_failure(script: Path) -> None:
    lines = script.read_text().splitlines()
    assert os.access(script, os.X_OK)
    assert lines[0] == "#!/usr/bin/env bash"
    assert "set -euo pipefail" in lines


@each_workflow
def test_workflow_may_only_read_and_only_the_report_may_comment(name: str) -> None:
    assert WORKFLOWS[name]["permissions"] == {"contents": "read"}
    granted = {job: value["permissions"] for job, value in WORKFLOWS[name]["jobs"].items() if "permissions" in value}
    assert granted == ({"report": {"contents": "read", "pull-requests": "write"}} if name == "verdict" else {})


@each_workflow
def test_workflow_uses_no_secret_but_its_token(name: str) -> None:
    text = (GITHUB / f"workflows/{name}.yml").read_text()
    assert "secrets" not in text
    assert text.count("github.token") == (1 if name == "verdict" else 0)
    assert "pull_request_target" not in text  # it would run a stranger's code with the right to write


@each_workflow
def test_actions_have_a_version_and_checkouts_keep_no_token(name: str) -> None:
    used = [step for step in steps(name) if "uses" in step]
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", step["uses"]) for step in used)
    checkouts = [step["with"] for step in used if step["uses"].startswith("actions/checkout@")]
    assert len(checkouts) == len(WORKFLOWS[name]["jobs"])
    assert all(values["persist-credentials"] is False for values in checkouts)


@each_workflow
def test_text_that_a_stranger_chooses_reaches_no_shell_command(name: str) -> None:
    assert not [command for command in commands(name) if "${{" in command]


def test_checks_fail_when_their_script_does_though_piped_on() -> None:
    # GitHub's own default for `run` lacks pipefail; naming bash adds it
    assert WORKFLOWS["verdict"]["defaults"] == {"run": {"shell": "bash"}}


def test_tests_run_what_contributors_run() -> None:
    lines = (REPOSITORY / ".ci/run").read_text().splitlines()
    assert commands("tests") == [line.replace(" --quiet", "") for line in lines if line.startswith(("make ", ".venv/"))]


@pytest.mark.skipif(not (REPOSITORY / "stages/gate.py").is_file(), reason="this version has no gate")
def test_gate_needs_only_what_its_check_installs() -> None:
    job = WORKFLOWS["verdict"]["jobs"]["gate"]["steps"]
    (install,) = [step["run"] for step in job if step.get("run", "").startswith("pip install")]
    packages = {"pydantic_core": "pydantic", "ruamel": "ruamel.yaml"}  # what brings a module of another name
    imported = set()
    for path in import_closure(REPOSITORY / "stages/gate.py", REPOSITORY):
        for node in ast.walk(ast.parse((REPOSITORY / path).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.partition(".")[0])
    needed = {packages.get(name, name) for name in imported - set(sys.stdlib_module_names) - {"retune", "stages"}}
    assert needed <= set(install.split())
