"""What stored vectors find for a data set's test queries, beside the float32 vectors of the evaluation."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd

from retune.core.records import DECIMALS, Split
from retune.evaluation.exclusions import located, read_excluded, same_ids
from retune.evaluation.metrics import mean_scores, score_ranking
from retune.params.eval import Measuring
from retune.params.search import Torch
from retune.retrieval.ranking import Ranking, drop
from retune.retrieval.retriever import VectorRetriever

K = 10  # documents for a query
CANDIDATES = 40  # nearest documents by bits, of which rescoring keeps the best


class Store(Protocol):
    """Stored vectors that can be searched."""

    def top_k(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return scores, higher is closer, and positions, both (queries, at most k)."""

    def score(self, queries: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Return the inner products of queries with int8 vectors of documents, (queries, documents of each)."""


class Quality(NamedTuple):
    """What is found: nDCG@10, Recall@10, and the share of the 10 nearest float32 vectors that are among the 10."""

    ndcg_at_10: float
    recall_at_10: float
    share_of_float32: float


@dataclass(frozen=True)
class Judged:
    """A data set's test queries, with judgments.

    Attributes:
        test: The test split.
        doc_ids: The ids of the corpus.
        excluded: `query_id`, `doc_id` of the documents that a query may not find.
    """

    test: Split
    doc_ids: pd.Series
    excluded: pd.DataFrame

    @classmethod
    def read(cls, dataset: str, doc_ids: pd.Series, test: Split, params: Measuring, tables: Path) -> "Judged":
        """Read the documents that are excluded as the stage `eval` does; `tables` is the folder of a user's tables."""
        query_ids = test.queries["query_id"]
        excluded = read_excluded(tables, dataset, query_ids, doc_ids)
        if params.exclude_same_id:
            excluded = pd.concat([excluded, same_ids(query_ids, doc_ids)]).drop_duplicates()
        return cls(test, doc_ids, excluded)

    def allowed(self, scores: np.ndarray, positions: np.ndarray, depth: int) -> Ranking:
        """Return rankings of `depth` documents without those that are excluded."""
        excluded = located(self.excluded, self.test.queries["query_id"], self.doc_ids)
        return drop(Ranking(scores, positions), excluded, len(self.doc_ids), depth)

    def depth(self, k: int) -> int:
        """Return how many documents to find so that `k` remain."""
        return k + (int(self.excluded["query_id"].value_counts().max()) if len(self.excluded) else 0)

    def quality(self, positions: np.ndarray, nearest: np.ndarray) -> Quality:
        """Return the quality of rankings, given those of float32."""
        means = mean_scores(score_ranking(positions, self.doc_ids, self.test, [K]))
        shared = sum(len(np.intersect1d(mine, theirs)) for mine, theirs in zip(positions, nearest, strict=True))
        return Quality(means["ndcg_at_10"], means["recall_at_10"], round(shared / max(1, nearest.size), DECIMALS))


def qualities(judged: Judged, retriever: VectorRetriever, store: Store, *, is_binary: bool) -> Iterator[Quality]:
    """Yield the quality of float32 vectors, of those stored, and of bits after rescoring.

    Args:
        judged: The test queries.
        retriever: The vectors in float32.
        store: The stored vectors.
        is_binary: Whether they are bits.
    """
    plain = retriever.top_k(judged.depth(K), Torch(backend="torch"), seed=0)
    nearest = judged.allowed(plain.scores, plain.positions, K).positions
    yield judged.quality(nearest, nearest)
    candidates = judged.allowed(*store.top_k(retriever.queries, judged.depth(CANDIDATES)), CANDIDATES).positions
    yield judged.quality(candidates[:, :K], nearest)
    if is_binary:
        scores = np.where(candidates < 0, -np.inf, store.score(retriever.queries, candidates.clip(0)))
        order = np.lexsort((candidates, -scores), axis=1)[:, :K]
        yield judged.quality(np.take_along_axis(candidates, order, axis=1), nearest)
