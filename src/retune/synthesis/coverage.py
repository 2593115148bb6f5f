"""Choose the documents to ask about, so that few of them cover the corpus."""

from __future__ import annotations

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


def choose(corpus: pd.DataFrame, count: int, encoder: Encoder, *, seed: int) -> pd.DataFrame:
    """Return `count` documents of a larger corpus, in its order.

    The documents' vectors form clusters (k-means), a quarter as many as documents wanted. One document after the other
    is drawn from each cluster in turn, so small topics are covered as well as large ones. Documents that nearly equal
    one drawn before come last.

    Args:
        corpus: The documents.
        count: How many to choose.
        encoder: Encodes the documents.
        seed: The seed of k-means and of the draws.
    """
    import faiss

    vectors = encoder.encode_documents(document_texts(corpus), ids=corpus["doc_id"].tolist())
    clusters = max(1, count // DOCUMENTS_A_CLUSTER)
    means = faiss.Kmeans(vectors.shape[1], clusters, niter=ROUNDS, seed=seed, min_points_per_centroid=1)
    means.train(vectors)
    labels = means.index.search(vectors, 1)[1][:, 0]
    rng = np.random.default_rng(seed)
    turns: list[tuple[bool, int, int]] = []  # whether it is a duplicate, its turn, its row
    for label in range(clusters):
        rows = rng.permutation(np.flatnonzero(labels == label))[: MOST_TURNS * count]
        close = [(vectors[rows[:turn]] @ vectors[row] >= DUPLICATE).any() for turn, row in enumerate(rows)]
        turns += [(bool(close[turn]), turn, int(row)) for turn, row in enumerate(rows)]
    chosen = sorted(row for _, _, row in sorted(turns)[:count])
    return corpus.iloc[chosen].reset_index(drop=True)
