"""Which documents a query's negatives may be drawn from: slices of rankings, or the corpus at random."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

UNRANKED = -1


@dataclass(frozen=True)
class Candidates:
    """Pairs of a query and a document that may become its negative, all arrays (pairs,).

    Attributes:
        query: Row of the query.
        document: Position of the document.
        rank: In the ranking it comes from, from 0; -1 if it comes from none.
        score: By the scorer, higher is closer.
        key: A query takes its candidates in the order of their keys, lowest first.
    """

    query: np.ndarray
    document: np.ndarray
    rank: np.ndarray
    score: np.ndarray
    key: np.ndarray

    def __len__(self) -> int:
        return len(self.query)

    def take(self, chosen: np.ndarray) -> "Candidates":
        """Return those at some positions, or those where a mask is true."""
        return Candidates(*(getattr(self, field.name)[chosen] for field in fields(self)))

    @classmethod
    def of(cls, query: np.ndarray, document: np.ndarray, rank: np.ndarray | None = None) -> "Candidates":
        """Make candidates that have no scores yet, keyed by the order they come in."""
        pairs = len(query)
        rank = np.full(pairs, UNRANKED) if rank is None else rank
        return cls(query, document, rank, np.zeros(pairs, np.float32), np.arange(pairs, dtype=float))

    @classmethod
    def join(cls, pieces: Sequence["Candidates"]) -> "Candidates":
        """Put pieces one after the other."""
        return cls(*(np.concatenate([getattr(piece, field.name) for piece in pieces]) for field in fields(cls)))


def ranked(rankings: Sequence[np.ndarray], rows: np.ndarray, first: int, stop: int) -> Candidates:
    """Return the documents at ranks [first, stop) of any ranking, each once, but those that one has before `first`.

    Args:
        rankings: Positions of documents, best first, (queries, depth) each; -1 where a ranking ends early.
        rows: Of the queries.
        first: First rank.
        stop: Past the last rank.
    """
    heads = [ranking[:, :stop] for ranking in rankings]
    ranks = [np.broadcast_to(np.arange(head.shape[1]), head.shape) for head in heads]
    document, rank = np.concatenate(heads, axis=1).ravel(), np.concatenate(ranks, axis=1).ravel()
    query = np.repeat(rows, sum(head.shape[1] for head in heads))
    candidates = Candidates.of(query, document, rank).take(document >= 0)
    if len(rankings) > 1:  # each document at its best rank
        candidates = candidates.take(np.lexsort((candidates.rank, candidates.document, candidates.query)))
        is_repeat = (np.diff(candidates.query) == 0) & (np.diff(candidates.document) == 0)
        candidates = candidates.take(np.concatenate([[True], ~is_repeat])[: len(candidates)])
    return candidates.take(candidates.rank >= first)


def at_random(
    rows: np.ndarray, rngs: Mapping[int, np.random.Generator], heads: np.ndarray, *, size: int, num_documents: int
) -> Candidates:
    """Draw documents from the whole corpus but the head of a query's ranking.

    Args:
        rows: Of the queries.
        rngs: A generator for each query, by its row.
        heads: Positions that must not be drawn, (queries, any number).
        size: Documents to draw for a query, those in its head included.
        num_documents: In the corpus.
    """
    drawn = []
    for row, head in zip(rows.tolist(), heads, strict=True):
        one = rngs[row].choice(num_documents, size=min(size, num_documents), replace=False)
        drawn.append(one[~np.isin(one, head)])
    return Candidates.of(np.repeat(rows, [len(one) for one in drawn]), np.concatenate(drawn))
