"""Rank the documents of a corpus for queries, by vectors or by words."""

from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from retune.core.errors import InputError
from retune.core.records import document_texts
from retune.encoding.compute import Compute
from retune.encoding.encoder import Encoder
from retune.models.directory import is_lexical, is_system
from retune.models.scope import read_addition
from retune.params.fuse import Fuse
from retune.params.search import Graph, InvertedLists, Search
from retune.retrieval.bm25 import Bm25
from retune.retrieval.cosines import pair_cosines, shortened
from retune.retrieval.cross_encoder import CrossEncoderScorer
from retune.retrieval.index import build_index, check_recall, recall
from retune.retrieval.ranking import Pairs, Ranking, Retriever, find_allowed, ranked
from retune.retrieval.system_directory import read_system
from retune.retrieval.systems import FusionRetriever, RerankingRetriever


class VectorFormat(NamedTuple):
    """How vectors are computed and cut.

    Attributes:
        dims: The number of dimensions to keep, counted from the first; None keeps all.
        dtype: The number format of a model whose own settings say `auto`.
    """

    dims: int | None = None
    dtype: str = "auto"


class VectorRetriever:
    """Ranks and scores documents by the inner product of vectors, which for unit vectors is their cosine similarity.

    Attributes:
        queries: (queries, dim) float32 unit vectors.
        documents: (documents, dim) float32, unit vectors unless they were given.
        texts_truncated: The number of texts that were cut to the model's maximum length, by role.
    """

    def __init__(
        self,
        encoder: Encoder,
        corpus: pd.DataFrame,
        queries: pd.DataFrame,
        *,
        dims: int | None,
        documents: np.ndarray | None = None,
    ) -> None:
        """Encode the queries, and the documents unless their vectors are given.

        Args:
            encoder: The encoder.
            corpus: `doc_id`, `title`, `text`.
            queries: `query_id`, `text`, `prompt`.
            dims: The number of dimensions to keep, counted from the first; None keeps all.
            documents: The vectors of the documents, (documents, dim) float32; None: the encoder's.

        Raises:
            InputError: The model has fewer dimensions, or a vector is zero in the dimensions kept.
        """
        if documents is not None and dims is not None:
            raise InputError(
                f"params.yaml: eval.dims: expected null for a model with moved vectors, got {dims}; write null, or "
                "remove the model from eval.models"
            )
        doc_ids = corpus["doc_id"].tolist()
        texts, prompts, query_ids = (queries[column].tolist() for column in ("text", "prompt", "query_id"))
        self._lengths = None if documents is None else np.linalg.norm(documents, axis=1)
        if documents is None:
            documents = encoder.encode_documents(document_texts(corpus), ids=doc_ids)
        self.documents = _cut(documents, dims, doc_ids)
        self.queries = _cut(encoder.encode_queries(texts, prompts, ids=query_ids), dims, query_ids)
        self.texts_truncated = {str(role): count for role, count in encoder.truncated.items()}
        self._device = encoder.device

    def top_k(self, k: int, search: Search, *, seed: int, excluded: Pairs | None = None) -> Ranking:
        """Return the `k` closest documents of each query, or all documents if there are fewer.

        Raises:
            InputError: The settings do not fit the corpus, or the index misses too many neighbours.
        """
        index = build_index(self.documents, search, self._device)

        def find(depth: int) -> Ranking:
            found = Ranking(*index(self.queries, depth))
            if not isinstance(search, InvertedLists | Graph):
                return found
            share = recall(index, self.queries, self.documents, depth, seed=seed, device=self._device)
            check_recall(search, share)
            return found._replace(recall=share)

        return find_allowed(find, k, excluded, len(self.documents))

    def rank(self, candidates: Pairs) -> Ranking:
        """Rank the candidates of each query by the inner product."""
        return ranked(candidates, self.score(*candidates), len(self.queries))

    def score(self, rows: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Return the inner product of each pair of a query and a document, (pairs,) float32."""
        return pair_cosines(self.queries, self.documents, rows, positions)

    def cosine(self, rows: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Return the cosine similarity of each pair of a query and a document, (pairs,) float32."""
        scores = self.score(rows, positions)
        return scores if self._lengths is None else scores / self._lengths[positions]


class WordRetriever:
    """Ranks and scores documents by BM25; texts get neither prompts nor prefixes."""

    def __init__(self, corpus: pd.DataFrame, queries: pd.DataFrame) -> None:
        """Index the documents."""
        texts = document_texts(corpus)
        self._bm25, self._num_documents = Bm25(texts), len(texts)
        self._queries = [str(text) for text in queries["text"]]

    def top_k(self, k: int, search: Search, *, seed: int, excluded: Pairs | None = None) -> Ranking:
        """Return the `k` best documents of each query that share a word with it; `search` and `seed` are not used."""

        def find(depth: int) -> Ranking:
            return Ranking(*self._bm25.top_k(self._queries, depth))

        return find_allowed(find, k, excluded, self._num_documents)

    def rank(self, candidates: Pairs) -> Ranking:
        """Rank the candidates of each query by BM25; the score is 0 if they share no word."""
        return ranked(candidates, self._score(*candidates), len(self._queries))

    def _score(self, rows: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Return the score of each pair of a query and a document, (pairs,) float32."""
        scores = np.zeros(len(rows), dtype=np.float32)
        order = np.argsort(rows, kind="stable")
        for pairs in np.split(order, np.flatnonzero(np.diff(rows[order])) + 1):
            if len(pairs):
                scores[pairs] = self._bm25.scores(self._queries[rows[pairs[0]]])[positions[pairs]]
        return scores


def load_retriever(
    model: Path,
    dataset: str,
    corpus: pd.DataFrame,
    queries: pd.DataFrame,
    compute: Compute,
    vector_format: VectorFormat = VectorFormat(),  # noqa: B008  immutable
) -> Retriever:
    """Return the retriever of a model directory for a corpus.

    Args:
        model: A model directory, or that of BM25 or of a system.
        dataset: The name of the data set, for which the model may have vectors or a query model.
        corpus: `doc_id`, `title`, `text`.
        queries: `query_id`, `text`, `prompt`.
        compute: For encoding.
        vector_format: How vectors are computed and cut.

    Raises:
        InputError: The model is a cross-encoder, has fewer dimensions, a vector is zero in those kept, or the model was
            made for other documents of this data set.
    """
    if is_lexical(model):
        return WordRetriever(corpus, queries)
    if is_system(model):
        system = read_system(model)
        first, second = (model / name for name in system.parts)
        load = partial(load_retriever, dataset=dataset, corpus=corpus, queries=queries, compute=compute)
        load = partial(load, vector_format=vector_format)
        if isinstance(system, Fuse):
            return FusionRetriever((load(first), load(second)), system, len(corpus))
        scorer = CrossEncoderScorer.load(second, compute, dtype=vector_format.dtype)
        return RerankingRetriever(load(first), scorer, corpus, queries, k=system.k)
    addition = read_addition(model, dataset, corpus)
    encoder = Encoder.load(model, compute, dtype=vector_format.dtype, addition=addition)
    return VectorRetriever(encoder, corpus, queries, dims=vector_format.dims, documents=addition.vectors)


def _cut(embeddings: np.ndarray, dims: int | None, ids: list[str]) -> np.ndarray:
    if dims is None:
        return embeddings
    if dims > embeddings.shape[1]:
        raise InputError(
            f"params.yaml: eval.dims: expected at most the model's {embeddings.shape[1]} dimensions, got {dims}; "
            "lower it, or write null"
        )
    vectors, zeros = shortened(embeddings, dims)
    if len(zeros):
        raise InputError(
            f"params.yaml: eval.dims: expected vectors that are not zero in their first {dims} dimensions, "
            f"got zeros for {ids[zeros[0]]!r}; raise it"
        )
    return vectors
