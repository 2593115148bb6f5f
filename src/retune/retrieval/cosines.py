"""Compute cosine similarities of pairs from unit vectors, and shorten unit vectors."""

import numpy as np

BLOCK_PAIRS = 16384  # limits the memory for the vectors of pairs


def pair_cosines(
    query_embeddings: np.ndarray, document_embeddings: np.ndarray, rows: np.ndarray, positions: np.ndarray
) -> np.ndarray:
    """Return the similarity of each pair of a query and a document.

    Args:
        query_embeddings: (queries, dim) float32 unit vectors.
        document_embeddings: (documents, dim) float32 unit vectors.
        rows: The row of each pair's query, (pairs,).
        positions: The row of each pair's document, (pairs,).

    Returns:
        Similarities, (pairs,) float32.
    """
    scores = np.empty(len(rows), dtype=np.float32)
    for start in range(0, len(rows), BLOCK_PAIRS):
        block = slice(start, start + BLOCK_PAIRS)
        queries, documents = query_embeddings[rows[block]], document_embeddings[positions[block]]
        np.einsum("nd,nd->n", queries, documents, out=scores[block])
    return scores


def shortened(vectors: np.ndarray, dims: int) -> tuple[np.ndarray, np.ndarray]:
    """Keep the first dimensions, for Matryoshka models (arXiv:2205.13147), and scale the vectors to length 1.

    Args:
        vectors: (texts, dim) float32.
        dims: How many dimensions are kept, at most `dim`.

    Returns:
        Unit vectors, (texts, dims), and the rows that are zero in these dimensions and therefore hold no vector.
    """
    head = vectors[:, :dims]
    lengths = np.linalg.norm(head, axis=1, keepdims=True)
    zeros = np.flatnonzero(lengths[:, 0] == 0)
    lengths[zeros] = 1.0
    return np.ascontiguousarray(head / lengths), zeros
