"""The plan of a training: every batch follows from the seed and its number, so training can resume at any batch."""

import copy
import logging
from dataclasses import dataclass

import numpy as np

from retune.core.errors import InputError
from retune.core.records import Mined
from retune.core.seeds import generator
from retune.params.finetune import Finetune
from retune.training.batches.examples import Examples, ScoredDocuments, check_negatives, check_scores, read_examples
from retune.training.batches.order import BatchOrder
from retune.training.guide import Guide

SAMPLED = 100  # batches in which the documents that a guide masks are counted
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingBatch:
    """Queries, and the distinct documents they are compared with.

    Attributes:
        queries: Positions in `Plan.queries`, (queries,).
        documents: Positions in `Plan.documents`, (documents,), without repeats.
        groups: Columns of a query's positive and hard negatives, (queries, 1 + hard_negatives).
        is_compared: Whether a query is compared with a document, (queries, documents) bool: true for its positive and
            its negatives, false for other documents that answer it.
        scores: The stored scores of the documents in `groups`, (queries, 1 + hard_negatives) float32.
        source: The number of the source that all of its pairs come from.
    """

    queries: np.ndarray
    documents: np.ndarray
    groups: np.ndarray
    is_compared: np.ndarray
    scores: np.ndarray
    source: int


class Plan:
    """Divides the examples into batches: each pair of a query and a positive once per epoch, negatives drawn anew.

    If the examples come from several sources, the pairs of a batch come from one of them, and the sources' weights
    determine how often a pair comes; see `BatchOrder`. With loss cosent, each negative of a query forms a pair with it,
    like each positive.

    Attributes:
        examples: The examples.
        query_ids: The id of each query.
        queries: For each query, its text, and its prompt or None.
        documents: The distinct texts of documents.
        num_batches: The number of batches in an epoch.
    """

    def __init__(self, mined: Mined, params: Finetune, *, seed: int) -> None:
        """Read the examples, and divide them into batches.

        Raises:
            InputError: There is no query; a query has no positive, too few mined negatives, or not one score per
                document; or a source has too few documents or pairs.
        """
        self._params, self._seed = params, seed
        self._guide: Guide | None = None
        self.examples = examples = read_examples(mined)
        check_negatives(examples, params)
        self.query_ids, self.queries, self.documents = examples.query_ids, examples.queries, examples.documents
        self._pair_queries, self._pair_documents = _pairs(examples, params)
        self._order = BatchOrder(examples.sources[self._pair_queries], examples.weights, params, seed=seed)
        self.num_batches = self._order.num_batches
        _check_pairs(examples, self._order.pairs_of, self._pair_documents, params)

    def batch(self, number: int) -> TrainingBatch:
        """Return a batch by its number, which counts from 0 over all epochs."""
        epoch, pairs = number // self.num_batches, self._order.pairs(number)
        queries, positives = self._pair_queries[pairs], self._pair_documents.select(pairs)
        negatives = [self._hard_negatives(epoch, query) for query in queries.tolist()]
        groups = np.column_stack([positives.positions, np.stack([drawn.positions for drawn in negatives])])
        scores = np.column_stack([positives.scores, np.stack([drawn.scores for drawn in negatives])])
        source = int(self.examples.sources[queries[0]])
        random = self._random_negatives(number, source=source)
        documents = np.unique(np.concatenate([groups.ravel(), random]))
        columns = np.searchsorted(documents, groups)
        is_compared = self._is_compared(queries, documents, columns, random)
        return TrainingBatch(queries, documents, columns, is_compared, scores, source)

    def guided_by(self, guide: Guide) -> "Plan":
        """Return a plan that masks documents which the guide takes for answers; log how many, in the first batches."""
        guided = copy.copy(self)
        guided._guide = guide
        before = self._num_comparisons()
        share = 1 - guided._num_comparisons() / max(before, 1)
        LOG.info("the guide masks %.2f%% of %d comparisons with other documents", 100 * share, before)
        return guided

    def _num_comparisons(self) -> int:
        """Count the documents that queries of the first batches are compared with, besides their positives."""
        batches = map(self.batch, range(min(self.num_batches, SAMPLED)))
        return sum(int(batch.is_compared.sum()) - len(batch.queries) for batch in batches)

    def _is_compared(
        self, queries: np.ndarray, documents: np.ndarray, groups: np.ndarray, random: np.ndarray
    ) -> np.ndarray:
        if self._params.in_batch_negatives:
            is_compared = np.ones((len(queries), len(documents)), dtype=bool)
        else:
            is_compared = np.repeat(np.isin(documents, random)[None, :], len(queries), axis=0)
            np.put_along_axis(is_compared, groups, True, axis=1)
        for row, query in enumerate(queries.tolist()):
            answers = self.examples.answers[query]
            columns = np.minimum(np.searchsorted(documents, answers), len(documents) - 1)
            is_compared[row, columns[documents[columns] == answers]] = False
        if self._guide is not None:
            is_compared &= self._guide.allows(queries, documents, groups)
        np.put_along_axis(is_compared, groups[:, :1], True, axis=1)
        return is_compared

    def _hard_negatives(self, epoch: int, query: int) -> ScoredDocuments:
        """Draw a query's hard negatives in an epoch."""
        negatives = self.examples.negatives[query]
        rng = generator(self._seed, f"negatives of {self.query_ids[query]} in epoch {epoch}")
        return negatives.select(rng.permutation(len(negatives.positions))[: self._params.hard_negatives])

    def _random_negatives(self, number: int, *, source: int) -> np.ndarray:
        """Draw a batch's random negatives from the documents of its source; return their positions."""
        documents = self.examples.source_documents[source]
        rng = generator(self._seed, f"random negatives of batch {number}")
        drawn: np.ndarray = documents[rng.choice(len(documents), size=self._params.random_negatives, replace=False)]
        return drawn


def _pairs(examples: Examples, params: Finetune) -> tuple[np.ndarray, ScoredDocuments]:
    """Return the query of each pair, (pairs,), and the document of each pair with its score."""
    sides = [examples.positives, examples.negatives] if params.loss == "cosent" else [examples.positives]
    found = [[side[query] for side in sides] for query in range(len(examples.queries))]
    queries = np.repeat(np.arange(len(found)), [sum(len(part.positions) for part in parts) for parts in found])
    flat = [part for parts in found for part in parts]
    positions, scores = (np.concatenate([getattr(part, name) for part in flat]) for name in ("positions", "scores"))
    return queries, ScoredDocuments(positions, scores)


def _check_pairs(examples: Examples, pairs_of: np.ndarray, documents: ScoredDocuments, params: Finetune) -> None:
    """Check that every source fills a batch, and that a loss on the order of scores has scores to order."""
    counts = zip(examples.source_names, examples.source_documents, pairs_of, strict=True)
    for name, source_documents, num_pairs in counts:
        if len(source_documents) < 2 or num_pairs < params.batch_size:
            raise InputError(
                f"{name}: expected at least 2 documents and {params.batch_size} pairs for a batch, "
                f"got {len(source_documents)} and {num_pairs}; convert more data, or lower batch_size"
            )
    if params.loss in ("kl", "infonce_kl", "margin_mse"):
        check_scores(examples)
    if params.loss == "cosent" and np.ptp(documents.scores) == 0:
        raise InputError(
            "loss cosent: expected pairs with different scores, "
            f"got {documents.scores[0]:g} for all of them; use infonce, or mine with negatives"
        )
