"""The plan of a training: every batch follows from the seed and its number, so training can resume at any batch."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from retune.core.errors import InputError
from retune.core.records import Mined, document_texts
from retune.core.seeds import generator
from retune.params.finetune import Finetune
from retune.training.batches.order import BatchOrder
from retune.training.guide import Guide

SAMPLED = 100  # batches in which the documents that a guide masks are counted
LOG = logging.getLogger(__name__)
Scored = tuple[np.ndarray, np.ndarray]  # positions of documents, and their scores


@dataclass(frozen=True)
class Batch:
    """Queries, and the distinct documents they are compared with.

    Attributes:
        queries: Positions in `Plan.queries`, (queries,).
        documents: Positions in `Plan.documents`, (documents,), without repeats.
        groups: Columns of a query's positive and hard negatives, (queries, 1 + hard_negatives).
        is_compared: Whether a query is compared with a document, (queries, documents) bool: true for its positive and
            its negatives, false for other documents that answer it.
        scores: The stored scores of the documents in `groups`, (queries, 1 + hard_negatives) float32.
    """

    queries: np.ndarray
    documents: np.ndarray
    groups: np.ndarray
    is_compared: np.ndarray
    scores: np.ndarray


class Plan:
    """Divides the examples into batches: each pair of a query and a positive once per epoch, negatives drawn anew.

    Documents of equal text are one document, and queries of equal text share their positives. If the examples come from
    several sources, the pairs of a batch come from one of them, and the sources' weights determine how often a pair
    comes; see `BatchOrder`. With loss cosent, a query's negatives form pairs as its positives do.

    Attributes:
        query_ids: The id of each query.
        queries: For each query, its text, and its prompt or None.
        documents: The distinct texts of documents.
        num_batches: The number of batches in an epoch.
        is_mixture: Whether sources have weights.
    """

    def __init__(self, mined: Mined, params: Finetune, *, seed: int) -> None:
        """Read the examples, and divide them into batches.

        Raises:
            InputError: There is no query; a query has no positive, too few mined negatives, or not one score per
                document; or a source has too few documents or pairs.
        """
        self._params, self._seed = params, seed
        self._guide: Guide | None = None
        self.is_mixture = mined.weights is not None
        self.query_ids: list[str] = mined.examples["query_id"].tolist()
        texts = dict(zip(mined.documents["doc_id"], document_texts(mined.documents), strict=True))
        self.documents = list(dict.fromkeys(texts.values()))
        places = {text: position for position, text in enumerate(self.documents)}
        codes = {doc_id: places[text] for doc_id, text in texts.items()}
        positives, negatives = (_scored(mined.examples, kind, codes) for kind in ("positive", "negative"))
        self._check_positives(positives)
        questions = mined.queries.set_index("query_id").loc[self.query_ids]
        self.queries: list[tuple[str, str | None]] = list(zip(questions["text"], questions["prompt"], strict=True))
        answers: dict[tuple[str, str | None], set[int]] = {}
        for query, (positions, _) in zip(self.queries, positives, strict=True):
            answers.setdefault(query, set()).update(positions.tolist())
        self._answers = [np.array(sorted(answers[query])) for query in self.queries]
        self._negatives = self._without_answers(negatives)
        names = mined.examples["source"].drop_duplicates().tolist()
        self._sources = mined.examples["source"].map(names.index).to_numpy()  # one number per query
        self._pools = self._documents_of_sources(positives, negatives, len(names))
        self._check_negatives(names)
        if params.loss == "cosent":
            positives = [_joined(*both) for both in zip(positives, self._negatives, strict=True)]
        self._rows = np.repeat(np.arange(len(positives)), [len(positions) for positions, _ in positives])  # (pairs,)
        self._positives = np.concatenate([positions for positions, _ in positives])
        self._positive_scores = np.concatenate([scores for _, scores in positives])
        weights = {} if mined.weights is None else mined.weights.set_index("source")["weight"].to_dict()
        weight_of = [weights.get(name, 1.0) for name in names]
        self._order = BatchOrder(self._sources[self._rows], weight_of, params, seed=seed)
        self.num_batches = self._order.num_batches
        self._check_batches(names)

    def batch(self, number: int) -> Batch:
        """Return a batch by its number, which counts from 0 over all epochs."""
        epoch, pairs = number // self.num_batches, self._order.pairs(number)
        queries = self._rows[pairs]
        negatives = [self._drawn(epoch, query) for query in queries.tolist()]
        groups = np.column_stack([self._positives[pairs], np.stack([documents for documents, _ in negatives])])
        scores = np.column_stack([self._positive_scores[pairs], np.stack([values for _, values in negatives])])
        rng = generator(self._seed, f"random negatives of batch {number}")
        pool = self._pools[self._sources[queries[0]]]
        drawn = pool[rng.choice(len(pool), size=self._params.random_negatives, replace=False)]
        documents = np.unique(np.concatenate([groups.ravel(), drawn]))
        columns = np.searchsorted(documents, groups)
        return Batch(queries, documents, columns, self._is_compared(queries, documents, columns, drawn), scores)

    def guide_by(self, guide: Guide) -> None:
        """Mask documents that a guide model takes for answers, and log how many it masks in the first batches."""
        before = self._num_comparisons()
        self._guide = guide
        share = 1 - self._num_comparisons() / max(before, 1)
        LOG.info("the guide masks %.2f%% of %d comparisons with other documents", 100 * share, before)

    def _num_comparisons(self) -> int:
        """Count the documents that queries of the first batches are compared with, besides their positives."""
        batches = map(self.batch, range(min(self.num_batches, SAMPLED)))
        return sum(int(batch.is_compared.sum()) - len(batch.queries) for batch in batches)

    def candidates(self, query: int) -> tuple[Scored, Scored]:
        """Return a query's positives, and its mined negatives except those with the text of a positive."""
        pairs = slice(*np.searchsorted(self._rows, [query, query + 1]))
        return (self._positives[pairs], self._positive_scores[pairs]), self._negatives[query]

    def _is_compared(
        self, queries: np.ndarray, documents: np.ndarray, groups: np.ndarray, drawn: np.ndarray
    ) -> np.ndarray:
        if self._params.in_batch_negatives:
            is_compared = np.ones((len(queries), len(documents)), dtype=bool)
        else:
            is_compared = np.repeat(np.isin(documents, drawn)[None, :], len(queries), axis=0)
            np.put_along_axis(is_compared, groups, True, axis=1)
        for row, query in enumerate(queries.tolist()):
            columns = np.minimum(np.searchsorted(documents, self._answers[query]), len(documents) - 1)
            is_compared[row, columns[documents[columns] == self._answers[query]]] = False
        if self._guide is not None:
            is_compared &= self._guide.allows(queries, documents, groups)
        np.put_along_axis(is_compared, groups[:, :1], True, axis=1)
        return is_compared

    def _drawn(self, epoch: int, query: int) -> tuple[np.ndarray, np.ndarray]:
        """Return a query's hard negatives in an epoch, and their scores."""
        documents, scores = self._negatives[query]
        rng = generator(self._seed, f"negatives of {self.query_ids[query]} in epoch {epoch}")
        sample = rng.permutation(len(documents))[: self._params.hard_negatives]
        return documents[sample], scores[sample]

    def _without_answers(self, negatives: list[Scored]) -> list[Scored]:
        """Leave out mined negatives with the text of a positive of the query, or of a query with the same text."""
        is_other = [~np.isin(positions, self._answers[query]) for query, (positions, _) in enumerate(negatives)]
        if num_answers := sum(int((~mask).sum()) for mask in is_other):
            LOG.warning("%d mined negatives left out: they have the text of a positive of their query", num_answers)
        return [(positions[mask], scores[mask]) for (positions, scores), mask in zip(negatives, is_other, strict=True)]

    def _documents_of_sources(
        self, positives: list[Scored], negatives: list[Scored], num_sources: int
    ) -> list[np.ndarray]:
        """Return the positions of the documents in the examples of each source."""
        named = [np.concatenate([first, second]) for (first, _), (second, _) in zip(positives, negatives, strict=True)]
        members = ([named[row] for row in np.flatnonzero(self._sources == source)] for source in range(num_sources))
        return [np.unique(np.concatenate(positions)) for positions in members]

    def _check_positives(self, positives: list[Scored]) -> None:
        bare = [name for name, (positions, _) in zip(self.query_ids, positives, strict=True) if not len(positions)]
        if bare or not positives:
            first = f", first: {bare[0]!r}" if bare else ""
            raise InputError(
                f"expected training queries that all have a positive, got {len(positives)} queries, {len(bare)} of "
                f"them without one{first}; mine again, or convert more data"
            )

    def _check_negatives(self, names: Sequence[str]) -> None:
        wanted = self._params.hard_negatives
        counts = zip(self.query_ids, self._negatives, strict=True)
        short = [query_id for query_id, (positions, _) in counts if len(positions) < wanted]
        if short:
            raise InputError(
                f"hard_negatives: expected {wanted} mined negatives per query, got fewer for {len(short)} of "
                f"{len(self.query_ids)} queries, first: {short[0]!r}; lower hard_negatives, or mine more"
            )
        for name, pool in zip(names, self._pools, strict=True):
            if self._params.random_negatives > len(pool):
                raise InputError(
                    f"random_negatives: expected at most {len(pool)}, the number of documents of {name!r}, "
                    f"got {self._params.random_negatives}; lower random_negatives"
                )

    def _check_batches(self, names: Sequence[str]) -> None:
        for name, pool, pairs in zip(names, self._pools, self._order.pairs_of, strict=True):
            if len(pool) < 2 or pairs < self._params.batch_size:
                raise InputError(
                    f"{name}: expected at least 2 documents and {self._params.batch_size} pairs for a batch, "
                    f"got {len(pool)} and {pairs}; convert more data, or lower batch_size"
                )
        if self._params.loss == "cosent" and np.ptp(self._positive_scores) == 0:
            raise InputError(
                "loss cosent: expected pairs with different scores, "
                f"got {self._positive_scores[0]:g} for all of them; use infonce, or mine with negatives"
            )


def _joined(first: Scored, second: Scored) -> Scored:
    return np.concatenate([first[0], second[0]]), np.concatenate([first[1], second[1]])


def _scored(examples: pd.DataFrame, kind: str, codes: Mapping[str, int]) -> list[Scored]:
    """Return each query's documents of a kind, by position, and their scores; of equal texts, only the first."""
    scored = []
    columns = (examples[name].tolist() for name in ("query_id", f"{kind}_ids", f"{kind}_scores"))
    for query_id, ids, scores in zip(*columns, strict=True):
        if len(ids) != len(scores):
            expected = f"expected a score for each of {len(ids)} {kind}_ids"
            raise InputError(f"{query_id}: {expected}, got {len(scores)}; mine again")
        positions = np.array([codes[doc_id] for doc_id in ids], dtype=np.int64)
        first = np.sort(np.unique(positions, return_index=True)[1])
        scored.append((positions[first], np.asarray(scores, dtype=np.float32)[first]))
    return scored
