"""What is served: an embedding model, or a cross-encoder."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from retune.core.errors import InputError, TextError
from retune.encoding.batch_runner import BatchRunner
from retune.encoding.compute import Compute
from retune.encoding.encoder import Encoder, query_inputs
from retune.models.directory import is_cross_encoder, is_lexical, is_system
from retune.models.encoding_settings import Encoding, Role
from retune.models.endpoint import is_endpoint
from retune.models.vector_table import is_vector_table
from retune.retrieval.cosines import shortened
from retune.retrieval.cross_encoder import CrossEncoderScorer, Tokens
from retune.serving.waiting import Answer

ROLES: tuple[Role, ...] = ("queries", "documents")


class Text(NamedTuple):
    """A text to embed, with its place in the request."""

    role: Role
    text: str
    place: int


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

    def __init__(self, encoder: "CountingEncoder") -> None:
        """Load the model."""
        self._encoder, self.encoding = encoder, encoder.encoding
        self.dim = encoder.runner.dim
        self.run([Text("documents", "document", 0)])

    def run(self, texts: Sequence[Text]) -> list[Answer]:
        """Return the unit vector of each text, (dim,) float32."""
        answers: list[Answer | None] = [None] * len(texts)
        for role in ROLES:
            rows = [row for row, text in enumerate(texts) if text.role == role]
            for row, answer in zip(rows, self._answers(role, [texts[row] for row in rows]), strict=True):
                answers[row] = answer
        return [answer for answer in answers if answer is not None]

    def _answers(self, role: Role, asked: Sequence[Text]) -> list[Answer]:
        if not asked:
            return []
        self._encoder.counts = {}
        texts, ids = [text.text for text in asked], [f"text {text.place} of the request" for text in asked]
        if role == "queries":
            inputs = query_inputs(texts, [None] * len(texts), self.encoding)
            vectors = self._encoder.encode_queries(texts, [None] * len(texts), ids=ids)
        else:
            inputs = [self.encoding.document_prefix + text for text in texts]
            vectors = self._encoder.encode_documents(texts, ids=ids)
        counts = self._encoder.counts
        return [Answer(vector, counts[read]) for vector, read in zip(vectors, inputs, strict=True)]


class CountingEncoder(Encoder):
    """Keeps how many tokens each input has that it read since `counts` was emptied."""

    counts: dict[str, int]

    def tokenize(self, inputs: Sequence[str], role: Role) -> tuple[list[list[int]], list[bool]]:
        """Return what `Encoder` does."""
        token_ids, is_cut = super().tokenize(inputs, role)
        self.counts |= dict(zip(inputs, map(len, token_ids), strict=True))
        return token_ids, is_cut


class Reranker:
    """A cross-encoder; the scores are those of `CrossEncoderScorer` in evaluation."""

    def __init__(self, scorer: "CountingScorer") -> None:
        """Load the model."""
        self._scorer = scorer
        self.run([Pair("query", "document")])

    def run(self, pairs: Sequence[Pair]) -> list[Answer]:
        """Return the score of each pair, a float; higher is closer."""
        self._scorer.counts = {}
        scores = self._scorer.score([pair.query for pair in pairs], [pair.document for pair in pairs])
        before, counts = self._scorer.encoding, self._scorer.counts
        read = [(before.query_prefix + pair.query, before.document_prefix + pair.document) for pair in pairs]
        return [Answer(score, counts[pair]) for score, pair in zip(scores.tolist(), read, strict=True)]


class CountingScorer(CrossEncoderScorer):
    """Keeps how many tokens each pair has that it read since `counts` was emptied."""

    counts: dict[tuple[str, str], int]

    def tokenize(self, pairs: list[tuple[str, str]]) -> tuple[list[Tokens], list[bool]]:
        """Return what `CrossEncoderScorer` does."""
        tokens, is_cut = super().tokenize(pairs)
        self.counts |= {pair: len(read["input_ids"]) for pair, read in zip(pairs, tokens, strict=True)}
        return tokens, is_cut


def load_served(folder: Path, compute: Compute, dtype: str, *, is_fast: bool = False) -> Embedder | Reranker:
    """Load a model directory.

    Args:
        folder: A fetched, tuned, merged or exported model.
        compute: The hardware; nothing is cached.
        dtype: The number format of a model whose own settings say `auto`.
        is_fast: Whether batches are left short.

    Raises:
        InputError: There is no model, or one that cannot be served.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: expected a model, found none; run make repro, or name another")
    if is_lexical(folder) or is_system(folder) or is_vector_table(folder) or is_endpoint(folder):
        raise InputError(
            f"{folder}: expected an embedding model or a cross-encoder, got BM25, a table of vectors, an endpoint or a "
            "system of two models; name another, or serve the models of a system one by one"
        )
    compute = compute.model_copy(update={"cache": None})
    if is_cross_encoder(folder):
        scorer = CountingScorer.load(folder, compute, dtype=dtype)
        if is_fast:
            scorer.batching.leave_short()
        return Reranker(scorer)
    encoder = CountingEncoder.load(folder, compute, dtype=dtype, devices=())
    if is_fast and isinstance(encoder.runner, BatchRunner):
        encoder.runner.batching.leave_short()
    return Embedder(encoder)


def cut(vectors: np.ndarray, dimensions: int | None) -> np.ndarray:
    """Return the first dimensions of vectors, (texts, dim), scaled to length 1 again; all of them if it is None.

    Raises:
        TextError: A vector is zero in them.
    """
    if dimensions is None or dimensions == vectors.shape[1]:
        return vectors
    cut_vectors, zeros = shortened(vectors, dimensions)
    if len(zeros):
        raise TextError(f"dimensions: expected vectors that are not zero in the first {dimensions}; ask for more")
    return cut_vectors


def reads_alike(encoding: Encoding) -> bool:
    """Return whether a text has the same vector as a query and as a document, unless it is cut."""
    return not encoding.query_suffix and encoding.query_prefix == encoding.document_prefix
