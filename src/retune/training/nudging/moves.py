"""Move document vectors along their directions."""

import math
from typing import Literal

import numpy as np

from retune.training.nudging.directions import Directions

Variant = Literal["m", "n"]
BLOCK = 8192  # documents moved at once, to limit memory
OPPOSITE = math.pi - 1e-6  # an angle from which no way to turn is shorter than the others


def move(documents: np.ndarray, directions: Directions, gamma: float, variant: Variant) -> np.ndarray:
    """Move each covered document towards its training queries (NUDGE, Zeighami et al., arXiv:2409.02343).

    Variant `m` adds gamma times the direction, so the vectors are no longer unit vectors and must be searched by inner
    product. Variant `n` turns the vector by the angle arccos(1 - gamma / 2), at most as far as its direction, and keeps
    it a unit vector; a document opposite to its direction stays where it is.

    Args:
        documents: (documents, dim) float32 unit vectors.
        directions: The directions of the covered documents.
        gamma: The step size, 0 or more: the length of the step in variant m, at most 4 in variant n. 0 moves nothing.
        variant: `m` or `n`.

    Returns:
        The vectors, (documents, dim) float32; those of documents that are not covered are unchanged, bit for bit.
    """
    moved = documents.copy()
    for start in range(0, len(directions.positions) if gamma else 0, BLOCK):
        positions, vectors = (part[start : start + BLOCK] for part in (directions.positions, directions.vectors))
        moved[positions] = (
            documents[positions] + gamma * vectors if variant == "m" else _turn(documents[positions], vectors, gamma)
        )
    return moved


def angles(documents: np.ndarray, directions: Directions) -> np.ndarray:
    """Return how far each covered document can turn towards its direction, (covered,) float64 radians.

    That is the angle between them, but 0 for a document opposite to its direction.
    """
    found = np.empty(len(directions.positions))
    for start in range(0, len(found), BLOCK):
        block = slice(start, start + BLOCK)
        found[block] = _angles(documents[directions.positions[block]], directions.vectors[block])
    return found


def _angles(documents: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Return what `angles` does, of documents and directions in the same order, (documents, dim) each."""
    one, other = documents.astype(np.float64), vectors.astype(np.float64)
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    found = np.arccos(np.clip(np.einsum("nd,nd->n", one, other) / norms, -1.0, 1.0))
    return np.where(found < OPPOSITE, found, 0.0)


def _turn(documents: np.ndarray, vectors: np.ndarray, gamma: float) -> np.ndarray:
    """Return the documents turned towards their directions, as unit vectors, by spherical interpolation."""
    whole = _angles(documents, vectors)
    angle = np.minimum(whole, math.acos(1 - gamma / 2))
    sine = np.where(whole > 0.0, np.sin(whole), 1.0)
    turned: np.ndarray = np.sin(whole - angle)[:, None] * documents + np.sin(angle)[:, None] * vectors
    turned /= sine[:, None]
    turned[whole == 0.0] = documents[whole == 0.0]
    turned /= np.linalg.norm(turned, axis=1, keepdims=True)
    return turned
