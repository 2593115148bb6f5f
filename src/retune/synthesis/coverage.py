"""Choose the documents to ask about: few that cover the corpus, and pairs that belong together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from retune.core.records import document_texts

if TYPE_CHECKING:
    from retune.encoding.encoder import Encoder

DOCUMENTS_A_CLUSTER = 4
DUPLICATE = 0.98  # cosine from which the later of two documents of a cluster is a duplicate
ROUNDS = 20  # of k-means
MOST_TURNS = 4  # times as many documents as wanted are looked at in a cluster
GOLDEN_RATIO = (5**0.5 - 1) / 2  # the first points of its multiples, modulo 1, always lie evenly between 0 and 1
NEIGHBOURS = 8  # that are looked at to find a second document


def choose(corpus: pd.DataFrame, count: int, encoder: Encoder, *, seed: int) -> pd.DataFrame:
    """Return `count` documents of a larger corpus, in its order.

    The documents' vectors form clusters (k-means), a quarter as many as documents wanted. One document after the other
    is drawn from each cluster in turn, so small topics are covered as well as large ones. The lengths of those drawn
    from a cluster are spread over the cluster's (steps of the golden ratio through the order of lengths). Documents
    that nearly equal one drawn before come last.

    Args:
        corpus: The documents.
        count: How many to choose.
        encoder: Encodes the documents.
        seed: The seed of k-means and of the draws.
    """
    import faiss

    texts = document_texts(corpus)
    vectors = encoder.encode_documents(texts, ids=corpus["doc_id"].tolist())
    sizes = np.array([len(text) for text in texts])
    clusters = max(1, count // DOCUMENTS_A_CLUSTER)
    means = faiss.Kmeans(vectors.shape[1], clusters, niter=ROUNDS, seed=seed, min_points_per_centroid=1)
    means.train(vectors)
    labels = means.index.search(vectors, 1)[1][:, 0]
    rng = np.random.default_rng(seed)
    turns: list[tuple[bool, int, int]] = []  # whether it is a duplicate, its turn, its row
    for label in range(clusters):
        rows = rng.permutation(np.flatnonzero(labels == label))
        by_length = rows[np.argsort(sizes[rows], kind="stable")]
        places = np.argsort((rng.random() + GOLDEN_RATIO * np.arange(len(rows))) % 1.0).argsort()
        rows = by_length[places][: MOST_TURNS * count]
        close = [(vectors[rows[:turn]] @ vectors[row] >= DUPLICATE).any() for turn, row in enumerate(rows)]
        turns += [(bool(close[turn]), turn, int(row)) for turn, row in enumerate(rows)]
    chosen = sorted(row for _, _, row in sorted(turns)[:count])
    return corpus.iloc[chosen].reset_index(drop=True)


def pair_up(doc_ids: Sequence[str], group_of: Mapping[str, str], vectors: np.ndarray) -> dict[str, str]:
    """Return a second document for each that has one: the nearest of its group that does not nearly equal it.

    Args:
        doc_ids: The documents.
        group_of: The group of each, such as its split.
        vectors: Their vectors, normalised, float32, (documents, dimensions).
    """
    import faiss

    ids, groups = np.array(doc_ids), np.array([group_of[doc_id] for doc_id in doc_ids])
    pairs: dict[str, str] = {}
    for group in sorted(set(groups.tolist())):
        rows = np.flatnonzero(groups == group)
        scores, found = faiss.knn(vectors[rows], vectors[rows], min(NEIGHBOURS, len(rows)), faiss.METRIC_INNER_PRODUCT)
        for row, others, cosines in zip(rows, rows[found], scores, strict=True):
            usable = others[(others != row) & (cosines < DUPLICATE)]
            if len(usable):
                pairs[str(ids[row])] = str(ids[usable[0]])
    return pairs
