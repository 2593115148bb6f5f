"""A stage gets the parameters that DVC would give it: those it declares, or all of params.yaml outside a stage."""

from pathlib import Path

import dvc.api
import pytest
from dvc.repo import Repo

from retune.core.errors import InputError
from retune.core.params_file import declared, read_params
from retune.core.section import read_value
from tests.support.repository import REPOSITORY

GRAPH = """
stages:
  one:
    cmd: "true"
    params: [seed, eval.ks, defaults.a]
  each:
    foreach: ${each}
    do:
      cmd: "true"
      params: [seed, defaults.each, "each.${key}"]
  grid:
    matrix:
      model: ${eval.models}
    cmd: "true"
    params: [eval]
  none:
    cmd: "true"
    deps: [params.yaml]
"""
PARAMS = """
seed: 1
defaults: {each: {size: 1e-3, deep: {x: yes}}}
each: {b: {size: 2}, c: {}}
eval: {ks: [1, 10], models: [m, n], dims: null}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Repo.init(no_scm=True)
    (tmp_path / "dvc.yaml").write_text(GRAPH)
    (tmp_path / "params.yaml").write_text(PARAMS)
    return tmp_path


@pytest.mark.parametrize("stage", ["one", "each@b", "each@c", "grid@m", "grid@n", "none", None])
def test_stage_reads_what_dvc_gives_it(stage: str | None, project: Path) -> None:
    assert read_params(stage=stage) == dvc.api.params_show(stages=stage)


@pytest.mark.slow
def test_every_stage_of_the_repository_declares_what_dvc_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    with Repo() as repo:
        stages = {stage.addressing: stage.params for stage in repo.index.stages}
    assert len(stages) > 10
    for stage, params in stages.items():
        assert sorted(declared(stage)) == sorted(name for dependency in params for name in dependency.params), stage


def test_stage_sees_no_parameter_that_it_does_not_declare(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_STAGE", "each@b")
    assert read_value("each.b") == {"size": 2}
    for key in ("each.c", "eval", "eval.ks"):
        with pytest.raises(
            InputError, match=rf"^params.yaml: {key}: expected an entry, found none; add it, or declare"
        ):
            read_value(key)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"a: [1\n", "expected YAML that DVC can read, got: "),
        (b"a: \xff\n", "expected YAML that DVC can read, got: 'utf-8' codec"),
        (b"- 1\n", "expected a mapping of sections, got a list or text"),
        (b"3\n", "expected a mapping of sections, got a list or text"),
    ],
)
@pytest.mark.parametrize("file", ["params.yaml", "dvc.yaml"])
def test_broken_file_is_one_line(file: str, content: bytes, reason: str, project: Path) -> None:
    (project / file).write_bytes(content)
    with pytest.raises(InputError, match=rf"^{file}: {reason}[^\n]*$"):
        read_params(stage="one")


def test_empty_or_missing_file_has_no_parameters(project: Path) -> None:
    (project / "params.yaml").write_text("")
    assert read_params() == {}
    (project / "params.yaml").unlink()
    assert read_params() == {}


def test_unknown_stage_is_named(project: Path) -> None:
    with pytest.raises(InputError, match=r"^dvc.yaml: expected a stage named 'two'"):
        read_params(stage="two@x")
