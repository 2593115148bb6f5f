"""Queries that come with a list of documents to put in order, instead of a corpus to search."""

import numpy as np
import pandas as pd

from retune.core.records import Split
from retune.retrieval.retriever import Found, Retriever


def contested(split: Split) -> Split:
    """Return the queries whose judged documents hold an irrelevant one: where all are relevant any order is right."""
    irrelevant = split.qrels[split.qrels["relevance"] <= 0]
    is_kept = split.queries["query_id"].isin(irrelevant["query_id"])
    return Split(split.queries[is_kept].reset_index(drop=True), split.qrels, split.scores)


def rank_candidates(retriever: Retriever, doc_ids: pd.Series, split: Split) -> Found:
    """Rank each query's own judged documents, all of them; equal scores keep corpus order.

    Args:
        retriever: Scores pairs.
        doc_ids: The corpus's ids in order of position.
        split: The queries, in the retriever's order, and their judgments.

    Returns:
        As many columns as the longest list has documents.
    """
    rows = pd.Index(split.queries["query_id"]).get_indexer(pd.Index(split.qrels["query_id"]))
    positions = pd.Index(doc_ids).get_indexer(pd.Index(split.qrels["doc_id"]))
    pairs = np.unique(np.stack([rows, positions], axis=1)[(rows >= 0) & (positions >= 0)], axis=0)
    rows, positions = pairs[:, 0], pairs[:, 1]
    scores = retriever.score(rows, positions)
    order = np.lexsort((positions, -scores, rows))
    rows, positions, scores = rows[order], positions[order], scores[order]

    size = len(split.queries)
    counts = np.bincount(rows, minlength=size)
    columns = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    shape = size, int(counts.max(initial=0))
    found = Found(np.full(shape, -np.inf, dtype=np.float32), np.full(shape, -1, dtype=np.int64))
    found.scores[rows, columns], found.positions[rows, columns] = scores, positions
    return found
