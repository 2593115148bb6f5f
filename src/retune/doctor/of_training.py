"""Findings about trainings."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from retune.comparison.lineage import TunedModel
from retune.doctor.finding import Finding
from retune.doctor.state import State, number
from retune.doctor.thresholds import (
    DISAGREEMENT,
    FALLEN,
    FAR_FROM_USUAL,
    FEWEST_LOSSES,
    FIRST_LOSSES,
    RISE,
    USUAL_LORA_RATE,
    USUAL_RATES,
    ZERO_LOSS,
)


def zero_loss(state: State) -> Iterator[Finding]:
    """The loss is almost 0 from the first steps on: there is nothing to learn from these negatives."""
    for name, losses in _losses(state):
        if len(losses) >= FIRST_LOSSES and (first := losses[:FIRST_LOSSES].median()) < ZERO_LOSS:
            yield Finding(
                f"finetune.{name}",
                f"The loss is {first:.4f} in the first {FIRST_LOSSES} steps.",
                "The negatives are too easy, so there is nothing to learn.",
                "Mine closer ranks, raise hard_negatives or batch_size, and check that mined negatives are not random "
                "ones.",
            )


def flat_loss(state: State) -> Iterator[Finding]:
    """The loss does not fall: the learning rate is too low or too high, or prefixes or labels are wrong."""
    for name, losses in _losses(state):
        quarter = len(losses) // 4
        if len(losses) < FEWEST_LOSSES or losses[:FIRST_LOSSES].median() < ZERO_LOSS:
            continue
        first, last = losses[:quarter].median(), losses[-quarter:].median()
        if last > FALLEN * first:
            yield Finding(
                f"finetune.{name}",
                f"The median loss is {first:.4f} in the first quarter of the steps and {last:.4f} in the last.",
                "The model does not learn the training data.",
                "Try another learning_rate, and check the prefixes of the base in fetch and the positives in the data.",
            )


def first_dev_score_is_best(state: State) -> Iterator[Finding]:
    """Dev chose the first of several scored models: the model got worse from there on."""
    for name, tuned, scores in _dev_scores(state):
        if tuned.parameters["checkpoint"] == "best" and len(scores) > 1 and scores[0] == max(scores):
            yield Finding(
                f"finetune.{name}",
                f"The first of {len(scores)} dev scores is the best: {scores[0]:.4f}, then at most "
                f"{max(scores[1:]):.4f}.",
                "Training from there on did not help on dev.",
                "Lower learning_rate, or set evaluate_steps to look for a best model within the first epoch.",
            )


def dev_still_rises(state: State) -> Iterator[Finding]:
    """The last dev score is the best by far: training ended before it converged."""
    for name, _, scores in _dev_scores(state):
        if len(scores) > 1 and (rise := scores[-1] - max(scores[:-1])) > RISE:
            yield Finding(
                f"finetune.{name}",
                f"The last of {len(scores)} dev scores, {scores[-1]:.4f}, is the best by {rise:.4f}.",
                "Training ended before dev stopped rising.",
                "Raise epochs, or raise learning_rate.",
            )


def dev_and_test_disagree(state: State) -> Iterator[Finding]:
    """Dev says that the model is better than its base and test says worse, or the reverse: dev is unlike test."""
    of_test = {row["model"]: row.get("change") for row in state.measurements if row.get("is_home")}
    for name, tuned, scores in _dev_scores(state):
        base, test = _column(state.histories[name], "base_"), of_test.get(name)
        kept = {"best": max(scores), "last": scores[-1]}.get(tuned.parameters["checkpoint"])
        if not base or test is None or kept is None:
            continue
        dev = kept - base[0]
        if dev * test < 0 and min(abs(dev), abs(test)) > DISAGREEMENT:
            yield Finding(
                f"finetune.{name}",
                f"Compared with the base, the model changed by {dev:+.4f} on dev and by {test:+.4f} on test of "
                f"{state.test_set(tuned.home)}.",
                "Dev is unlike test, so it does not choose the model that test prefers.",
                "Draw dev as test is drawn (split_by), and look for leaks between train and dev.",
            )


def unusual_learning_rate(state: State) -> Iterator[Finding]:
    """The learning rate is far from those in use for models of this size; docs/choosing.md has the table."""
    for name, tuned in state.tuned_models.items():
        if not tuned.is_trained:
            continue
        rate, usual = tuned.parameters["learning_rate"], _usual_rate(state, tuned)
        if usual is None or max(rate / usual, usual / rate) <= FAR_FROM_USUAL * (1.0 + 1e-9):
            continue
        harm = "may destroy what the base knows" if rate > usual else "may leave the model almost unchanged"
        yield Finding(
            f"finetune.{name}",
            f"learning_rate is {rate:.1e}; {usual:.1e} is usual for a model of this size and method.",
            f"A rate that is {'high' if rate > usual else 'low'} by more than a factor of {FAR_FROM_USUAL:.0f} {harm}.",
            "Try the usual rate; docs/choosing.md has a table.",
        )


def _usual_rate(state: State, tuned: TunedModel) -> float | None:
    if tuned.parameters["method"] in ("lora", "icl"):
        return USUAL_LORA_RATE
    if tuned.parameters["method"] != "full":
        return None
    cosines = (content for (model, _), content in state.pair_scores.items() if model == tuned.base)
    size = next(filter(None, (number(content, "model_parameters") for content in cosines)), None)
    return None if size is None else next(rate for most, rate in USUAL_RATES if size <= most)


def _losses(state: State) -> Iterator[tuple[str, "pd.Series[Any]"]]:
    """Yield the losses of each training, of the first model only if several were trained to be averaged.

    The thresholds fit InfoNCE. Trainings with another loss, of cross-encoders, or with an `anchor`, whose batches have
    two kinds of loss, are left out.
    """
    for name, history in state.histories.items():
        parameters = state.tuned_models[name].parameters
        is_infonce = parameters.get("loss", "infonce") == "infonce" and parameters.get("method") != "cross_encoder"
        if not is_infonce or parameters.get("anchor"):
            continue
        losses = history["loss"].dropna().reset_index(drop=True)
        yield name, losses[: len(losses) // _num_models(state.tuned_models[name])]


def _dev_scores(state: State) -> Iterator[tuple[str, TunedModel, list[float]]]:
    """Yield the dev scores of each training of one model; those of several models have no trend."""
    for name, history in state.histories.items():
        tuned, scores = state.tuned_models[name], _column(history, "dev_")
        if scores and _num_models(tuned) == 1:
            yield name, tuned, scores


def _column(history: pd.DataFrame, prefix: str) -> list[float]:
    """Return the numbers in the column whose name begins with a prefix; none if there is no such column."""
    columns = [name for name in history.columns if name.startswith(prefix)]
    return [float(value) for name in columns[:1] for value in history[name].dropna()]


def _num_models(tuned: TunedModel) -> int:
    return int((tuned.parameters.get("averaging") or {}).get("models", 1))
