"""Choose a step size among candidates."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

TOLERANCE = 1e-9  # of a mean score, for sums in another order


@dataclass(frozen=True)
class Candidates:
    """Step sizes and the mean scores of the dev queries with them.

    Attributes:
        gammas: The step sizes, ascending from 0, (candidates,).
        scores: The means of the metric, (candidates,).
        ndcg: The means of nDCG at the metric's cut-off, (candidates,).
    """

    gammas: np.ndarray
    scores: np.ndarray
    ndcg: np.ndarray


@dataclass(frozen=True)
class Choice:
    """A step size, and how it was chosen.

    Attributes:
        gamma: The step size; 0 if no other is better.
        score: The mean of the metric with it.
        base_score: The mean of the metric without a move.
        candidates: How many step sizes were compared, 0 included.
        tied: How many of them had the best mean.
        decided_by: What decided: the metric; among those tied, nDCG; or among those that are tied there, too, `gamma`,
            which means that the smallest was chosen.
    """

    gamma: float
    score: float
    base_score: float
    candidates: int
    tied: int
    decided_by: Literal["metric", "ndcg", "gamma"]


def choose(candidates: Candidates) -> Choice:
    """Choose the step size with the best mean; ties are broken by nDCG, then by the smaller step size."""
    best = np.flatnonzero(candidates.scores >= candidates.scores.max() - TOLERANCE)
    ndcg = candidates.ndcg[best]
    left = best[ndcg >= ndcg.max() - TOLERANCE]
    return Choice(
        gamma=float(candidates.gammas[left[0]]),
        score=float(candidates.scores[left[0]]),
        base_score=float(candidates.scores[0]),
        candidates=len(candidates.gammas),
        tied=len(best),
        decided_by="gamma" if len(left) > 1 else "ndcg" if len(best) > 1 else "metric",
    )
