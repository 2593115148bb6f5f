"""Offers: candidates from one origin, with the rules by which they become negatives."""

from dataclasses import dataclass

import numpy as np

from retune.mining.candidates import NegativeCandidates
from retune.mining.outcome import FILLER
from retune.params.mine import Limits

JUDGED = "judged"  # the origin of documents judged irrelevant
NOTHING = NegativeCandidates.of(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))


@dataclass(frozen=True)
class Offer:
    """Candidates from one origin, and the rules that apply to them.

    Attributes:
        origin: The name of the origin in the audit.
        candidates: The candidates; none yet if they are drawn at random, in several rounds.
        limits: The limits to their scores; None: there are none.
        is_drawn: Whether they are drawn at random, and so taken in the order of the draw instead of being sampled.
        rejects_near_duplicates: Whether near-duplicates of a positive are rejected.
        counts_candidates: Whether the audit counts the candidates that no rule rejects.
        counts_rejected: Whether the audit counts the candidates that a rule rejects.
    """

    origin: str
    candidates: NegativeCandidates = NOTHING
    limits: Limits | None = None
    is_drawn: bool = False
    rejects_near_duplicates: bool = True
    counts_candidates: bool = False
    counts_rejected: bool = True

    @classmethod
    def judged(cls, candidates: NegativeCandidates) -> "Offer":
        """Offer documents judged irrelevant: the judgment counts more than limits or similarity to a positive."""
        return cls(JUDGED, candidates, rejects_near_duplicates=False)

    @classmethod
    def slice(cls, first: int, stop: int, candidates: NegativeCandidates, limits: Limits | None) -> "Offer":
        """Offer the documents in a range of ranks."""
        return cls(f"[{first}, {stop})", candidates, limits, counts_candidates=True)

    @classmethod
    def tail(cls, first: int, limits: Limits | None) -> "Offer":
        """Offer random documents from a rank to the end of the corpus."""
        return cls(f"[{first}, end)", limits=limits, is_drawn=True, counts_candidates=True)

    @classmethod
    def filler(cls) -> "Offer":
        """Offer random documents for queries with too few negatives; most are spare, so rejects are not counted."""
        return cls(FILLER, is_drawn=True, counts_rejected=False)
