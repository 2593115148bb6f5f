"""Candidate lists: each query ranks its judged documents instead of the corpus, as in a reranking task."""

import numpy as np
import pandas as pd

from retune.core.records import Split
from retune.retrieval.ranking import Pairs, Ranking, Retriever


def contested(split: Split) -> Split:
    """Return the queries with an irrelevant judged document; if all are relevant, any order is right."""
    irrelevant = split.qrels[split.qrels["relevance"] <= 0]
    is_kept = split.queries["query_id"].isin(irrelevant["query_id"])
    return Split(split.queries[is_kept].reset_index(drop=True), split.qrels, split.scores)


def rank_candidates(retriever: Retriever, doc_ids: pd.Series, split: Split) -> Ranking:
    """Rank all judged documents of each query.

    Args:
        retriever: The retriever.
        doc_ids: The ids of the corpus, in the order of positions.
        split: The queries, in the order of the retriever, and their judgments.

    Returns:
        Rankings with one column for each document of the longest list.
    """
    rows = pd.Index(split.queries["query_id"]).get_indexer(pd.Index(split.qrels["query_id"]))
    positions = pd.Index(doc_ids).get_indexer(pd.Index(split.qrels["doc_id"]))
    pairs = np.unique(np.stack([rows, positions], axis=1)[(rows >= 0) & (positions >= 0)], axis=0)
    return retriever.rank(Pairs(pairs[:, 0], pairs[:, 1]))
