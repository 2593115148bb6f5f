"""From which score on is the best document of a query right as often as a stated precision asks?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from retune.core.records import read_corpus, read_split
from retune.params.search import Torch

if TYPE_CHECKING:
    from retune.encoding.compute import Compute

DECIMALS = 4  # of a score


@dataclass(frozen=True)
class BestHits:
    """The best document of each dev query.

    Attributes:
        scores: Its cosine with the query, rounded as a threshold is written, (queries,).
        is_relevant: Whether it is relevant, (queries,).
    """

    scores: np.ndarray
    is_relevant: np.ndarray


@dataclass(frozen=True)
class Answered:
    """What happens if only queries with a score of at least `threshold` are answered.

    Attributes:
        threshold: The lowest score.
        count: How many queries are answered.
        right: How many of them have a relevant best document.
    """

    threshold: float
    count: int
    right: int

    @property
    def precision(self) -> float | None:
        """The share of answered queries whose best document is relevant; None if none is answered."""
        return self.right / self.count if self.count else None

    def interval(self, confidence: float) -> tuple[float, float]:
        """Return the precision's confidence interval (Wilson's score interval); at least one query must be answered."""
        from scipy.stats import binomtest

        found = binomtest(self.right, self.count).proportion_ci(confidence, method="wilson")
        return float(found.low), float(found.high)


@dataclass(frozen=True)
class Shift:
    """Thresholds before and after tuning.

    Attributes:
        dataset: The data set of the dev queries.
        queries: Their number.
        precision: The wanted precision.
        confidence: The confidence of the intervals.
        base: What the base's threshold gives with the base; None if no threshold reaches the precision.
        tuned: The same of the tuned model.
        kept: What the base's threshold gives with the tuned model.
    """

    dataset: str
    queries: int
    precision: float
    confidence: float
    base: Answered | None
    tuned: Answered | None
    kept: Answered | None

    @property
    def fewest_answered(self) -> int:
        """The least number of queries that a threshold of its own model answers."""
        return min((answered.count for answered in (self.base, self.tuned) if answered), default=self.queries)


@dataclass(frozen=True)
class Wanted:
    """Which thresholds are computed.

    Attributes:
        precision: The precision, in (0, 1].
        confidence: The confidence of the intervals.
        dtype: The number format of a model whose own settings say `auto`.
        exclude_same_id: Whether a query never finds the document with the same id.
    """

    precision: float
    confidence: float
    dtype: str
    exclude_same_id: bool


def measure_shift(models: Sequence[Path], dataset: Path, compute: Compute, wanted: Wanted) -> Shift:
    """Find the thresholds of a base and of a tuned model on the dev queries of a data set.

    Args:
        models: The directories of the base and of the tuned model.
        dataset: The folder of the data set.
        compute: The hardware for encoding.
        wanted: Which thresholds.

    Raises:
        InputError: A model or the data set is missing.
    """
    base, tuned = (best_hits(model, dataset, compute, wanted) for model in models)
    before, after = (lowest_threshold(hits, wanted.precision) for hits in (base, tuned))
    kept = None if before is None else answered(tuned, before.threshold)
    return Shift(dataset.name, len(tuned.scores), wanted.precision, wanted.confidence, before, after, kept)


def best_hits(model: Path, dataset: Path, compute: Compute, wanted: Wanted) -> BestHits:
    """Rank the corpus for each dev query, and keep the best document."""
    from retune.evaluation.exclusions import located, same_ids
    from retune.retrieval.retriever import VectorFormat, load_retriever

    corpus, dev = read_corpus(dataset), read_split(dataset, "dev")
    if dev.queries.empty:
        return BestHits(np.zeros(0), np.zeros(0, dtype=bool))
    retriever = load_retriever(model, dataset.name, corpus, dev.queries, compute, VectorFormat(dtype=wanted.dtype))
    query_ids, doc_ids = dev.queries["query_id"], corpus["doc_id"]
    excluded = located(same_ids(query_ids, doc_ids), query_ids, doc_ids) if wanted.exclude_same_id else None
    ranking = retriever.top_k(1, Torch(backend="torch"), seed=0, excluded=excluded)
    judged = dev.qrels[dev.qrels["relevance"] > 0]
    relevant = set(zip(judged["query_id"], judged["doc_id"], strict=True))
    found = zip(dev.queries["query_id"], corpus["doc_id"].to_numpy()[ranking.positions[:, 0]], strict=True)
    return BestHits(ranking.scores[:, 0].astype(float).round(DECIMALS), np.array([pair in relevant for pair in found]))


def lowest_threshold(hits: BestHits, precision: float) -> Answered | None:
    """Return the lowest score from which on the best documents have a precision; None if there is none."""
    reached = (answered(hits, threshold) for threshold in np.unique(hits.scores))  # in ascending order
    return next((row for row in reached if row.precision is not None and row.precision >= precision), None)


def answered(hits: BestHits, threshold: float) -> Answered:
    """Return what happens if only queries with a score of at least `threshold` are answered."""
    is_answered = hits.scores >= threshold
    return Answered(float(threshold), int(is_answered.sum()), int(hits.is_relevant[is_answered].sum()))
