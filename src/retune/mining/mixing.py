"""Mixing: join two mined sets, whose rows carry the name of their source, and give each source a weight."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from retune.core.records import Mined
from retune.mining.score_distribution import score_distribution
from retune.params.mix import Mix

DOC_IDS = ("positive_ids", "negative_ids")


def mix(first: Mined, second: Mined, params: Mix) -> Mined:
    """Join two mined sets; their ids and sources get the prefix `<name>/`, so that equal ones do not clash.

    If one of them is a mixture itself, the weights of its sources are multiplied by its weight in this mixture.
    """
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
    assert mixture.weights is not None
    positive, negative = (
        np.concatenate(mixture.examples[f"{kind}_scores"].tolist()) for kind in ("positive", "negative")
    )
    sources = {}
    for source, weight in zip(mixture.weights["source"], mixture.weights["weight"], strict=True):
        examples = mixture.examples[mixture.examples["source"] == source]
        positives, negatives = (int(examples[name].map(len).sum()) for name in DOC_IDS)
        sources[source] = {"weight": weight, "queries": len(examples), "positives": positives, "negatives": negatives}
    return {
        "queries": len(mixture.queries),
        "documents": len(mixture.documents),
        "sources": sources,
        "score_distribution": score_distribution(positive, negative, np.zeros(0)),  # no random pairs were scored
    }


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
