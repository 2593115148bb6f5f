"""The batches of a run, each known from the seed and its number alone, so that a run can be taken up anywhere."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from retune.errors import InputError
from retune.params.finetune import Finetune
from retune.records import Mined, document_texts
from retune.seeds import generator

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

    Documents of equal text are one document, and queries of equal text share their positives.

    Attributes:
        query_ids: Of each query.
        queries: What the model reads of each query but its prefix: text and prompt or None.
        documents: Distinct texts.
        num_batches: Of an epoch.
    """

    def __init__(self, mined: Mined, params: Finetune, *, seed: int) -> None:
        """Take the examples; `params` size the batches.

        Raises:
            InputError: There is no query, one has no positive, fewer mined negatives than asked for or not as many
                scores as documents, or all of it is not enough for a batch.
        """
        self._params, self._seed = params, seed
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
        self._check_negatives()
        self._rows = np.repeat(np.arange(len(positives)), [len(own) for own, _ in positives])  # a query a pair
        self._positives = np.concatenate([own for own, _ in positives])
        self._positive_scores = np.concatenate([scores for _, scores in positives])
        spare = 0 if params.trainer.get("dataloader_drop_last") else params.batch_size - 1
        self.num_batches = (len(self._rows) + spare) // params.batch_size
        if len(self.documents) < 2 or self.num_batches == 0:
            raise InputError(
                f"expected two documents and a batch of {params.batch_size} pairs or more, "
                f"got {len(self.documents)} and {len(self._rows)}; convert more data, or lower batch_size"
            )

    def batch(self, number: int) -> Batch:
        """Return a batch by its number, counted from 0 over all epochs."""
        epoch, place = divmod(number, self.num_batches)
        size = self._params.batch_size
        pairs = self._order(epoch)[place * size : (place + 1) * size]
        queries = self._rows[pairs]
        negatives = [self._drawn(epoch, query) for query in queries.tolist()]
        groups = np.column_stack([self._positives[pairs], np.stack([documents for documents, _ in negatives])])
        scores = np.column_stack([self._positive_scores[pairs], np.stack([values for _, values in negatives])])
        rng = generator(self._seed, f"random negatives of batch {number}")
        drawn = rng.choice(len(self.documents), size=self._params.random_negatives, replace=False)
        documents = np.unique(np.concatenate([groups.ravel(), drawn]))
        columns = np.searchsorted(documents, groups)
        return Batch(queries, documents, columns, self._is_compared(queries, documents, columns, drawn), scores)

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
        np.put_along_axis(is_compared, groups[:, :1], True, axis=1)
        return is_compared

    @lru_cache(maxsize=2)  # noqa: B019  a plan lives as long as its run
    def _order(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([self._seed, epoch]).permutation(len(self._rows))

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

    def _check_positives(self, positives: list[Scored]) -> None:
        bare = [name for name, (own, _) in zip(self.query_ids, positives, strict=True) if not len(own)]
        if bare or not positives:
            first = f", first: {bare[0]!r}" if bare else ""
            raise InputError(
                f"expected training queries with a positive each, got {len(positives)} queries, {len(bare)} of them "
                f"without{first}; mine again, or convert more data"
            )

    def _check_negatives(self) -> None:
        wanted = self._params.hard_negatives
        short = [name for name, (own, _) in zip(self.query_ids, self._negatives, strict=True) if len(own) < wanted]
        if short:
            raise InputError(
                f"hard_negatives: expected {wanted} mined negatives a query, {len(short)} of {len(self.query_ids)} "
                f"have fewer, first: {short[0]!r}; lower hard_negatives or mine more"
            )
        if self._params.random_negatives > len(self.documents):
            raise InputError(
                f"random_negatives: expected at most the {len(self.documents)} documents of the mined set, "
                f"got {self._params.random_negatives}"
            )


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
