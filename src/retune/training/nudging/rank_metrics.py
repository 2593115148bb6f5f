"""Retrieval metrics of one query from the ranks of its relevant documents, for many rankings at once."""

import numpy as np

from retune.training.nudging.judgments import RelevantDocuments


def score_ranks(ranks: np.ndarray, relevant: RelevantDocuments, name: str, k: int) -> np.ndarray:
    """Score rankings as `score_ranking` in `evaluation/metrics.py` does.

    Args:
        ranks: The ranks of the relevant documents in the corpus, counted from 0; all that are k or more mean that the
            document is not among the first k; (rankings, found).
        relevant: The relevant documents.
        name: The name of the metric.
        k: The cut-off.

    Returns:
        The value for each ranking, (rankings,).
    """
    is_top, num_relevant = ranks < k, len(relevant.ideal)
    values: np.ndarray
    if name == "ndcg":
        ideal = relevant.ideal[:k] / np.log2(np.arange(min(k, num_relevant)) + 2)
        values = np.where(is_top, relevant.grades / np.log2(ranks + 2), 0.0).sum(axis=1) / ideal.sum()
    elif name == "map":
        in_order = np.sort(ranks, axis=1)
        precisions = np.arange(1, ranks.shape[1] + 1) / (in_order + 1)
        values = np.where(in_order < k, precisions, 0.0).sum(axis=1) / num_relevant
    elif name == "mrr":
        first = ranks.min(axis=1, initial=k)
        values = np.where(first < k, 1.0 / (first + 1), 0.0)
    elif name == "hit":
        values = is_top.any(axis=1).astype(float)
    else:
        values = np.count_nonzero(is_top, axis=1) / {"recall": num_relevant, "precision": k}[name]
    return values
