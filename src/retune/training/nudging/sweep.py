"""Score every step size of variant m exactly: between two crossings of documents' scores, no ranking changes."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from retune.training.nudging.choice import Candidates
from retune.training.nudging.directions import Directions
from retune.training.nudging.judgments import RelevantDocuments
from retune.training.nudging.lines import ScoreLines, score_lines
from retune.training.nudging.rank_metrics import score_ranks

MAX_GAMMA = 1000.0  # larger steps leave next to nothing of a document
MIN_WIDTH = 1e-6  # of an interval, relative to 1 + gamma; in narrower ones, rounding to float32 decides the ranking
SAME = 1e-12  # differences of a query's score that come from rounding


class Steps(NamedTuple):
    """A step function of gamma; its values at the steps themselves do not matter, except at gamma = 0.

    Attributes:
        at_zero: The value at gamma = 0, (values,).
        gammas: Where the value changes, ascending, from 0 on, (steps,).
        after: The value after each step, (steps, values).
    """

    at_zero: np.ndarray
    gammas: np.ndarray
    after: np.ndarray


def score_intervals(
    documents: np.ndarray,
    directions: Directions,
    queries: np.ndarray,
    relevant: Sequence[RelevantDocuments],
    metric: tuple[str, int],
) -> Candidates:
    """Score gamma = 0 and the midpoint of every interval in which no ranking of a relevant document changes.

    A document's score is a line in gamma, so the rank of a relevant document changes where another line crosses its
    line. Lines that are equal keep corpus order. Intervals narrower than `MIN_WIDTH` are left out, because rounding to
    float32 would decide the ranking there. So are steps above `MAX_GAMMA`; the last interval counts as three times as
    long as its distance from 0, so that its midpoint is twice the last crossing (as 0 to 1 if there is no crossing).

    Args:
        documents: (documents, dim) float32 unit vectors.
        directions: The directions of the covered documents.
        queries: The dev queries, (queries, dim) float32 unit vectors.
        relevant: Their relevant documents.
        metric: The metric's name and cut-off.
    """
    all_slopes = np.zeros(len(documents), np.float32)
    steps = []
    for line, documents_of_query in zip(score_lines(queries, documents, directions), relevant, strict=True):
        all_slopes[directions.positions] = line.slopes
        steps.append(_score_steps(ScoreLines(line.scores, all_slopes), documents_of_query, metric))
    return _midpoints(_sum(steps), len(queries))


def _score_steps(lines: ScoreLines, relevant: RelevantDocuments, metric: tuple[str, int]) -> Steps:
    """Return the metric of one query and its nDCG as a step function."""
    k = metric[1]
    of_documents = [_rank_steps(lines, position, k) for position in relevant.positions.tolist()]
    gammas = np.unique(np.concatenate([[0.0], *(steps.gammas for steps in of_documents)]))
    ranks = np.empty((1 + len(gammas), len(of_documents)), np.int64)
    for column, steps in enumerate(of_documents):
        ranks[0, column] = steps.at_zero[0]
        ranks[1:, column] = steps.after[np.searchsorted(steps.gammas, gammas, side="right") - 1, 0]
    scores = np.column_stack([score_ranks(ranks, relevant, *key) for key in (metric, ("ndcg", k))])
    is_step = (np.abs(np.diff(scores, axis=0)) > SAME).any(axis=1)
    return Steps(scores[0], gammas[is_step], scores[1:][is_step])


def _rank_steps(lines: ScoreLines, position: int, k: int) -> Steps:
    """Return the rank of one document, counted from 0, or k if it is higher, as a step function with a step at 0."""
    ahead, faster = (np.subtract(part, part[position], dtype=np.float64) for part in lines)
    num_ahead, is_tied = np.count_nonzero(ahead > 0), ahead == 0
    at_zero = num_ahead + np.count_nonzero(is_tied[:position])
    first = num_ahead + np.count_nonzero(is_tied & (faster > 0))
    first += np.count_nonzero(is_tied[:position] & (faster[:position] == 0))  # equal lines
    crossing = np.flatnonzero(ahead * faster < 0)
    gammas = -ahead[crossing] / faster[crossing]
    crossing, gammas = crossing[gammas <= MAX_GAMMA], gammas[gammas <= MAX_GAMMA]
    order = np.argsort(gammas, kind="stable")
    ranks = np.concatenate([[first], first + np.cumsum(np.sign(faster[crossing[order]]).astype(np.int64))])
    ranks = np.minimum(ranks, k)
    is_step = np.concatenate([[True], np.diff(ranks) != 0])
    return Steps(np.minimum([at_zero], k), np.concatenate([[0.0], gammas[order]])[is_step], ranks[is_step, None])


def _sum(functions: Sequence[Steps]) -> Steps:
    """Return the sum of step functions."""
    changes = [np.diff(steps.after, axis=0, prepend=steps.at_zero[None]) for steps in functions]
    gammas, place = np.unique(np.concatenate([steps.gammas for steps in functions]), return_inverse=True)
    summed = np.zeros((len(gammas), 2))
    np.add.at(summed, place, np.concatenate(changes))
    at_zero = np.sum([steps.at_zero for steps in functions], axis=0)
    return Steps(at_zero, gammas, at_zero + np.cumsum(summed, axis=0))


def _midpoints(total: Steps, num_queries: int) -> Candidates:
    """Return gamma = 0 and the midpoints of the intervals that are wide enough."""
    starts, after = total.gammas, total.after
    if not len(starts) or starts[0] > 0.0:
        starts, after = np.insert(starts, 0, 0.0), np.insert(after, 0, total.at_zero, axis=0)
    last = min(3 * starts[-1], MAX_GAMMA) if starts[-1] else 1.0
    ends = np.append(starts[1:], last)
    is_wide = ends - starts >= MIN_WIDTH * (1 + starts)
    gammas = np.concatenate([[0.0], (starts + ends)[is_wide] / 2])
    scores, ndcg = np.concatenate([total.at_zero[None], after[is_wide]]).T / num_queries
    return Candidates(gammas, scores, ndcg)
