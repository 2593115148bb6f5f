"""Cosine similarities of pairs, from unit vectors."""

import numpy as np

PAIRS_A_BLOCK = 16384  # bounds the memory for the vectors of pairs


def pair_cosines(
    query_embeddings: np.ndarray, document_embeddings: np.ndarray, rows: np.ndarray, positions: np.ndarray
) -> np.ndarray:
    """Return the similarity of each pair of a query and a document.

    Args:
        query_embeddings: (queries, dim) float32 unit vectors.
        document_embeddings: (documents, dim) float32 unit vectors.
        rows: Of the queries, (pairs,).
        positions: Of the documents, (pairs,).

    Returns:
        (pairs,) float32.
    """
    scores = np.empty(len(rows), dtype=np.float32)
    for start in range(0, len(rows), PAIRS_A_BLOCK):
        block = slice(start, start + PAIRS_A_BLOCK)
        queries, documents = query_embeddings[rows[block]], document_embeddings[positions[block]]
        np.einsum("nd,nd->n", queries, documents, out=scores[block])
    return scores
