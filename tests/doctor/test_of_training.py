from dataclasses import replace
from typing import Any

import pytest

from retune.doctor.of_training import (
    dev_and_test_disagree,
    dev_still_rises,
    first_dev_score_is_best,
    flat_loss,
    unusual_learning_rate,
    zero_loss,
)
from retune.doctor.state import State
from tests.support.patients import HEALTHY, changed, tuned_with


def trained(state: State = HEALTHY, **columns: list[Any]) -> State:
    """Return the state with some columns of the history replaced, and the others without values."""
    history = HEALTHY.histories["tuned"]
    return replace(state, histories={"tuned": history.assign(**columns)})


def devs(*scores: float) -> list[Any]:
    return [*scores, *[None] * (30 - len(scores))]


def test_loss_that_is_zero_at_once_is_found() -> None:
    (finding,) = zero_loss(trained(loss=[0.004] * 30))
    assert (finding.about, finding.fact) == ("finetune.tuned", "The loss is 0.0040 in the first 5 steps.")
    assert list(zero_loss(HEALTHY)) == []


def test_loss_that_does_not_fall_is_found() -> None:
    (finding,) = flat_loss(trained(loss=[0.9] * 15 + [0.88] * 15))
    assert finding.fact == "The median loss is 0.9000 in the first quarter of the steps and 0.8800 in the last."
    assert list(flat_loss(HEALTHY)) == []


@pytest.mark.parametrize("entry", [{"loss": "embed_distill"}, {"method": "cross_encoder"}, {"loss": "infonce_kl"}])
def test_thresholds_of_infonce_are_not_applied_to_other_losses(entry: dict[str, str]) -> None:
    for losses in ([0.004] * 30, [0.9] * 30):
        state = trained(tuned_with(**entry), loss=losses)
        assert [*zero_loss(state), *flat_loss(state)] == []


def test_loss_near_zero_or_of_few_steps_is_not_called_flat() -> None:
    assert list(flat_loss(trained(loss=[0.004] * 30))) == []
    few = HEALTHY.histories["tuned"].assign(loss=0.9)[:19]
    assert list(flat_loss(replace(HEALTHY, histories={"tuned": few}))) == []


def test_loss_of_averaged_models_is_that_of_the_first() -> None:
    again = [0.9 - 0.02 * (step % 15) for step in range(30)]  # falls twice
    state = trained(tuned_with(averaging={"models": 2}), loss=again)
    longer = replace(state, histories={"tuned": state.histories["tuned"].loc[lambda rows: rows.index.repeat(2)]})
    assert list(flat_loss(longer)) == []


def test_losses_of_two_kinds_are_not_judged() -> None:
    anchored = tuned_with(anchor={"dataset": "other", "weight": 1.0})
    for check in (zero_loss, flat_loss):
        assert list(check(trained(anchored, loss=[0.0] * 15 + [0.9] * 15))) == []


def test_first_dev_score_that_is_the_best_is_found() -> None:
    (finding,) = first_dev_score_is_best(trained(dev_ndcg_at_10=devs(0.64, 0.63, 0.60)))
    assert finding.fact == "The first of 3 dev scores is the best: 0.6400, then at most 0.6300."
    assert list(first_dev_score_is_best(HEALTHY)) == []
    assert list(first_dev_score_is_best(trained(dev_ndcg_at_10=devs(0.64)))) == []


def test_first_dev_score_chooses_nothing_where_the_last_model_is_kept() -> None:
    assert list(first_dev_score_is_best(trained(tuned_with(checkpoint="last"), dev_ndcg_at_10=devs(0.64, 0.63)))) == []


def test_dev_that_still_rises_is_found() -> None:
    (finding,) = dev_still_rises(trained(dev_ndcg_at_10=devs(0.60, 0.62, 0.65)))
    assert finding.fact == "The last of 3 dev scores, 0.6500, is the best by 0.0300."
    assert list(dev_still_rises(HEALTHY)) == []
    assert list(dev_still_rises(trained(dev_ndcg_at_10=devs(0.60, 0.601)))) == []


def test_dev_and_test_that_disagree_are_found() -> None:
    (finding,) = dev_and_test_disagree(changed("measurements", 2, "change", to=-0.03))
    assert "changed by +0.1000 on dev and by -0.0300 on test of home" in finding.fact  # dev: best 0.65, base 0.55
    assert list(dev_and_test_disagree(HEALTHY)) == []
    assert list(dev_and_test_disagree(changed("measurements", 2, "change", to=-0.003))) == []


def test_disagreement_needs_the_dev_score_of_the_base() -> None:
    state = changed("measurements", 2, "change", to=-0.03)
    old = state.histories["tuned"].drop(columns="base_ndcg_at_10")
    assert list(dev_and_test_disagree(replace(state, histories={"tuned": old}))) == []


@pytest.mark.parametrize(
    ("parameters", "usual"),
    [
        ({"learning_rate": 1e-3}, "3.0e-05"),  # 22 M parameters
        ({"learning_rate": 2e-6}, "3.0e-05"),
        ({"learning_rate": 5e-6, "method": "lora"}, "1.0e-04"),
    ],
)
def test_unusual_learning_rate_is_found(parameters: dict[str, Any], usual: str) -> None:
    (finding,) = unusual_learning_rate(tuned_with(**parameters))
    assert f"; {usual} is usual for a model of this size" in finding.fact
    word = "high" if parameters["learning_rate"] > float(usual) else "low"
    assert finding.meaning.startswith(f"A rate that is {word} ")


@pytest.mark.parametrize(
    "parameters",
    [{}, {"learning_rate": 3e-4}, {"learning_rate": 1e-3, "method": "lora"}, {"learning_rate": 1.0, "method": "none"}],
)
def test_usual_learning_rate_is_none(parameters: dict[str, Any]) -> None:
    assert list(unusual_learning_rate(tuned_with(**parameters))) == []


def test_learning_rate_is_judged_by_the_size_of_the_base() -> None:
    state = replace(tuned_with(learning_rate=2e-4), pair_scores={("base", "home"): {"model_parameters": 335_000_000}})
    (finding,) = unusual_learning_rate(state)
    assert "1.0e-05 is usual" in finding.fact
    assert list(unusual_learning_rate(replace(state, pair_scores={}))) == []  # nothing is known of its size
