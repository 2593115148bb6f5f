"""From which score on is the best document of a query right as often as a stated precision asks?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from retune.core.records import document_texts, read_corpus, read_split

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
        precision: The share of answered queries whose best document is relevant; None if none is answered.
        share: The share of all queries that are answered.
    """

    threshold: float
    precision: float | None
    share: float


@dataclass(frozen=True)
class Shift:
    """Thresholds before and after tuning.

    Attributes:
        dataset: The data set of the dev queries.
        queries: Their number.
        precision: The wanted precision.
        base: What the base's threshold gives with the base; None if no threshold reaches the precision.
        tuned: The same of the tuned model.
        kept: What the base's threshold gives with the tuned model.
    """

    dataset: str
    queries: int
    precision: float
    base: Answered | None
    tuned: Answered | None
    kept: Answered | None


def measure_shift(models: Sequence[Path], dataset: Path, compute: Compute, *, dtype: str, precision: float) -> Shift:
    """Find the thresholds of a base and of a tuned model on the dev queries of a data set.

    Args:
        models: The directories of the base and of the tuned model.
        dataset: The folder of the data set.
        compute: The hardware for encoding.
        dtype: The number format of a model whose own settings say `auto`.
        precision: The wanted precision, in (0, 1].

    Raises:
        InputError: A model or the data set is missing, or a model is made for one data set.
    """
    base, tuned = (best_hits(model, dataset, compute, dtype=dtype) for model in models)
    before, after = (lowest_threshold(hits, precision) for hits in (base, tuned))
    kept = None if before is None else answered(tuned, before.threshold)
    return Shift(dataset.name, len(tuned.scores), precision, before, after, kept)


def best_hits(model: Path, dataset: Path, compute: Compute, *, dtype: str) -> BestHits:
    """Rank the corpus for each dev query, and keep the best document."""
    from retune.encoding.encoder import Encoder
    from retune.retrieval.exact import top_k

    corpus, dev = read_corpus(dataset), read_split(dataset, "dev")
    encoder = Encoder.load(model, compute, dtype=dtype)
    if dev.queries.empty:
        return BestHits(np.zeros(0), np.zeros(0, dtype=bool))
    documents = encoder.encode_documents(document_texts(corpus), ids=corpus["doc_id"].tolist())
    texts, prompts, ids = (dev.queries[column].tolist() for column in ("text", "prompt", "query_id"))
    scores, positions = top_k(encoder.encode_queries(texts, prompts, ids=ids), documents, 1, device=encoder.device)
    judged = dev.qrels[dev.qrels["relevance"] > 0]
    relevant = set(zip(judged["query_id"], judged["doc_id"], strict=True))
    found = zip(ids, corpus["doc_id"].to_numpy()[positions[:, 0]], strict=True)
    return BestHits(scores[:, 0].astype(float).round(DECIMALS), np.array([pair in relevant for pair in found]))


def lowest_threshold(hits: BestHits, precision: float) -> Answered | None:
    """Return the lowest score from which on the best documents have a precision; None if there is none."""
    reached = (answered(hits, threshold) for threshold in np.unique(hits.scores))  # in ascending order
    return next((row for row in reached if row.precision is not None and row.precision >= precision), None)


def answered(hits: BestHits, threshold: float) -> Answered:
    """Return what happens if only queries with a score of at least `threshold` are answered."""
    is_answered = hits.scores >= threshold
    precision = float(hits.is_relevant[is_answered].mean()) if is_answered.any() else None
    return Answered(float(threshold), precision, float(is_answered.mean()))
