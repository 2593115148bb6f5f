"""Findings about scores on test queries."""

from collections.abc import Iterator, Mapping
from math import ceil
from typing import Any

from retune.comparison.verdict import SYNTHETIC
from retune.doctor.finding import Finding
from retune.doctor.state import State, number
from retune.doctor.thresholds import HIGH_FLOOR


def small_test_sets(state: State) -> Iterator[Finding]:
    """A test set is too small to show the changes that matter: half of a gain at home, or the margin elsewhere.

    The detectable change falls with the square root of the number of queries, which gives the number needed. A verdict
    of improved, non-inferior or forgot elsewhere is certain enough, whatever could have been detected.
    """
    worst: dict[str, tuple[int, Finding]] = {}
    for row in state.measurements:
        needed, reason = _needed(row, state.margin)
        dataset, kind = row["dataset"], SYNTHETIC if row.get("is_synthetic") else "test queries"
        if needed and needed > worst.get(dataset, (0,))[0]:
            worst[dataset] = (
                needed,
                Finding(
                    f"{'synthesize' if row.get('is_synthetic') else 'convert'}.{dataset}",
                    f"{row['queries']:,} {kind} detect changes of {row['model']} from {row['mde']:.4f} on, which "
                    f"is more than {reason}.",
                    "A real change of that size may go unnoticed.",
                    f"Use about {needed:,} {kind}.",
                ),
            )
    yield from (finding for _, finding in worst.values())


def _needed(row: Mapping[str, Any], margin: float) -> tuple[int | None, str]:
    """Return how many queries are needed, and what cannot be detected with those there are; None: enough."""
    effect, change = row.get("mde"), row.get("change")
    if effect is None or change is None:
        return None, ""
    target = change / 2 if row.get("is_home") else margin
    is_unclear = change > 0 if row.get("is_home") else row.get("word") == "no difference shown"
    if not is_unclear or target <= 0 or effect <= target:
        return None, ""
    reason = f"half of its gain of {change:.4f}" if row.get("is_home") else f"the margin of {margin:g}"
    return ceil(row["queries"] * (effect / target) ** 2), reason


def bases_below_bm25(state: State) -> Iterator[Finding]:
    """A base scores lower than BM25, by more than the margin: it is not used as it should be, or does not fit."""
    for row in state.measurements:
        model, dataset = row["model"], row["dataset"]
        lexical = [
            other for other in state.measurements if other["dataset"] == dataset and _is_lexical(state, other["model"])
        ]
        for other in lexical:
            if model in state.bases and row["score"] < other["score"] - state.margin:
                yield Finding(
                    f"fetch.{model}",
                    f"{model} scores {row['score']:.4f} on {state.test_set(dataset)}, and {other['model']} "
                    f"{other['score']:.4f}.",
                    "Its prefixes or its pooling may be wrong, or it does not suit the data.",
                    f"Check fetch.{model} against the model's card, or try another base.",
                )


def _is_lexical(state: State, model: str) -> bool:
    """Return whether a model is BM25: the files of its cosines are there and empty."""
    contents = [content for (name, _), content in state.pair_scores.items() if name == model]
    return bool(contents) and not any(contents)


def compressed_scores(state: State) -> Iterator[Finding]:
    """Random pairs have high cosines: literal limits and thresholds on cosines do not separate much."""
    floors: dict[str, tuple[float, str]] = {}
    for (model, dataset), content in state.pair_scores.items():
        floor = number(content, "random_pairs", "p50")
        if floor is not None and floor > max(HIGH_FLOOR, floors.get(model, (0.0, ""))[0]):
            floors[model] = floor, dataset
    for model, (floor, dataset) in floors.items():
        yield Finding(
            model,
            f"The cosines of random pairs are {floor:.2f} at the median on {state.test_set(dataset)}.",
            "All scores lie close together, so limits relative to 0 reject good negatives.",
            "In recipes that this model scores, set limits: {percent_of_positive: null, share_of_range: 0.9}; choose "
            "thresholds on cosines above this floor.",
        )
