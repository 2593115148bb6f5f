"""DVC and registries find every tuned model by its name."""

from pathlib import Path

import pytest
from dvc.repo import Repo
from ruamel.yaml import YAML

from retune.publishing.artifacts import register
from tests.support.commands import in_blocks
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
        ("stages: {}", "stages: {}\nartifacts:\n  new: {path: models/new, type: model}\n"),
        (
            "artifacts: {}  # none\nplots: []\n",
            "artifacts:  # none\n  new: {path: models/new, type: model}\nplots: []\n",
        ),
        (
            "artifacts:  # mine\n    old: {path: models/old}\n",
            "artifacts:  # mine\n    new: {path: models/new, type: model}\n    old: {path: models/old}\n",
        ),
        (
            "stages:\n  a:\n    artifacts:\n      b: c\n",
            "stages:\n  a:\n    artifacts:\n      b: c\nartifacts:\n  new: {path: models/new, type: model}\n",
        ),
    ],
)
def test_model_is_added_once_and_nothing_else_changes(graph: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").write_text(graph)
    for _ in range(2):
        register(tmp_path / "dvc.yaml", Path("models/new"))
        assert (tmp_path / "dvc.yaml").read_text() == expected


def test_section_in_another_style_is_left_alone_and_its_entry_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = "artifacts: {old: {path: models/old}}\n"
    (tmp_path / "dvc.yaml").write_text(text)
    register(tmp_path / "dvc.yaml", Path("models/new"))
    assert (tmp_path / "dvc.yaml").read_text() == text
    assert "add this: new: {path: models/new, type: model}" in caplog.text


@pytest.mark.slow
def test_commands_of_the_page_register_a_version_and_get_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tag, get = (line for line in in_blocks("docs/publish.md") if "minilm_science@" in line or "artifacts" in line)
    (tmp_path / "models/minilm_science").mkdir(parents=True)
    (tmp_path / "models/minilm_science/weights").write_text("1.0")
    (tmp_path / "dvc.yaml").write_text("stages:\n  make: {cmd: 'true', outs: [models/minilm_science]}\n")
    register(tmp_path / "dvc.yaml", Path("models/minilm_science"))
    identity = "git config user.email test@example.com && git config user.name test"
    succeed(f"git init -q && {identity} && dvc init -q && dvc commit -q -f", tmp_path)
    assert Repo(tmp_path).artifacts.read()["dvc.yaml"]["minilm_science"].path == "models/minilm_science"
    assert not caplog.messages  # DVC warns of a name that registries refuse
    succeed(f"git add . && git commit -qm all && {tag}", tmp_path)
    succeed(get.replace("https://github.com/organisation/retune", "."), tmp_path)
    assert (tmp_path / "minilm_science/weights").read_text() == "1.0"
