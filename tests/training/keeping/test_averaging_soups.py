"""A soup is the mean of models that were each trained from the base, as if trained separately."""

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from retune.models.directory import load_model
from retune.training.batches.plan import Plan
from retune.training.keeping.averaging import epoch_of_model
from tests.support.training_task import first_weights, params
from tests.support.trainings import LORA, check_resumed_after_kill, scripted, train

pytestmark = pytest.mark.slow

SOUP: dict[str, object] = {"averaging": {"models": 2, "from_epoch": 2}, "checkpoint": "last"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"trainer": {"gradient_accumulation_steps": 2, "lr_scheduler_type": "cosine"}, "weight_decay": 0.1},
        {"trainer": {"optim": "sgd", "optim_args": "momentum=0.9"}, "dropout": 0.0, "gradient_caching": True},
    ],
)
def test_soup_is_the_mean_of_models_trained_separately(
    changes: dict[str, object], tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = train(tiny_model, tmp_path, "first", checkpoint="last", **changes)
    batch = Plan.batch
    with monkeypatch.context() as patch:  # the batches of epochs 3 and 4
        patch.setattr(Plan, "batch", lambda plan, number: batch(plan, number + 2 * plan.num_batches))
        second = train(tiny_model, tmp_path, "second", checkpoint="last", **changes)
    history = train(tiny_model, tmp_path, **SOUP, **changes)
    assert history["lr"].tolist() == [*first["lr"], *second["lr"]]
    assert history["loss"].tolist() == [*first["loss"], *second["loss"]]
    one, other, soup = (load_model(tmp_path / name, "cpu").state_dict() for name in ("first", "second", "model"))
    assert any(not torch.allclose(one[name], other[name]) for name in one)
    for name, values in soup.items():
        torch.testing.assert_close(values, (one[name] + other[name]) / 2)


def test_dev_scores_of_a_soup_are_of_single_models_until_they_are_averaged(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = [0.1, 0.2, 0.3, 0.4]
    batch = Plan.batch
    passed = scripted(monkeypatch, scores)
    train(tiny_model, tmp_path, "first", checkpoint="last")
    with monkeypatch.context() as patch:  # the batches of epochs 3 and 4
        patch.setattr(Plan, "batch", lambda plan, number: batch(plan, number + 2 * plan.num_batches))
        train(tiny_model, tmp_path, "second", checkpoint="last")
    scored = scripted(monkeypatch, scores)
    history = train(tiny_model, tmp_path, **SOUP | {"averaging": {"models": 2, "from_epoch": 2}})
    torch.testing.assert_close(scored, [*passed[:3], (passed[1] + passed[3]) / 2])
    assert history["dev_ndcg_at_3"].dropna().tolist() == scores
    assert torch.equal(first_weights(tmp_path / "model"), scored[-1])


@pytest.mark.slow
@pytest.mark.parametrize("step", [3, 7, 8, 11])  # six steps a model: before, at and after its end
def test_killed_soup_resumes_with_the_same_bytes(
    step: int, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_resumed_after_kill(step, tiny_model, tmp_path, monkeypatch, **SOUP | {"evaluate_steps": None})


@pytest.mark.parametrize(
    ("epoch", "own"), [(0.5, 0.5), (1.0, 1.0), (3.0, 3.0), (3.25, 0.25), (4.0, 1.0), (6.0, 3.0), (6.5, 0.5)]
)
def test_epochs_of_a_soup_are_counted_for_each_model(epoch: float, own: float) -> None:
    assert epoch_of_model(epoch, 3) == own


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"averaging": {"models": 2}},
            "checkpoint and averaging.from_epoch: expected last and an epoch .*, got last and None",
        ),
        ({"checkpoint": "best"}, "checkpoint and averaging.from_epoch: expected last and an epoch .*, got best and 2"),
        ({"patience": 1}, "patience: expected none with averaging.models above 1, got 1"),
        ({"evaluate_steps": 2}, "evaluate_steps: expected none with averaging.models above 1, got 2"),
        ({"trainer": {"fsdp": "full_shard"}}, "trainer: expected no deepspeed, fsdp or layer-wise optim"),
        ({"trainer": {"optim": "adalomo"}}, "trainer: expected no deepspeed, fsdp or layer-wise optim"),
        (LORA, "from_epoch: expected none with method lora or icl"),
    ],
)
def test_impossible_soup_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        params(**SOUP | changes)
