"""The batches of a run, each known from the seed and its number alone, so that a run can be taken up anywhere."""

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

SAMPLED = 100  # batches, to tell what a guide leaves out
LOG = logging.getLogger(__name__)
Scored = tuple[np.ndarray, np.ndarray]  # positions of documents, and their scores


@dataclass(frozen=True)
class Batch:
    """Queries and the distinct documents they are compared with.

    Attributes:
        queries: Positions in `Plan.queries`, (queries,).
        documents: Positions in `Plan.documents`, (documents,), none twice.
        groups: Columns of a query's positive and its own negatives, (queries, 1 + hard_negatives).
        is_compared: Whether a document counts for a query, (queries, documents) bool: its positive and its negatives,
            but no other document that answers it.
        scores: What the mining recipe's scorer gave the documents of `groups`, (queries, 1 + hard_negatives) float32.
    """

    queries: np.ndarray
    documents: np.ndarray
    groups: np.ndarray
    is_compared: np.ndarray
    scores: np.ndarray


class Plan:
    """Every pair of a query and a positive once an epoch, shuffled, with negatives drawn anew each time.

    Documents of equal text are one document, and queries of equal text share their positives. Where examples come from
    several sources a batch has pairs of one, and their weights say how often a pair comes; see `BatchOrder`. With
    loss cosent a query's negatives make pairs like its positives.

    Attributes:
        query_ids: Of each query.
        queries: What the model reads of each query but its prefix: text and prompt or None.
        documents: Distinct texts.
        num_batches: Of an epoch.
        is_mixture: Whether sources have weights.
    """

    def __init__(self, mined: Mined, params: Finetune, *, seed: int) -> None:
        """Take the examples; `params` size the batches.

        Raises:
            InputError: There is no query, one has no positive, fewer mined negatives than asked for or not as many
                scores as documents, or a source is not enough for a batch.
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
        for query, (own, _) in zip(self.queries, positives, strict=True):
            answers.setdefault(query, set()).update(own.tolist())
        self._answers = [np.array(sorted(answers[query])) for query in self.queries]
        self._negatives = self._without_answers(negatives)
        names = mined.examples["source"].drop_duplicates().tolist()
        self._sources = mined.examples["source"].map(names.index).to_numpy()  # a number a query
        self._pools = self._documents_of_sources(positives, negatives, len(names))
        self._check_negatives(names)
        if params.loss == "cosent":
            positives = [_joined(*both) for both in zip(positives, self._negatives, strict=True)]
        self._rows = np.repeat(np.arange(len(positives)), [len(own) for own, _ in positives])  # a query a pair
        self._positives = np.concatenate([own for own, _ in positives])
        self._positive_scores = np.concatenate([scores for _, scores in positives])
        weights = {} if mined.weights is None else mined.weights.set_index("source")["weight"].to_dict()
        weight_of = [weights.get(name, 1.0) for name in names]
        self._order = BatchOrder(self._sources[self._rows], weight_of, params, seed=seed)
        self.num_batches = self._order.num_batches
        self._check_batches(names)

    def batch(self, number: int) -> Batch:
        """Return a batch by its number, counted from 0 over all epochs."""
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
        """Leave out what a second model takes for an answer, and tell how much of the first batches that is."""
        before = self._num_comparisons()
        self._guide = guide
        share = 1 - self._num_comparisons() / max(before, 1)
        LOG.info("the guide leaves out %.2f%% of %d comparisons with other documents", 100 * share, before)

    def _num_comparisons(self) -> int:
        """Count the documents that queries of the first batches are compared with, besides their own positives."""
        batches = map(self.batch, range(min(self.num_batches, SAMPLED)))
        return sum(int(batch.is_compared.sum()) - len(batch.queries) for batch in batches)

    def candidates(self, query: int) -> tuple[Scored, Scored]:
        """Return a query's positives and all of its mined negatives but those that have the text of an answer."""
        own = slice(*np.searchsorted(self._rows, [query, query + 1]))
        return (self._positives[own], self._positive_scores[own]), self._negatives[query]

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
        """Return a query's own negatives in an epoch, and their scores."""
        documents, scores = self._negatives[query]
        rng = generator(self._seed, f"negatives of {self.query_ids[query]} in epoch {epoch}")
        places = rng.permutation(len(documents))[: self._params.hard_negatives]
        return documents[places], scores[places]

    def _without_answers(self, negatives: list[Scored]) -> list[Scored]:
        """Leave out mined negatives whose text answers the query, or one of the same text."""
        is_other = [~np.isin(own, self._answers[query]) for query, (own, _) in enumerate(negatives)]
        if num_answers := sum(int((~each).sum()) for each in is_other):
            LOG.warning("%d mined negatives have the text of an answer to their query; left out", num_answers)
        return [(own[each], scores[each]) for (own, scores), each in zip(negatives, is_other, strict=True)]

    def _documents_of_sources(
        self, positives: list[Scored], negatives: list[Scored], num_sources: int
    ) -> list[np.ndarray]:
        """Return the positions of the documents that the examples of each source name."""
        named = [np.concatenate([own, other]) for (own, _), (other, _) in zip(positives, negatives, strict=True)]
        members = ([named[row] for row in np.flatnonzero(self._sources == source)] for source in range(num_sources))
        return [np.unique(np.concatenate(own)) for own in members]

    def _check_positives(self, positives: list[Scored]) -> None:
        bare = [name for name, (own, _) in zip(self.query_ids, positives, strict=True) if not len(own)]
        if bare or not positives:
            first = f", first: {bare[0]!r}" if bare else ""
            raise InputError(
                f"expected training queries with a positive each, got {len(positives)} queries, {len(bare)} of them "
                f"without{first}; mine again, or convert more data"
            )

    def _check_negatives(self, names: Sequence[str]) -> None:
        wanted = self._params.hard_negatives
        short = [name for name, (own, _) in zip(self.query_ids, self._negatives, strict=True) if len(own) < wanted]
        if short:
            raise InputError(
                f"hard_negatives: expected {wanted} mined negatives a query, {len(short)} of {len(self.query_ids)} "
                f"have fewer, first: {short[0]!r}; lower hard_negatives or mine more"
            )
        for name, pool in zip(names, self._pools, strict=True):
            if self._params.random_negatives > len(pool):
                raise InputError(
                    f"random_negatives: expected at most the {len(pool)} documents of {name!r}, "
                    f"got {self._params.random_negatives}"
                )

    def _check_batches(self, names: Sequence[str]) -> None:
        for name, pool, pairs in zip(names, self._pools, self._order.pairs_of, strict=True):
            if len(pool) < 2 or pairs < self._params.batch_size:
                raise InputError(
                    f"{name}: expected two documents and a batch of {self._params.batch_size} pairs or more, "
                    f"got {len(pool)} and {pairs}; convert more data, or lower batch_size"
                )
        if self._params.loss == "cosent" and np.ptp(self._positive_scores) == 0:
            raise InputError(
                f"loss: cosent expects pairs of different scores, all have {self._positive_scores[0]:g}; "
                "take infonce, or mine with negatives"
            )


def _joined(first: Scored, second: Scored) -> Scored:
    return np.concatenate([first[0], second[0]]), np.concatenate([first[1], second[1]])


def _scored(examples: pd.DataFrame, kind: str, codes: Mapping[str, int]) -> list[Scored]:
    """Return each query's documents of a kind, by position, and their scores; of equal texts the first."""
    found = []
    columns = (examples[name].tolist() for name in ("query_id", f"{kind}_ids", f"{kind}_scores"))
    for query_id, ids, scores in zip(*columns, strict=True):
        if len(ids) != len(scores):
            expected = f"expected a score for each of {len(ids)} {kind}_ids"
            raise InputError(f"{query_id}: {expected}, got {len(scores)}; mine again")
        positions = np.array([codes[doc_id] for doc_id in ids], dtype=np.int64)
        first = np.sort(np.unique(positions, return_index=True)[1])
        found.append((positions[first], np.asarray(scores, dtype=np.float32)[first]))
    return found
