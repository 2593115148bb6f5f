"""Cosine similarities of queries with relevant and with random documents; tuning may raise the latter."""

from typing import Any

import numpy as np
import pandas as pd

from retune.core.distributions import histogram, percentiles, rounded
from retune.core.records import Split
from retune.core.seeds import generator
from retune.retrieval.retriever import VectorRetriever

RANDOM_PAIRS = 10  # per query
PERCENTILES = (5, 50, 95)
BIN = 0.025  # width of a bin of the histogram, the same for every model, so that shares can be compared


def pair_scores(retriever: VectorRetriever, doc_ids: pd.Series, split: Split, *, seed: int) -> dict[str, Any]:
    """Summarise the cosine similarities of queries with their relevant documents, and with ten random documents.

    A query's random documents depend on the seed, its id and the corpus, never on the model.

    Args:
        retriever: The retriever with the vectors.
        doc_ids: The ids of the corpus, in the order of positions.
        split: The queries, in the order of the retriever, and their judgments.
        seed: The seed of the random documents.

    Returns:
        `positives` and `random_pairs`, each with `mean`, `p5`, `p50` and `p95`, or empty if there is no pair; and
        `histogram`, a row per bin: `score`, its middle, and the shares of `positives` and `random_pairs` in it.
    """
    relevant = split.qrels[split.qrels["relevance"] > 0]
    rows = pd.Index(split.queries["query_id"]).get_indexer(pd.Index(relevant["query_id"]))
    positions = pd.Index(doc_ids).get_indexer(pd.Index(relevant["doc_id"]))
    is_known = (rows >= 0) & (positions >= 0)
    rows, positions = rows[is_known], positions[is_known]
    scores = {
        "positives": retriever.cosine(rows, positions),
        "random_pairs": retriever.cosine(*random_pairs(split.queries["query_id"], rows, positions, len(doc_ids), seed)),
    }
    return {name: _summary(values) for name, values in scores.items()} | {"histogram": _histogram(scores)}


def random_pairs(
    query_ids: pd.Series, rows: np.ndarray, positions: np.ndarray, num_documents: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw ten documents for each query that are not relevant to it, or fewer if the corpus is small.

    Args:
        query_ids: The ids of the queries; each is the name of a random generator.
        rows: The row of the query in each relevant pair, (pairs,).
        positions: The position of the document in each relevant pair, (pairs,).
        num_documents: The size of the corpus.
        seed: The seed of all draws.

    Returns:
        The row of the query and the position of the document in each random pair.
    """
    order = np.argsort(rows, kind="stable")
    relevant = np.split(positions[order], np.searchsorted(rows[order], np.arange(1, len(query_ids))))
    samples = []
    for query_id, to_avoid in zip(query_ids, relevant, strict=True):
        rng = generator(seed, f"random documents of {query_id}")
        size = min(RANDOM_PAIRS + len(to_avoid), num_documents)
        sample = rng.choice(num_documents, size=size, replace=False)
        samples.append(sample[~np.isin(sample, to_avoid)][:RANDOM_PAIRS])
    return np.repeat(np.arange(len(samples)), [len(sample) for sample in samples]), np.concatenate(samples)


def _summary(values: np.ndarray) -> dict[str, float]:
    if not len(values):
        return {}
    return rounded({"mean": float(values.mean(dtype=np.float64))} | percentiles(values, PERCENTILES))


def _histogram(scores: dict[str, np.ndarray]) -> list[dict[str, float]]:
    """Return a histogram from the lowest bin that contains a score to the highest."""
    bins = {name: np.floor(values / BIN).astype(np.int64) for name, values in scores.items()}
    used = np.concatenate(list(bins.values()))
    if not len(used):
        return []
    first, size = used.min(), used.max() - used.min() + 1
    counts = {name: np.bincount(numbers - first, minlength=size) for name, numbers in bins.items()}
    return histogram((first + np.arange(size) + 0.5) * BIN, counts)
