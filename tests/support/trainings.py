"""Trainings of tiny models: train one, kill one and resume it, compare what two of them wrote."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from sentence_transformers import SentenceTransformer

from retune.encoding.encoder import Encoder
from retune.training import finetune, prepare, trainer
from retune.training.dev_scoring import evaluate
from tests.support.parameters import COMPUTE
from tests.support.training_task import corpus, split, task

LORA = {
    "method": "lora",
    "lora": {"rank": 4, "alpha": 8, "dropout": 0.1, "load_in_4bit": False, "target_modules": ["query", "value"]},
}


def train(base: Path, folder: Path, name: str = "model", **changes: object) -> pd.DataFrame:
    """Train a model, and return its history."""
    finetune.finetune(task(base, folder, **changes), folder / name, folder / f"{name}.tsv")
    assert not list(folder.glob(".*"))  # no scratch directory is left
    return pd.read_csv(folder / f"{name}.tsv", sep="\t")


def dev_score(model: Path) -> float:
    return float(evaluate(Encoder.load(model, COMPUTE), corpus(), split(), [3])["ndcg_at_3"].mean())


def same_bytes(first: Path, second: Path) -> None:
    files = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert Path("model.safetensors") in files
    assert files == sorted(path.relative_to(second) for path in second.rglob("*") if path.is_file())
    for file in files:
        written = (first / file).read_bytes()
        if file.name == "model-card.md":
            for mark in ("# ", "/"):
                written = written.replace(f"{mark}{first.name}".encode(), f"{mark}{second.name}".encode())
        assert written == (second / file).read_bytes(), file


def scripted(monkeypatch: pytest.MonkeyPatch, scores: list[float]) -> list[torch.Tensor]:
    """Let dev scores be those given; return a list that fills with the weights scored."""
    weights: list[torch.Tensor] = []
    following = iter(scores)

    def scorer(*args: object) -> object:
        def score(model: SentenceTransformer) -> float:
            weights.append(next(iter(model.parameters())).detach().clone())
            return next(following)

        return score

    monkeypatch.setattr(prepare, "dev_scorer", scorer)
    return weights


class KilledError(Exception):
    """Stands for a signal, in the process."""


def kill_at(step: int, base: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, **changes: object) -> None:
    """Train a model up to a step, with a checkpoint after each step before it; then kill the training."""
    monkeypatch.setenv("RETUNE_CHECKPOINT_MINUTES", "1e-9")
    report = trainer.Progress.on_log

    def kill(self: object, args: object, state: object, *rest: object, **options: object) -> None:
        if state.global_step == step:
            raise KilledError
        report(self, args, state, *rest, **options)

    with monkeypatch.context() as patch, pytest.raises(KilledError):
        patch.setattr(trainer.Progress, "on_log", kill)
        finetune.finetune(task(base, folder, **changes), folder / "model", folder / "model.tsv")
    assert (folder / ".model.training").exists() == (step > 1)
    assert not (folder / "model").exists()


def first_step_again(base: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, **changes: object) -> int:
    """Train a model to the end after it was killed, and return the first step."""
    steps: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(
            trainer.Progress, "on_log", lambda self, args, state, *rest, **options: steps.append(state.global_step)
        )
        train(base, folder, **changes)
    return steps[0]


def check_resumed_after_kill(
    step: int, base: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, **changes: object
) -> None:
    """Check that a training killed at a step resumes there, and writes the same bytes as an undisturbed one."""
    monkeypatch.setenv("RETUNE_CHECKPOINT_MINUTES", "1e-9")
    options = {"evaluate_steps": 2, **changes, "dropout": 0.1}
    train(base, folder, "undisturbed", **options)
    kill_at(step, base, folder, monkeypatch, **options)
    assert first_step_again(base, folder, monkeypatch, **options) == step
    same_bytes(folder / "undisturbed", folder / "model")
    assert (folder / "undisturbed.tsv").read_bytes() == (folder / "model.tsv").read_bytes()
