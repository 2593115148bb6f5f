"""Systems of two models: a cross-encoder that reorders what another model finds, and rankings that are fused."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from retune.core.records import document_texts
from retune.params.fuse import Fuse
from retune.params.search import Search
from retune.retrieval.cross_encoder import CrossEncoderScorer
from retune.retrieval.ranking import Pairs, Ranking, Retriever, ranked

RRF_CONSTANT = 60  # of the paper


class RerankingRetriever:
    """Ranks with a first stage, and reorders its `k` best documents by the scores of a cross-encoder.

    The cross-encoder reads the texts without prompts, as in mining. A document below the `k` best keeps its place: its
    score is the lowest of theirs, minus how far it lies below the last of them in the first stage.
    """

    def __init__(
        self, first: Retriever, scorer: CrossEncoderScorer, corpus: pd.DataFrame, queries: pd.DataFrame, *, k: int
    ) -> None:
        """Take the two models.

        Args:
            first: The first stage, of the same corpus and queries.
            scorer: The cross-encoder.
            corpus: `doc_id`, `title`, `text`.
            queries: `query_id`, `text`, `prompt`.
            k: The number of documents that the cross-encoder scores for each query.
        """
        self._first, self._scorer, self._k = first, scorer, k
        self._documents, self._queries = document_texts(corpus), [str(text) for text in queries["text"]]

    @property
    def share_truncated(self) -> float:
        """The share of the pairs scored so far that were cut to the cross-encoder's maximum length."""
        return self._scorer.truncated["pairs"] / max(1, self._scorer.num_scored)

    def top_k(self, k: int, search: Search, *, seed: int, excluded: Pairs | None = None) -> Ranking:
        """Return the `k` best documents of each query; excluded ones are not scored either."""
        found = self._first.top_k(max(k, self._k), search, seed=seed, excluded=excluded)
        return self._reordered(found).best(k)

    def rank(self, candidates: Pairs) -> Ranking:
        """Rank the candidates of each query: its best by the cross-encoder, the others below them."""
        return self._reordered(self._first.rank(candidates))

    def _reordered(self, found: Ranking) -> Ranking:
        head = found.best(self._k)
        is_found = head.positions >= 0
        rows, columns = np.nonzero(is_found)
        texts = [self._documents[position] for position in head.positions[rows, columns]]
        scores = np.full(head.scores.shape, -np.inf, dtype=np.float32)
        scores[rows, columns] = self._scorer.score([self._queries[row] for row in rows], texts)
        order = np.argsort(-scores, axis=1, kind="stable")  # documents with equal scores keep the first stage's order
        lowest = np.where(is_found, scores, np.inf).min(axis=1, keepdims=True, initial=np.inf)
        return found._replace(
            scores=np.hstack([np.take_along_axis(scores, order, axis=1), _below(lowest, found, self._k)]),
            positions=np.hstack([np.take_along_axis(head.positions, order, axis=1), found.positions[:, self._k :]]),
        )


def _below(lowest: np.ndarray, found: Ranking, k: int) -> np.ndarray:
    """Return scores for the documents below the first `k`, at most `lowest`, (queries, 1), in unchanged order."""
    scores = found.scores[:, k:].copy()
    rows, columns = np.nonzero(found.positions[:, k:] >= 0)
    if len(rows):
        distances = found.scores[rows, k - 1] - found.scores[rows, k + columns]
        scores[rows, columns] = lowest[rows, 0] - distances
    return scores


class FusionRetriever:
    """Adds up what two models make of a document: reciprocal ranks, or scores that are scaled for each query.

    `rrf` is reciprocal rank fusion (Cormack et al., SIGIR 2009): weight / (60 + rank), with ranks from 1; documents
    with equal scores share the best of their ranks, so that their order in the corpus does not count. `weighted` is the
    combination of scores of Bruch et al. (arXiv:2210.11934): weight * (score - lowest) / (highest - lowest), the lowest
    and the highest of the documents that the model finds for the query; if all scores are equal, each counts as the
    highest. A document that one of the models does not find gets nothing from it.
    """

    def __init__(self, parts: Sequence[Retriever], entry: Fuse, num_documents: int) -> None:
        """Take the models.

        Args:
            parts: Two retrievers of the same corpus and queries.
            entry: How they are fused.
            num_documents: The size of the corpus.
        """
        self._parts, self._entry, self._num_documents = parts, entry, num_documents
        self._weights = entry.weights or [1.0] * len(parts)

    def top_k(self, k: int, search: Search, *, seed: int, excluded: Pairs | None = None) -> Ranking:
        """Return the `k` best of the documents that either model finds at the depth of the entry."""
        depth = self._entry.depth
        return self._fused([part.top_k(depth, search, seed=seed, excluded=excluded) for part in self._parts]).best(k)

    def rank(self, candidates: Pairs) -> Ranking:
        """Rank the candidates of each query, which both models rank whole, whatever the depth."""
        return self._fused([part.rank(candidates) for part in self._parts])

    def _fused(self, found: Sequence[Ranking]) -> Ranking:
        value = _reciprocal_ranks if self._entry.method == "rrf" else _scaled_scores
        keys, values = [], []
        for ranking, weight in zip(found, self._weights, strict=True):
            rows, columns = np.nonzero(ranking.positions >= 0)
            keys.append(rows * self._num_documents + ranking.positions[rows, columns])
            values.append(weight * value(ranking)[rows, columns])
        distinct, places = np.unique(np.concatenate(keys), return_inverse=True)
        sums = np.bincount(places, np.concatenate(values), minlength=len(distinct)).astype(np.float32)
        pairs = Pairs(*np.divmod(distinct, self._num_documents))
        recalls = [ranking.recall for ranking in found if ranking.recall is not None]
        return ranked(pairs, sums, len(found[0].positions))._replace(recall=min(recalls, default=None))


def _reciprocal_ranks(ranking: Ranking) -> np.ndarray:
    """Return 1 / (60 + rank) of each document, (queries, depth)."""
    scores, columns = ranking.scores, np.arange(ranking.scores.shape[1])
    is_lower = np.ones(scores.shape, dtype=bool)
    is_lower[:, 1:] = scores[:, 1:] < scores[:, :-1]
    ranks = 1 + np.maximum.accumulate(np.where(is_lower, columns, 0), axis=1)
    return 1.0 / (RRF_CONSTANT + ranks)


def _scaled_scores(ranking: Ranking) -> np.ndarray:
    """Return scores from 0, the lowest of a query, to 1, the highest, (queries, depth); meaningless after the last."""
    scores, is_found = ranking.scores.astype(np.float64), ranking.positions >= 0
    lowest = np.where(is_found, scores, np.inf).min(axis=1, keepdims=True, initial=np.inf)
    highest = np.where(is_found, scores, -np.inf).max(axis=1, keepdims=True, initial=-np.inf)
    spread = np.where(highest > lowest, highest - lowest, 1.0)
    return np.where(is_found, np.where(highest > lowest, (scores - lowest) / spread, 1.0), 0.0)
