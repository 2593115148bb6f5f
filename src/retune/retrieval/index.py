"""Nearest-neighbour search by the backend chosen in params.yaml, and its recall compared with exact search."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from retune.core.errors import InputError
from retune.params.search import Flat, Graph, InvertedLists, Search, Torch
from retune.retrieval.exact import top_k

SearchFunction = Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]]
"""Takes (queries, dim) embeddings and k; returns scores and positions as `exact.top_k` does.

An approximate index may find fewer than k documents; then the row is filled up with minus infinity and -1.
"""

SAMPLE_PER_LIST = 64  # training documents per centre; faiss warns if there are fewer than 39
SAMPLE_QUERIES = 200  # queries on which recall is measured
GPU_NEIGHBOURS = 2048  # the most that faiss finds on a GPU


def build_index(document_embeddings: np.ndarray, search: Search, device: torch.device) -> SearchFunction:
    """Build an index of the documents and return its search function; equal documents give the same index.

    Args:
        document_embeddings: (documents, dim) float32 unit vectors.
        search: The backend and its settings.
        device: The device of the exact backends and of inverted lists; a graph is always on the CPU.

    Raises:
        InputError: The settings do not fit the number of documents; the search function raises it if they do not fit
            k.
    """
    if isinstance(search, Torch):
        return lambda query_embeddings, k: top_k(query_embeddings, document_embeddings, k, device=device)
    import faiss

    index = _empty_index(document_embeddings, search)
    if device.type == "cuda" and not isinstance(search, Graph) and hasattr(faiss, "StandardGpuResources"):
        index = faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), 0, index)
    _add(index, document_embeddings, search)
    return partial(_search, index, search)


def _empty_index(document_embeddings: np.ndarray, search: Flat | InvertedLists | Graph) -> Any:
    import faiss

    dim = document_embeddings.shape[1]
    if isinstance(search, Flat):
        return faiss.IndexFlatIP(dim)
    if isinstance(search, InvertedLists):
        return _train_lists(document_embeddings, search)
    index = faiss.IndexHNSWFlat(dim, search.links, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction, index.hnsw.efSearch = search.build_depth, search.search_depth
    return index


def _train_lists(document_embeddings: np.ndarray, search: InvertedLists) -> Any:
    """Return an empty index with centres trained on documents that faiss draws with a fixed seed."""
    if search.lists > len(document_embeddings):
        raise InputError(
            f"search: lists: expected at most one for each of {len(document_embeddings):,} documents, "
            f"got {search.lists:,}; use about four times their square root, or backend: torch"
        )
    if search.probes > search.lists:
        raise InputError(f"search: probes: expected at most the {search.lists:,} lists, got {search.probes:,}")
    import faiss

    dim = document_embeddings.shape[1]
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(dim), dim, search.lists, faiss.METRIC_INNER_PRODUCT)
    index.cp.min_points_per_centroid, index.cp.max_points_per_centroid = 1, SAMPLE_PER_LIST
    index.train(document_embeddings)
    index.nprobe = search.probes
    return index


def _add(index: Any, document_embeddings: np.ndarray, search: Search) -> None:
    """Add the documents; to a graph by one thread, as the links would depend on the order of parallel threads."""
    import faiss

    threads = faiss.omp_get_max_threads()
    try:
        faiss.omp_set_num_threads(1 if isinstance(search, Graph) else threads)
        index.add(document_embeddings)
    finally:
        faiss.omp_set_num_threads(threads)


def _search(index: Any, search: Search, query_embeddings: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    k = min(k, index.ntotal)
    if isinstance(search, Graph) and k > search.search_depth:
        raise InputError(
            f"search: search_depth: expected at least {k:,}, the number of neighbours to find, "
            f"got {search.search_depth:,}; raise it"
        )
    if k > GPU_NEIGHBOURS and type(index).__name__.startswith("Gpu"):
        raise InputError(
            f"search: backend: expected at most {GPU_NEIGHBOURS:,} neighbours, the limit of faiss on a GPU, got {k:,}; "
            "use backend: torch, or compute.device: cpu"
        )
    scores, positions = index.search(query_embeddings, k)
    scores[positions < 0] = -np.inf
    order = np.lexsort((positions, -scores), axis=1)
    return np.take_along_axis(scores, order, axis=1), np.take_along_axis(positions, order, axis=1)


def recall(
    find: SearchFunction,
    query_embeddings: np.ndarray,
    document_embeddings: np.ndarray,
    k: int,
    *,
    seed: int,
    device: torch.device,
) -> float:
    """Return the share of the exact neighbours that an index finds, on a sample of at most 200 queries.

    Args:
        find: The search function of `build_index` for the same documents.
        query_embeddings: (queries, dim) float32.
        document_embeddings: (documents, dim) float32.
        k: The number of neighbours per query.
        seed: The seed of the sample.
        device: The device of the exact search.
    """
    rng = np.random.default_rng(seed)
    size = min(SAMPLE_QUERIES, len(query_embeddings))
    sample = query_embeddings[np.sort(rng.choice(len(query_embeddings), size, replace=False))]
    _, exact = top_k(sample, document_embeddings, k, device=device)
    _, found = find(sample, k)
    if not exact.size:
        return 1.0
    both = [np.isin(wanted, got).sum() for wanted, got in zip(exact, found, strict=True)]
    return float(np.sum(both) / exact.size)


def check_recall(search: Search, found: float) -> None:
    """Check that an index finds enough of the exact neighbours.

    Args:
        search: The backend and its settings.
        found: The index's `recall`.

    Raises:
        InputError: The recall is below `min_recall`.
    """
    if isinstance(search, InvertedLists | Graph) and found < search.min_recall:
        setting = "probes" if isinstance(search, InvertedLists) else "search_depth"
        raise InputError(
            f"search: min_recall: expected {search.min_recall} of the exact neighbours, found {found:.3f}; "
            f"raise {setting} or use backend: torch"
        )
