"""Several processes on a CPU have the loss, gradients and history of one; their errors are one line."""

import os
import signal
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import pytest
import torch
from accelerate import DistributedType, PartialState
from torch.nn.parallel import DistributedDataParallel
from transformers import TrainerState

from retune.core.errors import InputError
from retune.models.directory import load_model
from retune.training import finetune, trainer
from retune.training.losses import RankingLoss
from retune.training.processes import launch
from retune.training.processes.group import joined, num_processes, rank, shares
from retune.training.processes.launch import start, to_start
from retune.training.spec import Task
from tests.support.loss_batch import EVERYTHING, GROUPS, SCORES, features, gradients
from tests.support.process_tasks import be_killed, fail_in_the_second, sleep
from tests.support.training_task import params, task
from tests.support.trainings import same_bytes, train

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
LABELS = {"groups": GROUPS, "is_compared": EVERYTHING, "scores": SCORES}
LOSSES = {
    "plain": {},
    "matryoshka": {"matryoshka_dims": [32, 8]},
    "cached": {"gradient_caching": True},
    "cached matryoshka": {"gradient_caching": True, "matryoshka_dims": [32, 8]},
    "kl": {"loss": "kl", "teacher_temperature": 0.1},
    "nothing for the second": {},
}


def save_gradients(base: Path, out: Path) -> None:
    """Write loss and gradients of each case, as each process has them."""
    found = {}
    with joined(CPU):
        for name, changes in LOSSES.items():
            model = load_model(base, "cpu", attention="eager").eval()
            loss = RankingLoss(model, params(**changes), token_budget=16)
            if num_processes() > 1:
                loss.model = DistributedDataParallel(model, find_unused_parameters=True, forward_sync_buffers=False)
            alone = name == "nothing for the second" and num_processes() > 1
            unfair = {"side_effect": lambda lengths, count: [list(range(len(lengths))), []]} if alone else {}
            with mock.patch("retune.training.losses.shares", **(unfair or {"side_effect": shares})):
                value = loss(features(model, base), LABELS)
                value.backward()
            found[name] = value.item(), gradients(model)
        torch.save(found, out / f"{rank()}-of-{num_processes()}.pt")


@pytest.mark.slow
def test_two_processes_give_the_loss_and_gradients_of_one(tiny_model: Path, tmp_path: Path, forks: None) -> None:
    save_gradients(tiny_model, tmp_path)
    start(save_gradients, (tiny_model, tmp_path), 2)
    expected, first, second = (torch.load(tmp_path / f"{name}.pt") for name in ("0-of-1", "0-of-2", "1-of-2"))
    for name, (loss, gradient) in expected.items():
        for value, actual in (first[name], second[name]):
            assert value == pytest.approx(loss, rel=1e-6), name
            assert (actual - gradient).norm() <= 1e-6 * gradient.norm(), name


def test_shares_have_about_as_many_tokens_and_together_are_all_texts() -> None:
    assert shares([3, 9, 5, 7, 1], 2) == [[1, 2, 4], [0, 3]]  # 9 + 5 + 1 and 7 + 3
    assert shares([4, 4], 3) == [[0], [1], []]
    assert shares([3, 9, 5], 1) == [[0, 1, 2]]


def train_sharded(task: Task, out: Path, history: Path) -> None:
    """Train with FSDP, on the CPU: accelerate takes it for a GPU."""
    with (
        mock.patch.object(launch, "check_sharding"),
        mock.patch.object(PartialState, "_prepare_backend", return_value=("gloo", DistributedType.MULTI_GPU)),
        mock.patch.object(PartialState, "set_device", lambda state: setattr(state, "device", CPU)),
    ):
        finetune.finetune(task, out, history)


@pytest.mark.slow
def test_two_processes_give_the_history_of_one_also_with_fsdp(tiny_model: Path, tmp_path: Path, forks: None) -> None:
    options = {"batch_size": 7, "matryoshka_dims": [32, 8], "trainer": {"gradient_accumulation_steps": 2}}
    one = train(tiny_model, tmp_path, "one", **options)
    assert len(one) == 4  # 24 pairs: batches of 7, 7, 7 and 3, two a step
    two = train(tiny_model, tmp_path, "two", **options, processes=2)
    options["trainer"] |= {"fsdp": True, "fsdp_config": {"transformer_layer_cls_to_wrap": ["BertLayer"]}}
    start(train_sharded, (task(tiny_model, tmp_path, **options), tmp_path / "fsdp", tmp_path / "fsdp.tsv"), 2)
    for other in (two, pd.read_csv(tmp_path / "fsdp.tsv", sep="\t")):
        assert one.columns.tolist() == other.columns.tolist()
        np.testing.assert_allclose(other, one, atol=1e-4)
    weights = [load_model(tmp_path / name, "cpu").state_dict() for name in ("one", "two", "fsdp")]
    for name, values in weights[0].items():
        for other in weights[1:]:
            torch.testing.assert_close(other[name], values, atol=1e-4, rtol=1e-4)


def train_and_be_killed(task: Task, out: Path, history: Path) -> None:
    """Train up to the eighth step: the second of the third epoch."""
    report = trainer.Schedule.on_step_end

    def kill(self: object, args: object, state: TrainerState, *rest: object, **options: object) -> None:
        if state.global_step == 8:
            os.kill(os.getpid(), signal.SIGKILL)
        report(self, args, state, *rest, **options)

    with mock.patch.object(trainer.Schedule, "on_step_end", kill):
        finetune.finetune(task, out, history)


@pytest.mark.slow
def test_killed_processes_resume_with_the_same_bytes(
    tiny_model: Path, tmp_path: Path, forks: None, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETUNE_CHECKPOINT_MINUTES", "1e-9")
    options = {"processes": 2, "epochs": 4, "dropout": 0.1}
    train(tiny_model, tmp_path, "undisturbed", **options)
    killed = task(tiny_model, tmp_path, **options), tmp_path / "model", tmp_path / "model.tsv"
    with pytest.raises(InputError, match="of 2 was killed by SIGKILL"):
        start(train_and_be_killed, killed, 2)
    assert not (tmp_path / "model").exists()
    checkpoints = sorted(tmp_path.glob(".model.training/*/checkpoints/*"))
    assert [path.name for path in checkpoints] == ["checkpoint-6", "checkpoint-7"]
    capfd.readouterr()
    train(tiny_model, tmp_path, **options)
    assert f"resuming from {checkpoints[-1]}" in capfd.readouterr().err
    same_bytes(tmp_path / "undisturbed", tmp_path / "model")
    assert (tmp_path / "undisturbed.tsv").read_bytes() == (tmp_path / "model.tsv").read_bytes()


@pytest.mark.slow
def test_error_of_a_process_is_one_line(capfd: pytest.CaptureFixture[str], forks: None) -> None:
    with pytest.raises(InputError, match="^params.yaml: expected more, got less$"):
        start(fail_in_the_second, (), 2)
    assert capfd.readouterr().err == ""


@pytest.mark.slow
def test_process_that_is_killed_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="^training: process 0 of 1 was killed by SIGKILL; each process needs memory"):
        start(be_killed, (), 1)
    assert capfd.readouterr().err == ""


@pytest.mark.slow
def test_signal_reaches_all_processes(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="^training was stopped by SIGTERM; start it again to resume from its last checkpoint"
    ):
        start(sleep, (tmp_path,), 2)
    pids = [int(path.name) for path in tmp_path.iterdir()]
    assert len(pids) == 2
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of GPUs that are seemingly there."""
    names = ["H200", "H200"]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(names))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: names[getattr(device, "index", device) or 0])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    return names


def test_auto_is_one_process_a_gpu_and_one_on_a_cpu(gpus: list[str]) -> None:
    assert to_start(params(processes="auto"), CUDA) == 2
    assert to_start(params(processes=1), CUDA) == 0  # in this one
    assert to_start(params(processes=1, trainer={"fsdp": True}), CUDA) == 1
    assert to_start(params(processes="auto"), CPU) == 0
    assert to_start(params(processes=3), CPU) == 3


def test_processes_of_torchrun_start_no_more(gpus: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert to_start(params(processes="auto"), CUDA) == 0


def test_fewer_gpus_than_processes_is_an_error(gpus: list[str]) -> None:
    expected = (
        "processes: expected at least 3 visible GPUs, got 2 \\(CUDA_VISIBLE_DEVICES is 4,7\\); lower processes, or"
    )
    with pytest.raises(InputError, match=expected):
        to_start(params(processes=3), CUDA)
    gpus[1:] = ["T4", "H200"]
    with pytest.raises(InputError, match="expected the first 2 visible GPUs to be of one kind, got only cuda:0, cuda"):
        to_start(params(processes="auto"), CUDA)


@pytest.mark.parametrize(
    ("device", "changes", "message"),
    [
        (CPU, {"trainer": {"fsdp": True}}, "trainer.fsdp: expected a CUDA device, got cpu; remove it"),
        (
            CUDA,
            {"trainer": {"deepspeed": {"zero_optimization": {}}}},
            "trainer.deepspeed: expected the package deepspeed, got none; run",
        ),
    ],
)
def test_sharding_without_its_requirements_is_an_error(
    device: torch.device, changes: dict[str, object], message: str, gpus: list[str]
) -> None:
    with pytest.raises(InputError, match=message):
        to_start(params(**changes), device)
