"""Rankings of documents for queries: what they hold, and what every kind of retriever has in common."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np

from retune.params.search import Search


class Ranking(NamedTuple):
    """The documents found for each query, best first.

    Attributes:
        scores: (queries, depth) float32, higher is closer; minus infinity after the last document of a row.
        positions: Positions of the documents in the corpus, (queries, depth) int64; -1 after the last one of a row.
        recall: The share of the exact neighbours that an approximate search finds on a sample; None if it is exact.
    """

    scores: np.ndarray
    positions: np.ndarray
    recall: float | None = None

    def best(self, k: int) -> "Ranking":
        """Return the first `k` documents of each query."""
        return self._replace(scores=self.scores[:, :k], positions=self.positions[:, :k])


class Pairs(NamedTuple):
    """Pairs of a query and a document.

    Attributes:
        rows: The row of each pair's query, (pairs,) int64.
        positions: The position of each pair's document in the corpus, (pairs,) int64.
    """

    rows: np.ndarray
    positions: np.ndarray


class Retriever(Protocol):
    """Ranks documents for its queries."""

    def top_k(self, k: int, search: Search, *, seed: int, excluded: Pairs | None = None) -> Ranking:
        """Rank the corpus.

        Args:
            k: The number of documents per query; a query gets fewer if no more are found.
            search: How the nearest vectors are found.
            seed: The seed of the sample of queries on which the recall of an approximate search is measured.
            excluded: Documents that a query may not find, each pair once; None: it may find any.
        """

    def rank(self, candidates: Pairs) -> Ranking:
        """Rank the candidates of each query, all of them, with one column for each of the longest list.

        Args:
            candidates: The documents to rank for each query, each pair once.
        """


def ranked(pairs: Pairs, scores: np.ndarray, num_queries: int) -> Ranking:
    """Return the documents of each query by falling score; documents with equal scores keep corpus order.

    Args:
        pairs: The documents of each query, each pair once.
        scores: (pairs,) float32, higher is closer.
        num_queries: The number of rows.
    """
    order = np.lexsort((pairs.positions, -scores, pairs.rows))
    rows, positions = pairs.rows[order], pairs.positions[order]
    counts = np.bincount(rows, minlength=num_queries)
    columns = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    shape = num_queries, int(counts.max(initial=0))
    ranking = Ranking(np.full(shape, -np.inf, dtype=np.float32), np.full(shape, -1, dtype=np.int64))
    ranking.scores[rows, columns], ranking.positions[rows, columns] = scores[order], positions
    return ranking


def find_allowed(find: Callable[[int], Ranking], k: int, excluded: Pairs | None, num_documents: int) -> Ranking:
    """Return the `k` best documents of each query that it may find.

    Args:
        find: Returns the given number of best documents.
        k: The number of documents per query.
        excluded: Documents that a query may not find; None: it may find any.
        num_documents: The size of the corpus.
    """
    if excluded is None or not len(excluded.rows):
        return find(k)
    return drop(find(k + int(np.bincount(excluded.rows).max())), excluded, num_documents, k)


def drop(ranking: Ranking, excluded: Pairs, num_documents: int, depth: int) -> Ranking:
    """Remove excluded documents from rankings.

    Args:
        ranking: The rankings, deep enough that `depth` documents remain.
        excluded: The documents to remove.
        num_documents: The size of the corpus.
        depth: The number of columns to keep.
    """
    rows = np.arange(len(ranking.positions))[:, None]
    keys = np.where(ranking.positions < 0, -1, ranking.positions + rows * num_documents)
    is_excluded = np.isin(keys, excluded.rows * num_documents + excluded.positions)
    order = np.argsort(is_excluded, axis=1, kind="stable")[:, :depth]  # excluded documents last
    scores = np.where(is_excluded, -np.inf, ranking.scores).astype(np.float32)
    return Ranking(
        np.take_along_axis(scores, order, axis=1),
        np.take_along_axis(np.where(is_excluded, -1, ranking.positions), order, axis=1),
        ranking.recall,
    )
