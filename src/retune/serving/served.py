"""What is served: an embedding model, or a cross-encoder."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from retune.core.errors import InputError
from retune.encoding.compute import Compute
from retune.encoding.encoder import Encoder, query_inputs
from retune.models.directory import is_cross_encoder, is_lexical, is_system
from retune.models.encoding_settings import Encoding, Role
from retune.models.vector_table import is_vector_table
from retune.retrieval.cross_encoder import CrossEncoderScorer
from retune.serving.waiting import Answer


class Text(NamedTuple):
    """A text to embed."""

    role: Role
    text: str


class Pair(NamedTuple):
    """A document to score for a query."""

    query: str
    document: str


class Embedder:
    """An embedding model; the vectors are those that `Encoder` computes in evaluation.

    Attributes:
        encoding: How the model reads texts.
        dim: The number of dimensions of its vectors.
    """

    def __init__(self, encoder: Encoder) -> None:
        """Load the model."""
        self._encoder, self.encoding = encoder, encoder.encoding
        self.dim = encoder.runner.dim

    def run(self, texts: Sequence[Text]) -> list[Answer]:
        """Return the unit vector of each text, (dim,) float32."""
        answers: list[Answer | None] = [None] * len(texts)
        for role in ("queries", "documents"):
            rows = [row for row, text in enumerate(texts) if text.role == role]
            for row, answer in zip(rows, self._answers(role, [texts[row].text for row in rows]), strict=True):
                answers[row] = answer
        return [answer for answer in answers if answer is not None]

    def _answers(self, role: Role, texts: Sequence[str]) -> list[Answer]:
        if not texts:
            return []
        ids, prompts = [f"text {row} of a request" for row in range(len(texts))], [None] * len(texts)
        if role == "queries":
            vectors = self._encoder.encode_queries(texts, prompts, ids=ids)
            tokens = self._encoder.tokenize_queries(query_inputs(texts, prompts, self.encoding))
        else:
            vectors = self._encoder.encode_documents(texts, ids=ids)
            tokens = self._encoder.tokenize_documents(texts)
        return [Answer(vector, len(read)) for vector, read in zip(vectors, tokens, strict=True)]


class Reranker:
    """A cross-encoder; the scores are those of `CrossEncoderScorer` in evaluation."""

    def __init__(self, scorer: CrossEncoderScorer) -> None:
        """Take a scorer; its model is loaded with the first pair."""
        self._scorer = scorer

    def run(self, pairs: Sequence[Pair]) -> list[Answer]:
        """Return the score of each pair, a float; higher is closer."""
        scores = self._scorer.score([pair.query for pair in pairs], [pair.document for pair in pairs])
        before = self._scorer.encoding
        tokens, _ = self._scorer.tokenize(
            [(before.query_prefix + pair.query, before.document_prefix + pair.document) for pair in pairs]
        )
        counts = [len(read["input_ids"]) for read in tokens]
        return [Answer(score, count) for score, count in zip(scores.tolist(), counts, strict=True)]


def load_served(folder: Path, compute: Compute, dtype: str) -> Embedder | Reranker:
    """Load a model directory.

    Args:
        folder: A fetched, tuned, merged or exported model.
        compute: The hardware; nothing is cached.
        dtype: The number format of a model whose own settings say `auto`.

    Raises:
        InputError: There is no model, or one that cannot be served.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: expected a model, found none; run make repro, or name another")
    if is_lexical(folder) or is_system(folder) or is_vector_table(folder):
        raise InputError(
            f"{folder}: expected an embedding model or a cross-encoder, got BM25, a table of vectors or a system of "
            "two models; serve its models one by one, or name another"
        )
    compute = compute.model_copy(update={"cache": None})
    if is_cross_encoder(folder):
        return Reranker(CrossEncoderScorer.load(folder, compute, dtype=dtype))
    return Embedder(Encoder.load(folder, compute, dtype=dtype, devices=()))


def cut(vectors: np.ndarray, dimensions: int | None) -> np.ndarray:
    """Return the first dimensions of vectors, (texts, dim), scaled to length 1 again; all of them if it is None.

    Raises:
        InputError: A vector is zero in them.
    """
    if dimensions is None or dimensions == vectors.shape[1]:
        return vectors
    head = vectors[:, :dimensions]
    lengths = np.linalg.norm(head, axis=1, keepdims=True)
    if not lengths.all():
        raise InputError(f"dimensions: expected vectors that are not zero in the first {dimensions}; ask for more")
    return np.asarray(head / lengths)


def reads_alike(encoding: Encoding) -> bool:
    """Return whether a text has the same vector as a query and as a document, unless it is cut."""
    return not encoding.query_suffix and encoding.query_prefix == encoding.document_prefix
