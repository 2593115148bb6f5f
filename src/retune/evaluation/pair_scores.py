"""How close a model puts queries to their relevant documents, and to any: the floor that tuning may raise."""

from typing import Any

import numpy as np
import pandas as pd

from retune.core.records import DECIMALS, Split
from retune.core.seeds import generator
from retune.retrieval.retriever import VectorRetriever

RANDOM_PAIRS = 10  # of a query
PERCENTILES = (5, 50, 95)
BIN = 0.025  # of a cosine; the same bins for every model, so that shares compare


def pair_scores(retriever: VectorRetriever, doc_ids: pd.Series, split: Split, *, seed: int) -> dict[str, Any]:
    """Return the cosines of queries with relevant documents, and with ten drawn at random, as numbers for Git.

    A query's random documents depend on the seed, its id and the corpus, never on the model.

    Args:
        retriever: Has the vectors.
        doc_ids: The corpus's ids in order of position.
        split: The queries, in the retriever's order, and their judgments.
        seed: Of the draws.

    Returns:
        `positives` and `random_pairs`, each with `mean`, `p5`, `p50` and `p95`, empty without a pair; `histogram`:
        rows of `score`, the middle of a bin, and the shares of `positives` and `random_pairs` in it.
    """
    relevant = split.qrels[split.qrels["relevance"] > 0]
    rows = pd.Index(split.queries["query_id"]).get_indexer(pd.Index(relevant["query_id"]))
    positions = pd.Index(doc_ids).get_indexer(pd.Index(relevant["doc_id"]))
    is_known = (rows >= 0) & (positions >= 0)
    rows, positions = rows[is_known], positions[is_known]
    scores = {
        "positives": retriever.score(rows, positions),
        "random_pairs": retriever.score(*_at_random(split.queries["query_id"], rows, positions, len(doc_ids), seed)),
    }
    return {name: _summary(values) for name, values in scores.items()} | {"histogram": _histogram(scores)}


def _at_random(
    query_ids: pd.Series, rows: np.ndarray, positions: np.ndarray, num_documents: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw documents for each query but its relevant ones, (rows, positions); fewer in a small corpus."""
    order = np.argsort(rows, kind="stable")
    relevant = np.split(positions[order], np.searchsorted(rows[order], np.arange(1, len(query_ids))))
    drawn = []
    for query_id, own in zip(query_ids, relevant, strict=True):
        rng = generator(seed, f"random documents of {query_id}")
        size = min(RANDOM_PAIRS + len(own), num_documents)
        one = rng.choice(num_documents, size=size, replace=False)
        drawn.append(one[~np.isin(one, own)][:RANDOM_PAIRS])
    return np.repeat(np.arange(len(drawn)), [len(one) for one in drawn]), np.concatenate(drawn)


def _summary(values: np.ndarray) -> dict[str, float]:
    if not len(values):
        return {}
    numbers = {"mean": values.mean(dtype=np.float64)}
    numbers |= {f"p{percent}": np.percentile(values, percent) for percent in PERCENTILES}
    return {name: round(float(number), DECIMALS) for name, number in numbers.items()}


def _histogram(scores: dict[str, np.ndarray]) -> list[dict[str, float]]:
    """Return the shares of scores in each bin, from the lowest that holds one to the highest."""
    bins = {name: np.floor(values / BIN).astype(np.int64) for name, values in scores.items()}
    every = np.concatenate(list(bins.values()))
    rows = []
    for number in range(every.min(), every.max() + 1) if len(every) else ():
        shares = {name: float((of == number).sum() / max(len(of), 1)) for name, of in bins.items()}
        row = {"score": (number + 0.5) * BIN} | shares
        rows.append({name: round(value, DECIMALS) for name, value in row.items()})
    return rows
