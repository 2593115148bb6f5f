"""The direction of each document: towards the training queries that it answers."""

from dataclasses import dataclass

import numpy as np

from retune.training.nudging.judgments import Judgments

BLOCK = 8192  # documents whose queries are summed at once, to limit memory
ZERO_NORM = 1e-6  # a sum of unit vectors that is as short as this consists of rounding errors


@dataclass(frozen=True)
class Directions:
    """The directions of the covered documents; the others have none and never move.

    Attributes:
        positions: The positions of the covered documents in the corpus, ascending, (covered,).
        vectors: Their directions, float32 unit vectors, (covered, dim).
    """

    positions: np.ndarray
    vectors: np.ndarray


def find_directions(queries: np.ndarray, rows: np.ndarray, positions: np.ndarray) -> Directions:
    """Return the normalised sum of the training queries that each document answers.

    It is the direction in which the sum of the document's similarities to these queries grows fastest (NUDGE, Zeighami
    et al., arXiv:2409.02343). A document whose queries add up to zero has no direction.

    Args:
        queries: The vectors of the training queries, (queries, dim) float32 unit vectors.
        rows: The row of each judgment's query, (judgments,).
        positions: The position of each judgment's relevant document, (judgments,); -1 if it is not in the corpus. A
            pair of a query and a document counts once, however often it occurs.
    """
    is_found = positions >= 0
    pairs = np.unique(positions[is_found].astype(np.int64) * len(queries) + rows[is_found])
    documents, rows = np.divmod(pairs, len(queries))
    covered, starts = np.unique(documents, return_index=True)
    ends = np.append(starts, len(rows))
    vectors = np.empty((len(covered), queries.shape[1]), dtype=np.float32)
    for start in range(0, len(covered), BLOCK):
        bounds = ends[start : start + BLOCK + 1]
        summands = queries[rows[bounds[0] : bounds[-1]]]
        vectors[start : start + BLOCK] = np.add.reduceat(summands, bounds[:-1] - bounds[0], axis=0, dtype=np.float64)
    norms = np.linalg.norm(vectors, axis=1)
    vectors /= np.maximum(norms, ZERO_NORM)[:, None]
    has_direction = norms > ZERO_NORM
    if has_direction.all():  # the usual case needs no copy
        return Directions(covered, vectors)
    return Directions(covered[has_direction], vectors[has_direction])


def is_covered(judgments: Judgments, directions: Directions) -> np.ndarray:
    """Return whether each query has a relevant document that is covered, (queries,) bool."""
    rows = judgments.rows[np.isin(judgments.positions, directions.positions)]
    return np.bincount(rows, minlength=judgments.num_queries) > 0
