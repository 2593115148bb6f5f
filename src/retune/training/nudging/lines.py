"""Scores of all documents for one query after another: before the move, and along their directions."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

from retune.training.nudging.directions import Directions

TILE = (64, 4096)  # queries and vectors per product: one shape for all, so that equal vectors have equal scores


class ScoreLines(NamedTuple):
    """What one query's scores are made of; the arrays are valid until the next query.

    In variant m, a covered document scores `scores` + gamma * `slopes`.

    Attributes:
        scores: The scores of the unchanged documents, (documents,) float32.
        slopes: The scores of the directions, (covered,) float32.
    """

    scores: np.ndarray
    slopes: np.ndarray


def score_lines(queries: np.ndarray, documents: np.ndarray, directions: Directions) -> Iterator[ScoreLines]:
    """Yield what each query's scores are made of.

    Args:
        queries: (queries, dim) float32.
        documents: (documents, dim) float32.
        directions: The directions of the covered documents.
    """
    scores, slopes = (np.empty((TILE[0], len(vectors)), np.float32) for vectors in (documents, directions.vectors))
    for start in range(0, len(queries), TILE[0]):
        block = _padded(queries[start : start + TILE[0]], TILE[0])
        _multiply(block, documents, scores)
        _multiply(block, directions.vectors, slopes)
        yield from map(ScoreLines, scores[: len(queries) - start], slopes)


def _multiply(queries: torch.Tensor, vectors: np.ndarray, products: np.ndarray) -> None:
    """Write the inner products of all pairs to `products`, (queries, vectors)."""
    for start in range(0, len(vectors), TILE[1]):
        tile = vectors[start : start + TILE[1]]
        product = torch.mm(queries, _padded(tile, TILE[1]).T).numpy()
        products[:, start : start + TILE[1]] = product[:, : len(tile)]


def _padded(rows: np.ndarray, size: int) -> torch.Tensor:
    """Return the rows, followed by zeros up to the size."""
    if len(rows) < size:
        rows = np.concatenate([rows, np.zeros((size - len(rows), rows.shape[1]), np.float32)])
    return torch.from_numpy(rows)
