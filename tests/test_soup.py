"""A soup is the mean of models that were each trained from the base, as runs of their own would have been."""

from pathlib import Path

import pytest
import test_training
import torch
from pydantic import ValidationError
from test_training import LORA, scripted, train
from training_task import params

from retune.model_directory import load_model
from retune.soup import epoch_from_base
from retune.training_plan import Plan

SOUP = {"soup_size": 2, "average_from": 2, "keep": "last"}


def first_weights(model: Path) -> torch.Tensor:
    return next(iter(load_model(model, "cpu").parameters())).detach()


def test_soup_is_the_mean_over_runs_of_their_own(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zeros = [0.0] * 4
    passed = scripted(monkeypatch, zeros)
    first = train(tiny_model, tmp_path, "first", keep="last")
    batch = Plan.batch
    with monkeypatch.context() as patch:  # the batches of epochs 3 and 4
        patch.setattr(Plan, "batch", lambda plan, number: batch(plan, number + 2 * plan.num_batches))
        second = train(tiny_model, tmp_path, "second", keep="last")
    scored = scripted(monkeypatch, zeros)
    history = train(tiny_model, tmp_path, **SOUP)
    assert history["lr"].tolist() == [*first["lr"], *second["lr"]]
    assert history["loss"].tolist() == [*first["loss"], *second["loss"]]
    one, two, three, four = passed
    assert not torch.allclose(two, four)
    torch.testing.assert_close(scored, [one, two, three, (two + four) / 2])
    assert torch.equal(first_weights(tmp_path / "model"), scored[-1])


@pytest.mark.parametrize("step", [3, 7, 8, 11])  # six steps a model: before, at and after its end
def test_killed_soup_is_taken_up_with_the_same_bytes(
    step: int, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    test_training.test_killed_run_is_taken_up_with_the_same_bytes(step, SOUP, tiny_model, tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("epoch", "own"), [(0.5, 0.5), (1.0, 1.0), (3.0, 3.0), (3.25, 0.25), (4.0, 1.0), (6.0, 3.0), (6.5, 0.5)]
)
def test_epochs_of_a_soup_are_counted_from_the_base(epoch: float, own: float) -> None:
    assert epoch_from_base(epoch, params(epochs=3, average_from=1, soup_size=3)) == own


@pytest.mark.parametrize(
    "changes",
    [{"average_from": None}, {"patience": 1}, {"trainer": {"fsdp": "full_shard"}}, LORA | {"average_from": None}],
)
def test_soup_that_cannot_be_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="soup_size: expected 1 unless average_from is an epoch, patience is nul"):
        params(**SOUP | {"keep": "best"} | changes)


def test_any_epoch_of_a_soup_may_be_kept() -> None:
    assert params(**SOUP | {"keep": 4}).all_epochs == 4
    with pytest.raises(ValidationError, match="keep: expected best, last, or without patience an epoch up to 4, got 5"):
        params(**SOUP | {"keep": 5})
