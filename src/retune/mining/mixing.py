"""Put two mined sets together, their rows marked with their source, and each source with its weight."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from retune.core.records import Mined
from retune.mining.score_distribution import score_distribution
from retune.params.mix import Mix

DOC_IDS = ("positive_ids", "negative_ids")


def mix(first: Mined, second: Mined, params: Mix) -> Mined:
    """Join two mined sets; `<name>/` is put before ids and sources of each, so that equal ones do not meet.

    Weights multiply: a source's weight in a mixture, times the mixture's in this one.
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
    """Return each source's weight and what it holds, and the distribution of scores for `dvc plots`."""
    assert mixture.weights is not None
    positive, negative = (
        np.concatenate(mixture.examples[f"{kind}_scores"].tolist()) for kind in ("positive", "negative")
    )
    sources = {}
    for source, weight in zip(mixture.weights["source"], mixture.weights["weight"], strict=True):
        own = mixture.examples[mixture.examples["source"] == source]
        positives, negatives = (int(own[name].map(len).sum()) for name in DOC_IDS)
        sources[source] = {"weight": weight, "queries": len(own), "positives": positives, "negatives": negatives}
    return {
        "queries": len(mixture.queries),
        "documents": len(mixture.documents),
        "sources": sources,
        "score_distribution": score_distribution(positive, negative, np.zeros(0)),  # no random pairs were scored
    }


def _marked(mined: Mined, name: str, weight: float) -> Mined:
    """Put `<name>/` before all ids and sources, and give every source its weight."""
    examples, weights, mark = mined.examples, mined.weights, f"{name}/"
    if weights is None:
        weights = pd.DataFrame({"source": examples["source"].unique(), "weight": 1.0})
    ids: dict[str, Any] = {
        column: [[mark + doc_id for doc_id in own] for own in examples[column]] for column in DOC_IDS
    }
    return replace(
        mined,
        examples=examples.assign(query_id=mark + examples["query_id"], source=mark + examples["source"], **ids),
        queries=mined.queries.assign(query_id=mark + mined.queries["query_id"]),
        documents=mined.documents.assign(doc_id=mark + mined.documents["doc_id"]),
        weights=weights.assign(source=mark + weights["source"], weight=weights["weight"] * weight),
    )
