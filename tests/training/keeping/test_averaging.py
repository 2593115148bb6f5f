"""Averaged weights are those scored and written, also after a killed training was resumed."""

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from retune.training.keeping.averaging import RunningMean, move_towards
from retune.training.keeping.checkpoints import CHECKPOINTS
from tests.support.training_task import first_weights, params
from tests.support.trainings import LORA, check_resumed_after_kill, scripted, train

pytestmark = pytest.mark.slow


def test_weights_are_the_mean_of_those_at_the_dev_scores_from_an_epoch_on(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = [0.1, 0.2, 0.3, 0.4]
    passed = scripted(monkeypatch, scores)
    train(tiny_model, tmp_path, "last", checkpoint="last", epochs=4)
    scored = scripted(monkeypatch, scores)
    train(tiny_model, tmp_path, checkpoint="last", epochs=4, averaging={"from_epoch": 2})
    first, second, third, fourth = passed
    expected = [first, second, (second + third) / 2, (second + third + fourth) / 3]
    torch.testing.assert_close(scored, expected)
    assert not torch.allclose(third, fourth)
    assert torch.equal(first_weights(tmp_path / "model"), scored[-1])


@pytest.mark.slow
@pytest.mark.parametrize("step", [3, 4, 6])
def test_killed_training_that_averages_resumes_with_the_same_bytes(
    step: int, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {"averaging": {"from_epoch": 1}, "checkpoint": "last"}
    check_resumed_after_kill(step, tiny_model, tmp_path, monkeypatch, **changes)


def test_means_that_no_checkpoint_needs_are_deleted(tmp_path: Path) -> None:
    model, mean = torch.nn.Linear(2, 2), RunningMean(tmp_path)
    for step in (2, 4, 6, 8):
        if step == 8:
            checkpoint = tmp_path / CHECKPOINTS / "checkpoint-5"
            checkpoint.mkdir(parents=True)
            (checkpoint / "trainer_state.json").write_text("{}")
        mean.add(model, step)
        assert (tmp_path / f"means/{step}.safetensors").exists()
    assert sorted(path.stem for path in (tmp_path / "means").iterdir()) == ["4", "6", "8"]


@pytest.mark.parametrize("changes", [LORA | {"averaging": {"from_epoch": 1}}, {"averaging": {"from_epoch": 3}}])
def test_epochs_that_cannot_be_averaged_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="from_epoch: expected none with method lora or icl, and at most epochs"):
        params(**changes)


def test_weights_with_two_names_are_moved_once() -> None:
    model = torch.nn.ModuleDict({"embeddings": torch.nn.Linear(2, 2, bias=False)})
    model["encoder"] = model["embeddings"]
    base = {name: torch.zeros(2, 2) for name in model.state_dict()}
    torch.nn.init.ones_(model["embeddings"].weight)
    move_towards(model, base, 0.2)
    torch.testing.assert_close(model["encoder"].weight, torch.full((2, 2), 0.8))
