"""Score the step sizes of variant n on a grid: the angles by which documents turn, every degree from 0 to 90."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from retune.training.nudging.choice import Candidates
from retune.training.nudging.directions import Directions
from retune.training.nudging.judgments import RelevantDocuments
from retune.training.nudging.lines import ScoreLines, score_lines
from retune.training.nudging.moves import angles
from retune.training.nudging.rank_metrics import score_ranks

ANGLES = [math.radians(degrees) for degrees in range(91)]
GAMMAS = [2 - 2 * math.cos(angle) for angle in ANGLES]
TINY = 1e-9  # the sine of an angle is at least this, as a divisor


def score_angles(
    documents: np.ndarray,
    directions: Directions,
    queries: np.ndarray,
    relevant: Sequence[RelevantDocuments],
    metric: tuple[str, int],
) -> Candidates:
    """Score the step sizes 2 - 2 cos(angle), by which `move` turns a document by that angle.

    A document that has turned by an angle scores cos(angle) times its score plus sin(angle) times the score of the part
    of its direction that is at right angles to it; so no vector needs to be moved. Documents with equal scores keep
    corpus order.

    Args:
        documents: (documents, dim) float32 unit vectors.
        directions: The directions of the covered documents.
        queries: The dev queries, (queries, dim) float32 unit vectors.
        relevant: Their relevant documents.
        metric: The metric's name and cut-off.
    """
    turns = _Turns(documents, directions)
    totals = np.zeros((2, len(ANGLES)))
    for lines, documents_of_query in zip(score_lines(queries, documents, directions), relevant, strict=True):
        ranks = turns.ranks(lines, documents_of_query.positions)
        totals += [score_ranks(ranks, documents_of_query, *key) for key in (metric, ("ndcg", metric[1]))]
    scores, ndcg = totals / len(queries)
    return Candidates(np.array(GAMMAS), scores, ndcg)


class _Turns:
    """Ranks documents after turns, given a query's scores."""

    def __init__(self, documents: np.ndarray, directions: Directions) -> None:
        self._covered = directions.positions
        self._fixed = np.setdiff1d(np.arange(len(documents)), self._covered, assume_unique=True)
        self._whole = angles(documents, directions)
        self._cosines, self._sines = (part(self._whole).astype(np.float32) for part in (np.cos, np.sin))

    def ranks(self, lines: ScoreLines, positions: np.ndarray) -> np.ndarray:
        """Return the ranks of documents after each turn, counted from 0, (angles, documents)."""
        fixed = lines.scores[self._fixed]
        is_moving = np.isin(positions, self._covered)
        place, place_among_fixed = (np.searchsorted(group, positions) for group in (self._covered, self._fixed))
        ranks = np.empty((len(ANGLES), len(positions)), np.int64)
        for row, scores in zip(ranks, self._scores(lines), strict=True):
            for column, position in enumerate(positions.tolist()):
                score = scores[place[column]] if is_moving[column] else lines.scores[position]
                row[column] = _count_before(scores, place[column], score)
                row[column] += _count_before(fixed, place_among_fixed[column], score)
        return ranks

    def _scores(self, lines: ScoreLines) -> Iterator[np.ndarray]:
        """Yield the scores of the covered documents after each turn, (covered,)."""
        before = lines.scores[self._covered]
        across = (lines.slopes - self._cosines * before) / np.maximum(self._sines, TINY)
        at_end = self._cosines * before + self._sines * across
        for angle in ANGLES:
            yield np.where(self._whole < angle, at_end, math.cos(angle) * before + math.sin(angle) * across)


def _count_before(scores: np.ndarray, place: int, score: np.float32) -> int:
    """Count the documents that rank before one with this score, which is or would be at this place of their order."""
    return int(np.count_nonzero(scores[:place] >= score) + np.count_nonzero(scores[place:] > score))
