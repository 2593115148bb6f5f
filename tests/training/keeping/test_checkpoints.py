"""When a killed training resumes: with the same inputs, parameters and code, at its last complete checkpoint."""

import shutil
from pathlib import Path

import pytest

from retune.core.records import Split
from retune.training.keeping import checkpoints
from retune.training.keeping.checkpoints import newest_checkpoint, scratch_directory, training_key
from tests.support.repository import REPOSITORY
from tests.support.training_task import split, task
from tests.support.trainings import KilledError, first_step_again, kill_at


@pytest.mark.slow
@pytest.mark.parametrize(
    ("edited", "resumes"),
    [
        ("training/losses.py", False),
        ("training/flagembedding/train.py", False),
        ("evaluation/metrics.py", False),
        ("report/templates/page.css", True),
        ("evaluation/evaluate.py", True),
    ],
)
def test_killed_training_resumes_unless_code_that_it_runs_was_edited(
    edited: str, resumes: bool, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert checkpoints.PACKAGES == REPOSITORY / "src/retune"
    code = tmp_path / "code"
    shutil.copytree(checkpoints.PACKAGES, code, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(checkpoints, "PACKAGES", code)
    kill_at(3, tiny_model, tmp_path, monkeypatch)
    with (code / edited).open("a", encoding="utf-8") as file:
        file.write("\n")
    assert first_step_again(tiny_model, tmp_path, monkeypatch) == (3 if resumes else 1)


def test_checkpoint_of_another_configuration_is_never_resumed(tmp_path: Path) -> None:
    for key in ("a" * 64, "b" * 64):
        with pytest.raises(KilledError), scratch_directory(tmp_path / "model", key) as scratch:
            assert newest_checkpoint(scratch) is None
            whole = scratch / checkpoints.CHECKPOINTS / "checkpoint-3"
            whole.mkdir(parents=True)
            (whole / checkpoints.STATE).write_text("{}")
            raise KilledError
    assert [path.name for path in (tmp_path / ".model.training").iterdir()] == ["b" * 16]


def test_incomplete_checkpoint_is_skipped_and_deleted(tmp_path: Path) -> None:
    for step, state in ((9, "{}"), (10, "{}"), (11, '{"global'), (12, None)):
        folder = tmp_path / checkpoints.CHECKPOINTS / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        if state is not None:
            (folder / checkpoints.STATE).write_text(state)
    found = newest_checkpoint(tmp_path)
    assert found is not None
    assert found.name == "checkpoint-10"
    assert sorted(path.name for path in found.parent.iterdir()) == ["checkpoint-10", "checkpoint-9"]


def test_key_differs_with_parameters_data_and_base(tiny_model: Path, tmp_path: Path) -> None:
    plain = task(tiny_model, tmp_path / "a")
    keys = [training_key(each) for each in (plain, task(tiny_model, tmp_path / "b"))]
    assert keys[0] == keys[1]
    keys.append(training_key(task(tiny_model, tmp_path / "a", learning_rate=1e-3)))
    keys.append(training_key(task(tiny_model, tmp_path / "a", seed=9)))
    keys.append(training_key(task(tiny_model, tmp_path / "b", dev=Split(split().queries.iloc[:5], split().qrels))))
    (plain.mined / "more").write_text("x")
    keys.append(training_key(plain))
    assert len(set(keys)) == 5
