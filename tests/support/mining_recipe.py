"""A mining recipe for tests: uniform, from a range of a vector ranking, with nothing else switched on."""

from typing import Any

RECIPE: dict[str, Any] = {
    "source": "mined",
    "ranking": "dense",
    "search": {"backend": "torch"},
    "range": [0, 7],
    "further_ranges": None,
    "negatives": 2,
    "sampling": "uniform",
    "sampling_temperature": None,
    "keep_judged": False,
    "limits": None,
    "near_duplicate": None,
    "shortage": "fewer",
}


def recipe(dataset: str, model: str, **changed: Any) -> dict[str, Any]:
    """Return the recipe for a data set, its own pool, and a model that also scores, with some values changed."""
    return RECIPE | {"dataset": dataset, "pool": dataset, "model": model, "scorer": model} | changed
