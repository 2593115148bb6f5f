"""Exact nearest-neighbour search by inner product."""

import faiss
import numpy as np


def top_k(query_embeddings: np.ndarray, document_embeddings: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return each query's `k` closest documents, closest first; equal scores keep corpus order.

    Args:
        query_embeddings: (queries, dim) float32.
        document_embeddings: (documents, dim) float32.
        k: At most this many; fewer where the corpus is smaller.

    Returns:
        Scores, higher is closer, and document positions, both (queries, min(k, documents)).
    """
    k = min(k, len(document_embeddings))
    scores, positions = faiss.knn(query_embeddings, document_embeddings, k, metric=faiss.METRIC_INNER_PRODUCT)
    order = np.lexsort((positions, -scores), axis=1)
    return np.take_along_axis(scores, order, axis=1), np.take_along_axis(positions, order, axis=1)
