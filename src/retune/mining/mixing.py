"""Mixing: join two mined sets and give each source a weight, or average two teachers' scores of one mined set."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from retune.core.errors import InputError
from retune.core.records import Mined
from retune.mining.score_distribution import score_distribution
from retune.params.mix import Mix

KINDS = ("positive", "negative")
DOC_IDS = tuple(f"{kind}_ids" for kind in KINDS)


def mix(first: Mined, second: Mined, params: Mix) -> Mined:
    """Join two mined sets; their ids and sources get the prefix `<name>/`, so that equal ones do not clash.

    If one of them is a mixture itself, the weights of its sources are multiplied by its weight in this mixture.

    Raises:
        InputError: Scores are mixed, and `second` lacks some of those that `first` has; see `average_scores`.
    """
    if params.of == "scores":
        return average_scores(first, second, params)
    parts = [
        _marked(mined, name, weight)
        for mined, name, weight in (
            (first, params.first, params.first_weight),
            (second, params.second, params.second_weight),
        )
    ]
    return Mined(
        pd.concat([part.examples for part in parts], ignore_index=True),
        pd.concat([part.queries for part in parts], ignore_index=True),
        pd.concat([part.documents for part in parts], ignore_index=True),
        pd.concat([part.weights for part in parts], ignore_index=True),
        [*first.origins, *second.origins],
    )


def counts(mixture: Mined) -> dict[str, Any]:
    """Return each source's weight and counts, and the distribution of scores for `dvc plots`."""
    weights = mixture.weights
    if weights is None:
        weights = pd.DataFrame({"source": mixture.examples["source"].unique(), "weight": 1.0})
    positive, negative = (
        np.concatenate(mixture.examples[f"{kind}_scores"].tolist()) for kind in ("positive", "negative")
    )
    sources = {}
    for source, weight in zip(weights["source"], weights["weight"], strict=True):
        examples = mixture.examples[mixture.examples["source"] == source]
        positives, negatives = (int(examples[name].map(len).sum()) for name in DOC_IDS)
        sources[source] = {"weight": weight, "queries": len(examples), "positives": positives, "negatives": negatives}
    return {
        "queries": len(mixture.queries),
        "documents": len(mixture.documents),
        "sources": sources,
        "score_distribution": score_distribution(positive, negative, np.zeros(0)),  # no random pairs were scored
    }


def average_scores(first: Mined, second: Mined, params: Mix) -> Mined:
    """Return `first` with the weighted mean of both sets' scores, each set standardised to mean 0 and deviation 1.

    Raises:
        InputError: A pair of `first` has no finite score in one of the sets, or all scores of a set are equal.
    """
    names = (params.first, params.second)
    pairs = [pair for kind in KINDS for pair in _scores(first.examples, kind)]
    standardised = []
    for name, mined in zip(names, (first, second), strict=True):
        known = {pair: score for kind in KINDS for pair, score in _scores(mined.examples, kind).items()}
        scores = np.array([known.get(pair, np.nan) for pair in pairs], dtype=np.float64)
        if len(missing := np.flatnonzero(~np.isfinite(scores))):
            query_id, doc_id = pairs[missing[0]]
            raise InputError(
                f"mix.of: expected a score in {name!r} for each of {len(pairs)} pairs of {names[0]!r}, got none for "
                f"{len(missing)}, first: {doc_id!r} of query {query_id!r}; mine both with the same parameters and "
                "limits: null, so that they differ in nothing but the scorer"
            )
        if np.ptp(scores) == 0.0:
            raise InputError(f"mix.of: expected scores that differ, got {scores[0]:g} for all pairs of {name!r}")
        standardised.append((scores - scores.mean()) / scores.std())
    means = np.average(standardised, axis=0, weights=[params.first_weight, params.second_weight])
    averaged = dict(zip(pairs, means.astype(np.float32), strict=True))
    columns: dict[str, Any] = {
        f"{kind}_scores": [[averaged[pair] for pair in row] for row in _pairs(first.examples, kind)] for kind in KINDS
    }
    return replace(first, examples=first.examples.assign(**columns), origins=[*first.origins, *second.origins])


def _pairs(examples: pd.DataFrame, kind: str) -> list[list[tuple[str, str]]]:
    """Return each query's pairs of its id and the id of a document of this kind."""
    columns = zip(examples["query_id"], examples[f"{kind}_ids"], strict=True)
    return [[(query_id, doc_id) for doc_id in doc_ids] for query_id, doc_ids in columns]


def _scores(examples: pd.DataFrame, kind: str) -> dict[tuple[str, str], float]:
    rows = zip(_pairs(examples, kind), examples[f"{kind}_scores"], strict=True)
    return {pair: float(score) for pairs, scores in rows for pair, score in zip(pairs, scores, strict=True)}


def _marked(mined: Mined, name: str, weight: float) -> Mined:
    """Prefix all ids and sources with `<name>/`, and multiply the weights of its sources by `weight`."""
    examples, weights, prefix = mined.examples, mined.weights, f"{name}/"
    if weights is None:
        weights = pd.DataFrame({"source": examples["source"].unique(), "weight": 1.0})
    ids: dict[str, Any] = {
        column: [[prefix + doc_id for doc_id in doc_ids] for doc_ids in examples[column]] for column in DOC_IDS
    }
    return replace(
        mined,
        examples=examples.assign(query_id=prefix + examples["query_id"], source=prefix + examples["source"], **ids),
        queries=mined.queries.assign(query_id=prefix + mined.queries["query_id"]),
        documents=mined.documents.assign(doc_id=prefix + mined.documents["doc_id"]),
        weights=weights.assign(source=prefix + weights["source"], weight=weights["weight"] * weight),
    )
