"""The encoder, the only place where texts become vectors: prefixes, truncation, batches, pooling, normalisation."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch

from retune.core.errors import InputError
from retune.encoding.batch_runner import BatchRunner, Runner
from retune.encoding.cache import EmbeddingCache, Entry, open_cache, stored_dim
from retune.encoding.compute import Compute
from retune.encoding.fingerprint import ModelFiles, base_hash
from retune.encoding.hardware import alike_devices, resolve_device
from retune.encoding.loading import LazyModel, lazy_model, prepared_copy
from retune.encoding.tokenizing import Texts, max_length
from retune.models.directory import is_onnx, read_encoding
from retune.models.encoding_settings import Encoding, Role
from retune.models.endpoint import is_endpoint
from retune.models.scope import Addition, check_unscoped, read_scope

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

ENDPOINTS = "retune.encoding.endpoint"  # by name: an edit of what talks to servers makes DVC run no stage again
LOG = logging.getLogger(__name__)


class Encoder:
    """Encodes queries and documents with one model: a transformer of any pooling, or a static model.

    Texts are tokenised once, sorted into buckets by length, and run in batch-invariant batches. So a text's vector does
    not depend on the other texts or their order, and the embedding cache can return it later.

    Attributes:
        device: The device that the model runs on.
        dtype: The number format of its weights.
        runner: Runs the model on what the cache does not have.
        truncated: How many texts were cut to the maximum length so far, by role; repeated texts count repeatedly.
    """

    def __init__(
        self,
        model: SentenceTransformer | LazyModel[SentenceTransformer] | Runner,
        encoding: Encoding,
        compute: Compute,
        *,
        files: ModelFiles | None = None,
    ) -> None:
        """Take a loaded model, or one that is loaded with the first text to encode; for a directory, use `load`.

        Args:
            model: The model, used unchanged, or what asks an endpoint for it.
            encoding: Its encoding settings.
            compute: Token budget and cache; the model is already on its device.
            files: The files of its weights, which are unchanged; None: no vectors are cached.
        """
        self.encoding = encoding
        self.runner = model if isinstance(model, Runner) else BatchRunner(model, encoding, compute)
        self.device, self.dtype = self.runner.device, self.runner.dtype
        self.truncated: dict[Role, int] = {"queries": 0, "documents": 0}
        self._cache_settings = compute.cache
        self._files = files
        self._for_queries: Encoder | None = None

    @classmethod
    def load(
        cls,
        folder: Path,
        compute: Compute,
        *,
        dtype: str = "auto",
        devices: Sequence[str] | None = None,
        addition: Addition | None = None,
    ) -> Self:
        """Return an encoder for a model directory, with the cache that `compute` names.

        The model itself is loaded with the first text that is not cached.

        Args:
            folder: The model directory.
            compute: The device, the token budget and the cache.
            dtype: The number format of a model whose own settings say `auto`.
            devices: Many texts are divided among processes, one for each device; None means all GPUs of the same name
                as the one of `compute`.
            addition: What the model adds for the data set to encode, whose query model then encodes the queries.

        Raises:
            InputError: The directory is no embedding model; or the model adds something for one data set and
                `addition` is None, or its base has changed since.
        """
        if addition is None:
            check_unscoped(folder)
        encoding = read_encoding(folder)
        if is_endpoint(folder):
            endpoint: Runner = import_module(ENDPOINTS).EndpointRunner.load(folder)
            return cls(endpoint, encoding, compute, files=ModelFiles.of(folder))
        if encoding.dtype == "auto":
            encoding = encoding.model_copy(update={"dtype": dtype})
        device = torch.device("cpu") if is_onnx(folder) else resolve_device(compute.device)
        files = ModelFiles.of(folder) if compute.cache else None
        scope = read_scope(folder)
        if scope and scope.base != base_hash(folder):
            raise InputError(
                f"{folder}: expected the base that the model was made from, got another; run finetune again"
            )
        model = lazy_model(folder, encoding, device, files)
        encoder = cls(model, encoding, compute, files=files)
        if isinstance(encoder.runner, BatchRunner):
            devices = alike_devices(device) if devices is None else devices
            encoder.runner.share(folder, compute, devices)
        if addition and addition.query_model:
            encoder._for_queries = cls.load(addition.query_model, compute, dtype=dtype, devices=devices)
            encoder._for_queries.truncated = encoder.truncated
        LOG.info("%s: encoding on %s in %s", folder, device.type, str(model.dtype).removeprefix("torch."))
        return encoder

    @classmethod
    def snapshot(cls, model: SentenceTransformer, encoding: Encoding, compute: Compute) -> Self:
        """Return an encoder for a copy of a model in training, in the number format of `load`, without a cache."""
        return cls(prepared_copy(model, encoding), encoding, compute)

    @property
    def model(self) -> SentenceTransformer:
        """The model, which is loaded on first use."""
        return self.runner.model

    @property
    def tokenizer(self) -> Any:
        """The model's tokenizer."""
        return self.runner.tokenizer.plain

    def encode_queries(
        self, texts: Sequence[str], prompts: Sequence[str | None], *, ids: Sequence[str] | None = None
    ) -> np.ndarray:
        """Return (queries, dim) float32 unit vectors.

        Args:
            texts: Queries.
            prompts: Per query, text put before the model's query prefix, or None.
            ids: Per query, its id in the error message if its vector is not finite or has no direction.
        """
        encoder = self._for_queries or self
        return encoder._encode(Texts.of(query_inputs(texts, prompts, self.encoding), "queries", ids))

    def encode_documents(self, texts: Sequence[str], *, ids: Sequence[str] | None = None) -> np.ndarray:
        """Return (documents, dim) float32 unit vectors; `ids` and errors as for queries."""
        return self._encode(Texts.of([self.encoding.document_prefix + text for text in texts], "documents", ids))

    def tokenize(self, inputs: Sequence[str], role: Role) -> tuple[list[list[int]], list[bool]]:
        """Return the token ids of each input, prompts and prefixes included, and whether it was cut."""
        token_ids, is_cut = self.runner.tokenizer.tokenize(inputs, role)
        return token_ids, is_cut

    def tokenize_queries(self, inputs: Sequence[str]) -> list[list[int]]:
        """Return the token ids of `query_inputs`, with the query suffix, which survives truncation."""
        return self.tokenize(inputs, "queries")[0]

    def tokenize_documents(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of documents, with the document prefix."""
        return self.tokenize([self.encoding.document_prefix + text for text in texts], "documents")[0]

    def _encode(self, inputs: Texts) -> np.ndarray:
        """Encode each distinct text once."""
        embeddings = np.zeros((len(inputs.texts), self._dim(inputs.role)), dtype=np.float32)
        is_cut = np.zeros(len(inputs.texts), dtype=bool)
        left = list(range(len(inputs.texts)))
        with self.runner.pool or nullcontext():
            while left:  # repeats only after the device ran out of memory
                left = self._encode_rows(inputs, left, embeddings, is_cut)
        if count := int(is_cut[inputs.rows].sum()):
            length = max_length(self.encoding, inputs.role)
            LOG.info("%s: %s of %s texts cut to %d tokens", inputs.role, f"{count:,}", f"{len(inputs.rows):,}", length)
        self.truncated[inputs.role] += count
        return embeddings if len(inputs.texts) == len(inputs.rows) else embeddings[inputs.rows]

    def _encode_rows(self, inputs: Texts, rows: list[int], embeddings: np.ndarray, is_cut: np.ndarray) -> list[int]:
        """Fill in rows of both arrays from the cache or the model; return those left when memory ran out."""
        with self._open_cache(inputs.role, embeddings.shape[1]) as cache:
            missing = cache.read(inputs.texts, rows, embeddings, is_cut) if cache else rows
            if not missing:
                return []
            if cache:
                cache.check_dim(self.runner.dim)
            token_ids, is_cut[missing] = self.tokenize([inputs.texts[row] for row in missing], inputs.role)
            done: set[int] = set()
            for batch, vectors in self.runner.run(inputs, missing, token_ids):
                embeddings[batch] = vectors
                done.update(batch)
                if cache:
                    cache.write([inputs.texts[row] for row in batch], vectors, is_cut[batch])
        return [row for row in missing if row not in done]

    def _open_cache(self, role: Role, dim: int) -> AbstractContextManager[EmbeddingCache | None]:
        """Open the cache file whose vectors have exactly the bits that this encoder would compute."""
        if self._files is None or self._cache_settings is None:
            return nullcontext()
        return open_cache(self._cache_settings, Entry(self.runner.key(self._files, role), self._files.name, role, dim))

    def _dim(self, role: Role) -> int:
        """Return the dimensions of the vectors, from the cache if possible; otherwise the model is needed anyway."""
        if self._files is None or self._cache_settings is None:
            return self.runner.dim
        return stored_dim(self._cache_settings, self.runner.key(self._files, role)) or self.runner.dim


def query_inputs(texts: Sequence[str], prompts: Sequence[str | None], encoding: Encoding) -> list[str]:
    """Return the model's input for each query: the query's prompt, the model's query prefix, the text."""
    pairs = zip(texts, prompts, strict=True)
    return ["".join((prompt or "", encoding.query_prefix, text)) for text, prompt in pairs]  # fails if text is not str
