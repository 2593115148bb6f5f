"""DVC and registries find every tuned model by its name."""

from pathlib import Path

import pytest
from dvc.repo import Repo
from ruamel.yaml import YAML

from retune.publishing.artifacts import register
from tests.support.repository import REPOSITORY, succeed


def test_every_tuned_model_is_an_artifact(default_params: dict) -> None:
    tuned = [*default_params["finetune"], *default_params["merge"]]
    listed = YAML(typ="safe").load(REPOSITORY / "dvc.yaml")["artifacts"]
    assert listed == {name: {"path": f"models/{name}", "type": "model"} for name in tuned}


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        ("stages: {}\n", "stages: {}\nartifacts:\n  new: {path: models/new, type: model}\n"),
        (
            "stages: {}\n# note\nartifacts:\n  old: {path: models/old}\nplots: []\n",
            "stages: {}\n# note\nartifacts:\n  new: {path: models/new, type: model}\n  old: {path: models/old}\nplots: []\n",
        ),
        ("artifacts:\n  new: {path: elsewhere}\n", "artifacts:\n  new: {path: elsewhere}\n"),
    ],
)
def test_model_is_added_once_and_nothing_else_changes(graph: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").write_text(graph)
    for _ in range(2):
        register(tmp_path / "dvc.yaml", "new")
        assert (tmp_path / "dvc.yaml").read_text() == expected


@pytest.mark.slow
def test_dvc_finds_a_registered_model(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "models/new_1").mkdir(parents=True)
    (tmp_path / "models/new_1/weights").write_text("1.0")
    stage = "  make: {cmd: 'true', outs: [models/new_1]}\n"
    (tmp_path / "dvc.yaml").write_text(f"stages:\n{stage}")
    register(tmp_path / "dvc.yaml", "new_1")
    identity = "git config user.email test@example.com && git config user.name test"
    succeed(f"git init -q && {identity} && dvc init -q && dvc commit -q -f", tmp_path)
    assert Repo(tmp_path).artifacts.read()["dvc.yaml"]["new_1"].path == "models/new_1"
    assert not caplog.messages  # DVC warns of a name that registries refuse
    succeed("git add . && git commit -qm all && git tag -a -m first new_1@v1.0.0", tmp_path)
    succeed("dvc artifacts get . new_1 --out got", tmp_path)
    assert (tmp_path / "got/weights").read_text() == "1.0"
