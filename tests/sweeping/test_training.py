"""A training of a sweep runs in a process of its own, gives the dev scores of training, and resumes after a kill."""

import multiprocessing
import os
import shutil
import signal
import subprocess
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pandas as pd
import pytest

from retune.core.errors import InputError
from retune.core.files import write_json
from retune.models.directory import read_json
from retune.sweeping import training
from retune.sweeping.configurations import Configuration, read_sweep
from retune.sweeping.request import Request
from retune.sweeping.training import HISTORY, MODEL, folder_of, read_result, train
from retune.training import trainer
from retune.training.finetune import finetune
from tests.support.repository import REPOSITORY
from tests.support.sweeps import FOLDERS, change_entry, request_of
from tests.support.trainings import KilledError

pytestmark = pytest.mark.usefixtures("project", "forks")
PARENT = Path("trainings")


def first(request: Request) -> Configuration:
    return read_sweep(request, FOLDERS).configurations[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"checkpoint": "best", "epochs": 2, "evaluate_steps": 1},
        {"checkpoint": "last", "epochs": 2, "dev_documents": 2},
        {"method": "nudge", "nudge": {"variant": "n"}},
        {"method": "query_tower", "query_tower": {"learns": "linear", "everywhere": True}, "dev_documents": 2},
        {"method": "cross_encoder", "cross_encoder": {"loss": "binary", "k": 5}},
    ],
    ids=["full", "last", "nudge", "query tower", "cross-encoder"],
)
def test_scores_are_those_of_training_and_no_model_stays(changes: dict[str, object], tiny_model: Path) -> None:
    base = Path("models/tiny")
    base.unlink()  # a link to a model that other tests use
    shutil.copytree(tiny_model, base)
    settings = read_json(base / "retune.json") | {"document_max_length": 32}  # a cross-encoder has room for both texts
    write_json(base / "retune.json", settings)
    change_entry(**changes)
    configuration = first(request_of("learning_rate=0.01"))
    folder = folder_of(configuration, PARENT)
    result = train(configuration, folder)
    history = pd.read_csv(folder / HISTORY, sep="\t")
    scores = history["dev_ndcg_at_3"].dropna()
    expected = scores.iloc[-1] if changes.get("checkpoint") == "last" else scores.max()
    assert result.score == pytest.approx(expected, abs=1e-5)
    assert result.base.mean() == pytest.approx(history["base_ndcg_at_3"].dropna().iloc[0], abs=1e-5)
    assert 0.0 < result.base.mean() < 1.0
    assert (result.best_step, result.steps) == (
        history["global_step"][scores.idxmax()],
        history["global_step"].max(),
    )
    assert sorted(path.name for path in folder.iterdir()) == ["dev_scores.parquet", "history.tsv", "result.json"]
    assert len(pd.read_parquet(folder / "dev_scores.parquet")) == 24


def test_result_is_read_back_as_it_was() -> None:
    configuration = first(request_of("learning_rate=0.01"))
    folder = folder_of(configuration, PARENT)
    assert read_result(configuration, folder) is None
    result, again = train(configuration, folder), read_result(configuration, folder)
    assert again is not None
    assert again.tuned.tolist() == result.tuned.tolist()
    assert (again.score, again.best_step, again.minutes) == (result.score, result.best_step, result.minutes)


def test_folder_depends_on_what_scores_depend_on_and_not_on_test() -> None:
    found = read_sweep(request_of("learning_rate=0.01,0.02", "seed=1,2"), FOLDERS).configurations
    folders = [folder_of(configuration, PARENT) for configuration in found]
    assert len(set(folders)) == 4
    dataset = found[0].task.dev
    (dataset / "test").mkdir()
    (dataset / "test/queries.parquet").write_text("not to be read")
    assert folder_of(found[0], PARENT) == folders[0]
    qrels = pd.read_parquet(dataset / "dev/qrels.parquet")
    qrels[1:].to_parquet(dataset / "dev/qrels.parquet")
    assert folder_of(found[0], PARENT) != folders[0]


def test_sample_of_dev_documents_is_the_same_whatever_is_trained_on() -> None:
    change_entry(dev_documents=2)
    few, every = read_sweep(request_of(labels="0.4,1"), FOLDERS).configurations
    assert few.task.mined != every.task.mined == few.scored.mined
    read = [training.read_dev(item.scored, training.read_mined(item.scored.mined))[0] for item in (few, every)]
    pd.testing.assert_frame_equal(*read)
    folder = folder_of(few, PARENT)
    (every.task.mined / "suspects.parquet").write_text("changed")
    assert folder_of(few, PARENT) != folder


def test_killed_training_resumes_from_its_checkpoint(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RETUNE_CHECKPOINT_MINUTES", "1e-9")
    configuration = first(request_of("learning_rate=0.01"))
    folder = folder_of(configuration, PARENT)

    def kill(self: object, args: object, state: object, *rest: object, **options: object) -> None:
        if state.global_step == 2:
            raise KilledError

    with monkeypatch.context() as patch, pytest.raises(KilledError):
        patch.setattr(trainer.Progress, "on_log", kill)
        finetune(configuration.task, folder / MODEL, folder / HISTORY)
    assert read_result(configuration, folder) is None
    train(configuration, folder)
    assert "resuming from" in capfd.readouterr().err
    assert read_result(configuration, folder) is not None


def test_training_that_was_killed_after_its_end_is_only_scored(capfd: pytest.CaptureFixture[str]) -> None:
    configuration = first(request_of("learning_rate=0.01"))
    folder = folder_of(configuration, PARENT)
    finetune(configuration.task, folder / MODEL, folder / HISTORY)
    capfd.readouterr()
    train(configuration, folder)
    said = capfd.readouterr().err
    assert "training on cpu" not in said
    assert f"{folder / MODEL}: encoding on cpu" in said


def be_killed(configuration: Configuration, folder: Path) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fail(configuration: Configuration, folder: Path) -> None:
    raise RuntimeError("a matrix is too large\nand more")


def test_error_of_a_library_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "_train", fail)
    configuration = first(request_of("learning_rate=0.01"))
    with pytest.raises(InputError, match="^RuntimeError: a matrix is too large$"):
        train(configuration, folder_of(configuration, PARENT))


def test_result_is_there_before_the_model_is_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    configuration = first(request_of("learning_rate=0.01"))
    folder = folder_of(configuration, PARENT)
    seen = []
    monkeypatch.setattr(shutil, "rmtree", lambda path, **_: seen.append((path, read_result(configuration, folder))))
    finetune(configuration.task, folder / MODEL, folder / HISTORY)
    seen.clear()
    training._train(configuration, folder)
    [(path, result)] = seen
    assert path == folder / MODEL
    assert result is not None


def test_killed_process_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "_train", be_killed)
    configuration = first(request_of("learning_rate=0.01"))
    with pytest.raises(InputError, match=r"^the process of the training was killed; it may need more memory$"):
        train(configuration, PARENT / "killed")


def wait_long(folder: Path) -> None:
    folder.with_name("child").write_text(str(os.getpid()))
    time.sleep(600)


def hold(folder: Path, python: str) -> None:
    multiprocessing.set_executable(python)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, initializer=training._start) as pool:
        pool.submit(wait_long, folder).result()


@pytest.mark.slow
def test_training_ends_when_the_sweep_is_killed(server: Path, project: Path) -> None:
    code = f"from tests.sweeping.test_training import *; hold(Path({str(project / 'x')!r}), {str(server / 'python')!r})"
    environment = os.environ | {"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'src'}"}
    with subprocess.Popen([server / "python", "-c", code], env=environment) as sweep:
        noted = project / "child"
        _until(noted.is_file)
        child = int(noted.read_text())
        assert Path(f"/proc/{child}").exists()
        sweep.kill()
    _until(lambda: not Path(f"/proc/{child}").exists())


def _until(holds: object) -> None:
    for _ in range(600):
        if holds():
            return
        time.sleep(0.1)
    raise AssertionError
