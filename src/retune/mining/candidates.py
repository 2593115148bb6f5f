"""Candidates for a query's negatives: slices of rankings, or random documents of the corpus."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

UNRANKED = -1


@dataclass(frozen=True)
class NegativeCandidates:
    """Pairs of a query and a document that may become its negative; all arrays are (pairs,).

    Attributes:
        query: The row of the query.
        document: The position of the document.
        rank: The document's rank in its ranking, counted from 0; -1 if it comes from no ranking.
        score: The score that the scorer gives the pair; higher is closer.
        key: Determines the order in which a query takes its candidates, lowest first.
        origin: The number of the origin that a negative was taken from; 0 before it is taken.
    """

    query: np.ndarray
    document: np.ndarray
    rank: np.ndarray
    score: np.ndarray
    key: np.ndarray
    origin: np.ndarray

    def __len__(self) -> int:
        return len(self.query)

    def take(self, chosen: np.ndarray) -> "NegativeCandidates":
        """Return the candidates at given positions, or those where a mask is true."""
        return NegativeCandidates(*(getattr(self, field.name)[chosen] for field in fields(self)))

    @classmethod
    def of(cls, query: np.ndarray, document: np.ndarray, rank: np.ndarray | None = None) -> "NegativeCandidates":
        """Return candidates without scores; their keys keep the given order."""
        pairs = len(query)
        rank = np.full(pairs, UNRANKED) if rank is None else rank
        return cls(
            query, document, rank, np.zeros(pairs, np.float32), np.arange(pairs, dtype=float), np.zeros(pairs, np.int64)
        )  # fmt: skip

    @classmethod
    def join(cls, pieces: Sequence["NegativeCandidates"]) -> "NegativeCandidates":
        """Concatenate several sets of candidates."""
        return cls(*(np.concatenate([getattr(piece, field.name) for piece in pieces]) for field in fields(cls)))


def ranked(rankings: Sequence[np.ndarray], rows: np.ndarray, first: int, stop: int) -> NegativeCandidates:
    """Return the documents whose best rank in any ranking is in [first, stop), each once.

    Args:
        rankings: For each ranking, positions of documents, best first, (queries, depth); -1 where a ranking ends early.
        rows: The rows of the queries.
        first: The first rank.
        stop: The rank after the last one.
    """
    heads = [ranking[:, :stop] for ranking in rankings]
    ranks = [np.broadcast_to(np.arange(head.shape[1]), head.shape) for head in heads]
    document, rank = np.concatenate(heads, axis=1).ravel(), np.concatenate(ranks, axis=1).ravel()
    query = np.repeat(rows, sum(head.shape[1] for head in heads))
    candidates = NegativeCandidates.of(query, document, rank).take(document >= 0)
    if len(rankings) > 1:  # each document at its best rank
        candidates = candidates.take(np.lexsort((candidates.rank, candidates.document, candidates.query)))
        is_repeat = (np.diff(candidates.query) == 0) & (np.diff(candidates.document) == 0)
        candidates = candidates.take(np.concatenate([[True], ~is_repeat])[: len(candidates)])
    return candidates.take(candidates.rank >= first)


def at_random(
    rows: np.ndarray, rngs: Mapping[int, np.random.Generator], heads: np.ndarray, *, size: int, num_documents: int
) -> NegativeCandidates:
    """Draw documents from the whole corpus, except those at the head of the query's ranking.

    Args:
        rows: The rows of the queries.
        rngs: A generator for each query, by its row.
        heads: Positions of the documents to leave out, (queries, any number).
        size: How many documents to draw for each query; those in its head are then left out.
        num_documents: The size of the corpus.
    """
    samples = []
    for row, head in zip(rows.tolist(), heads, strict=True):
        sample = rngs[row].choice(num_documents, size=min(size, num_documents), replace=False)
        samples.append(sample[~np.isin(sample, head)])
    return NegativeCandidates.of(np.repeat(rows, [len(sample) for sample in samples]), np.concatenate(samples))
