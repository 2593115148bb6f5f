"""Ranked retrieval metrics as trec_eval defines them: their keys, and their values per query."""

import re

import numpy as np
import pandas as pd

from retune.errors import InputError
from retune.records import Split

METRICS = ("ndcg", "map", "recall", "precision", "mrr", "hit")
METRIC_KEY = re.compile(rf"({'|'.join(METRICS)})_at_([1-9][0-9]*)")
DECIMALS = 5


def parse_metric(key: str) -> tuple[str, int]:
    """Split a metric key such as `ndcg_at_10` into name and cut-off.

    Raises:
        InputError: Not a metric key.
    """
    match = METRIC_KEY.fullmatch(key)
    if match is None:
        raise InputError(f"expected a metric such as ndcg_at_10, one of {', '.join(METRICS)} at a k, got {key!r}")
    return match[1], int(match[2])


def score_ranking(ranking: np.ndarray, doc_ids: pd.Series, split: Split, ks: list[int]) -> pd.DataFrame:
    """Score a ranking against the judgments.

    With g_i the grade at rank i (0 unless relevant) and R the relevant documents of the query:
    ndcg: sum of g_i / log2(i + 1) over that of the ideal order; map: precision at each relevant rank up to k,
    summed, over R; recall: relevant found over R; precision: relevant found over k; mrr: 1 / first relevant
    rank; hit: 1 if any is found.

    Args:
        ranking: Document positions, closest first, (queries, depth).
        doc_ids: The corpus's ids in order of position.
        split: The queries, in the ranking's order, and their judgments.
        ks: Cut-offs.

    Returns:
        One row a query: `query_id` and a column per metric and k, such as `ndcg_at_10`.
    """
    gains, ideal, num_relevant = _gains(ranking, doc_ids, split, max(ks))
    discounts = 1.0 / np.log2(np.arange(2, max(ks) + 2))
    relevant = gains > 0
    precisions = np.cumsum(relevant, axis=1) / np.arange(1, max(ks) + 1)
    first = np.where(relevant.any(axis=1), relevant.argmax(axis=1) + 1, np.inf)

    columns: dict[str, object] = {"query_id": split.queries["query_id"].to_numpy()}
    for k in sorted(set(ks)):
        found = relevant[:, :k].sum(axis=1)
        columns |= {
            f"ndcg_at_{k}": (gains[:, :k] @ discounts[:k]) / (ideal[:, :k] @ discounts[:k]),
            f"map_at_{k}": (precisions * relevant)[:, :k].sum(axis=1) / num_relevant,
            f"recall_at_{k}": found / num_relevant,
            f"precision_at_{k}": found / k,
            f"mrr_at_{k}": np.where(first <= k, 1.0 / first, 0.0),
            f"hit_at_{k}": (found > 0).astype(float),
        }
    return pd.DataFrame(columns)


def mean_scores(scores: pd.DataFrame) -> dict[str, float]:
    """Average per-query scores, to five decimals."""
    return {
        str(name): round(float(values.mean()), DECIMALS) for name, values in scores.drop(columns="query_id").items()
    }


def _gains(
    ranking: np.ndarray, doc_ids: pd.Series, split: Split, depth: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the grades found, the grades of the ideal order, both (queries, depth), and relevant counts."""
    relevant = split.qrels[split.qrels["relevance"] > 0]
    rows = pd.Index(split.queries["query_id"]).get_indexer(relevant["query_id"])
    positions = pd.Index(doc_ids).get_indexer(relevant["doc_id"])
    grades: list[dict[int, int]] = [{} for _ in range(len(split.queries))]
    for row, position, grade in zip(rows, positions, relevant["relevance"], strict=True):
        grades[row][position] = grade
    gains = np.zeros((len(grades), depth))
    ideal = np.zeros((len(grades), depth))
    for row, judged in enumerate(grades):
        if not judged:
            raise InputError(f"query {split.queries['query_id'].iloc[row]!r}: expected a relevant document, got none")
        gains[row, : ranking.shape[1]] = [judged.get(position, 0) for position in ranking[row, :depth].tolist()]
        best = sorted(judged.values(), reverse=True)[:depth]
        ideal[row, : len(best)] = best
    return gains, ideal, np.array([len(judged) for judged in grades])
