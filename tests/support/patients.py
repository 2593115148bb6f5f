"""A healthy state of a project, for the doctor; tests change one number of it at a time."""

import copy
from dataclasses import fields, replace
from typing import Any

import pandas as pd

from retune.comparison.lineage import TunedModel
from retune.doctor.state import State

PARAMETERS: dict[str, Any] = {"checkpoint": "best", "method": "full", "learning_rate": 3e-5, "averaging": None}


def _statistics() -> dict[str, Any]:
    return {
        "leaks": {"policy": "report", "train_queries": 0},
        "splits": {
            "train": {"queries": 500, "length": {"characters": {"p50": 50}}},
            "test": {"queries": 1000, "length": {"characters": {"p50": 50}}},
        },
    }


def _cosines(floor: float) -> dict[str, Any]:
    return {
        "positives": {"p50": floor + 0.4},
        "random_pairs": {"p50": floor},
        "model_parameters": 22_000_000,
        "share_truncated": {"queries": 0.0, "documents": 0.05},
    }


HEALTHY = State(
    tuned_models={"tuned": TunedModel("base", "home", ("home",), PARAMETERS, ("home",))},
    margin=0.01,
    data={"home": _statistics(), "far": _statistics()},
    mined={
        "home": {
            "negatives": 2000,
            "negatives_from": {"[2, 50)": 1800, "random": 200},
            "negatives_above_lowest_positive": 0.02,
            "positive_score": {"p50": 0.5},
            "random_score": {"p50": 0.1},
        }
    },
    # falls from 0.9, and dev has its best score in the middle
    histories={
        "tuned": pd.DataFrame(
            {
                "global_step": range(1, 31),
                "loss": [0.9 - 0.02 * step for step in range(30)],
                "dev_ndcg_at_10": [*[None] * 9, 0.60, *[None] * 9, 0.65, *[None] * 9, 0.64],
                "base_ndcg_at_10": [*[None] * 9, 0.55, *[None] * 9, 0.55, *[None] * 9, 0.55],
            }
        )
    },
    pair_scores={("bm25", "home"): {}, ("base", "home"): _cosines(0.1), ("tuned", "home"): _cosines(0.1)},
    measurements=[
        {"model": "bm25", "dataset": "home", "queries": 1000, "score": 0.5},
        {"model": "base", "dataset": "home", "queries": 1000, "score": 0.6},
        {"model": "tuned", "dataset": "home", "queries": 1000, "score": 0.66, "change": 0.06, "mde": 0.02}
        | {"is_home": True, "word": "improved"},
        {"model": "tuned", "dataset": "far", "queries": 1000, "score": 0.4, "change": -0.001, "mde": 0.02}
        | {"is_home": False, "word": "non-inferior"},
    ],
)


def changed(attribute: str, *keys: Any, to: Any) -> State:
    """Return the healthy state with one value changed: the one that some keys lead to in one of its attributes."""
    values = {field.name: copy.deepcopy(getattr(HEALTHY, field.name)) for field in fields(State)}
    place = values[attribute]
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = to
    return State(**values)


def tuned_with(**parameters: Any) -> State:
    """Return the healthy state with some parameters of the tuned model changed."""
    tuned = HEALTHY.tuned_models["tuned"]
    return replace(HEALTHY, tuned_models={"tuned": replace(tuned, parameters=PARAMETERS | parameters)})
