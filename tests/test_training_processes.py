"""Several processes of a run, on a CPU: the loss, gradients and history of one, and what becomes of errors."""

from pathlib import Path
from unittest import mock

import pytest
import torch
from test_losses import EVERYTHING, GROUPS, SCORES, features, gradients
from torch.nn.parallel import DistributedDataParallel
from training_task import params

from retune.launching import start
from retune.losses import RankingLoss
from retune.model_directory import load_model
from retune.processes import joined, num_processes, rank, shares

CPU = torch.device("cpu")
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
                loss.model = DistributedDataParallel(model, find_unused_parameters=True, broadcast_buffers=False)
            alone = name == "nothing for the second" and num_processes() > 1
            unfair = {"side_effect": lambda lengths, count: [list(range(len(lengths))), []]} if alone else {}
            with mock.patch("retune.losses.shares", **(unfair or {"side_effect": shares})):
                value = loss(features(model, base), LABELS)
                value.backward()
            found[name] = value.item(), gradients(model)
        torch.save(found, out / f"{rank()}-of-{num_processes()}.pt")


def test_two_processes_give_the_loss_and_gradients_of_one(tiny_model: Path, tmp_path: Path) -> None:
    save_gradients(tiny_model, tmp_path)
    start(save_gradients, (tiny_model, tmp_path), 2)
    expected, first, second = (torch.load(tmp_path / f"{name}.pt") for name in ("0-of-1", "0-of-2", "1-of-2"))
    for name, (loss, gradient) in expected.items():
        for value, actual in (first[name], second[name]):
            assert value == pytest.approx(loss, rel=1e-6), name
            print(name, loss, value, float((actual - gradient).norm() / gradient.norm()), float(gradient.norm()))
            assert (actual - gradient).norm() <= 1e-6 * gradient.norm(), name
