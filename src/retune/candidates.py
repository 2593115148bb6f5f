"""Which documents a query's negatives may be drawn from: slices of rankings, or the corpus at random."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

UNRANKED = -1
SPARE = 4  # random documents drawn for each one wanted: some will be positives, or over a limit


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

    def with_scores(self, score: np.ndarray, key: np.ndarray) -> "Candidates":
        """Return the same pairs with scores and keys, (pairs,) each."""
        return replace(self, score=score, key=key)

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
    """Return the documents at ranks [first, stop) of each ranking; one in several rankings stands once.

    Args:
        rankings: Positions of documents, best first, (queries, depth) each; -1 where a ranking ends early.
        rows: Of the queries.
        first: First rank.
        stop: Past the last rank.
    """
    slices = [ranking[:, first:stop] for ranking in rankings]
    ranks = [np.broadcast_to(np.arange(first, first + part.shape[1]), part.shape) for part in slices]
    document, rank = np.concatenate(slices, axis=1), np.concatenate(ranks, axis=1)
    query = np.broadcast_to(rows[:, None], document.shape)
    found = (document >= 0).ravel()
    candidates = Candidates.of(query.ravel()[found], document.ravel()[found], rank.ravel()[found])
    if len(rankings) == 1:
        return candidates
    by_rank = candidates.take(np.lexsort((candidates.rank, candidates.document, candidates.query)))
    is_repeat = (np.diff(by_rank.query) == 0) & (np.diff(by_rank.document) == 0)
    return by_rank.take(np.concatenate([[True], ~is_repeat])[: len(by_rank)])


def at_random(
    rows: np.ndarray,
    rngs: Sequence[np.random.Generator],
    heads: Sequence[np.ndarray],
    *,
    count: int,
    num_documents: int,
) -> Candidates:
    """Draw documents from the whole corpus but the head of a query's ranking, some to spare.

    Args:
        rows: Of the queries.
        rngs: A generator for each query.
        heads: Positions that must not be drawn, for each query.
        count: Negatives wanted of a query.
        num_documents: In the corpus.
    """
    drawn = []
    for rng, head in zip(rngs, heads, strict=True):
        left = max(num_documents - len(head), 1)
        wanted = min(num_documents, -(-SPARE * (count + SPARE) * num_documents // left))
        one = rng.choice(num_documents, size=wanted, replace=False)
        drawn.append(one[~np.isin(one, head)])
    return Candidates.of(np.repeat(rows, [len(one) for one in drawn]), np.concatenate(drawn))
