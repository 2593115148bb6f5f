"""The one place where texts become vectors: prefixes, truncation, batches, pooling, normalisation."""

import copy
import logging
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from tqdm import tqdm

from retune.embedding_cache import EmbeddingCache, Entry, open_cache
from retune.errors import InputError
from retune.fingerprint import ModelFiles, Role, fingerprint
from retune.hardware import resolve_device, resolve_dtype
from retune.model_directory import load_model, read_encoding
from retune.params.compute import MIN_TOKEN_BUDGET, Compute
from retune.params.fetch import Encoding

LENGTH_STEP = 16  # batches are padded to a multiple of this many tokens
LOG = logging.getLogger(__name__)

TOKENIZER_CHUNK = 1000  # texts; the tokeniser keeps what it cuts off for as long as the chunk lives


class Encoder:
    """Encodes queries and documents with one model.

    Texts are tokenised once, sorted into buckets by length, and run in batches of one fixed shape per bucket,
    unused rows filled. So a text's vector does not depend on what else is encoded, nor on the order, and the
    embedding cache may give it back.
    """

    def __init__(
        self, model: SentenceTransformer, encoding: Encoding, compute: Compute, *, files: ModelFiles | None = None
    ) -> None:
        """Take a loaded model; `load` takes a directory.

        Args:
            model: Encodes as it is.
            encoding: How texts enter it.
            compute: Token budget and cache; the model is on its device already.
            files: Where its weights come from, unchanged. None: nothing is cached.
        """
        self.encoding = encoding
        self.token_budget = compute.token_budget
        self.tokenizer: Any = model.tokenizer
        self._model = model
        self._dim = int(model.get_embedding_dimension() or 0)
        self._cache_settings = compute.cache
        self._files = files

    @classmethod
    def load(cls, folder: Path, compute: Compute) -> "Encoder":
        """Load a model directory for encoding, with the cache that `compute` names."""
        encoding = read_encoding(folder)
        device = resolve_device(compute.device)
        dtype = resolve_dtype(encoding.dtype, device)
        files = ModelFiles.of(folder) if compute.cache else None
        LOG.info("%s: encoding on %s in %s", folder, device.type, str(dtype).removeprefix("torch."))
        return cls(load_model(folder, device.type).to(dtype), encoding, compute, files=files)

    @classmethod
    def snapshot(cls, model: SentenceTransformer, encoding: Encoding, compute: Compute) -> "Encoder":
        """Encode with a copy of a model in training, in the number format `load` would use, without a cache."""
        dtype = resolve_dtype(encoding.dtype, model.device)
        return cls(copy.deepcopy(model).to(dtype), encoding, compute)

    def encode_queries(self, texts: Sequence[str], prompts: Sequence[str | None]) -> np.ndarray:
        """Return (queries, dim) float32 unit vectors.

        Args:
            texts: Queries.
            prompts: Per query, text put before the model's query prefix, or None.
        """
        return self._encode(query_inputs(texts, prompts, self.encoding), "queries")

    def encode_documents(self, texts: Sequence[str]) -> np.ndarray:
        """Return (documents, dim) float32 unit vectors."""
        return self._encode([self.encoding.document_prefix + text for text in texts], "documents")

    def tokenize_queries(self, inputs: Sequence[str]) -> list[list[int]]:
        """Return token ids of `query_inputs` and the query suffix, which survives truncation."""
        return self._tokenize(inputs, "queries")

    def tokenize_documents(self, texts: Sequence[str]) -> list[list[int]]:
        """Return token ids of document prefix and text."""
        return self._tokenize([self.encoding.document_prefix + text for text in texts], "documents")

    def _tokenize(self, inputs: Sequence[str], role: Role) -> list[list[int]]:
        """Tokenise, cut to length, and put the suffix before the special tokens at the end."""
        suffix = self.encoding.query_suffix if role == "queries" else ""
        max_length = self.encoding.query_max_length if role == "queries" else self.encoding.document_max_length
        suffix_ids = self.tokenizer(suffix, add_special_tokens=False)["input_ids"] if suffix else []
        chunks = (inputs[start : start + TOKENIZER_CHUNK] for start in range(0, len(inputs), TOKENIZER_CHUNK))
        return [ids for chunk in chunks for ids in self._tokenize_chunk(chunk, suffix_ids, max_length)]

    def _tokenize_chunk(self, texts: Sequence[str], suffix_ids: list[int], max_length: int) -> list[list[int]]:
        tokens = self.tokenizer(
            list(texts), truncation=True, max_length=max_length - len(suffix_ids), return_special_tokens_mask=True
        )
        masks = tokens["special_tokens_mask"]
        ends = [len(mask) - next((n for n, special in enumerate(reversed(mask)) if not special), 0) for mask in masks]
        return [ids[:end] + suffix_ids + ids[end:] for ids, end in zip(tokens["input_ids"], ends, strict=True)]

    def _encode(self, inputs: Sequence[str], role: Role) -> np.ndarray:
        """Encode each distinct input once."""
        positions = {text: row for row, text in enumerate(dict.fromkeys(inputs))}
        distinct = list(positions)
        embeddings = np.zeros((len(distinct), self._dim), dtype=np.float32)
        left = list(range(len(distinct)))
        while left:  # a second round only after the device ran out of memory
            left = self._encode_rows(distinct, left, embeddings, role)
        return embeddings if len(distinct) == len(inputs) else embeddings[[positions[text] for text in inputs]]

    def _encode_rows(self, inputs: list[str], rows: list[int], embeddings: np.ndarray, role: Role) -> list[int]:
        """Fill in rows of `embeddings` from the cache or the model; return those that memory did not suffice for."""
        with self._open_cache(role) as cache:
            missing = cache.read(inputs, rows, embeddings) if cache else rows
            done: set[int] = set()
            for batch, vectors in self._run_batches(inputs, missing, role):
                embeddings[batch] = vectors
                done.update(batch)
                if cache:
                    cache.write([inputs[row] for row in batch], vectors)
        return [row for row in missing if row not in done]

    def _run_batches(self, inputs: list[str], rows: list[int], role: Role) -> Iterator[tuple[list[int], np.ndarray]]:
        """Yield the rows of each batch and their vectors, until all are done or the device is out of memory."""
        token_ids = self._tokenize([inputs[row] for row in rows], role)
        batches = token_batches([len(ids) for ids in token_ids], self.token_budget)
        with _progress_bar(len(inputs), len(inputs) - len(rows), role) as progress:
            for members, length in batches:
                vectors = self._forward_or_none([token_ids[member] for member in members], length)
                if vectors is None:
                    return self._halve_token_budget(length)
                batch = [rows[member] for member in members]
                _check_finite(vectors, [inputs[row] for row in batch], role)
                progress.update(len(batch))
                yield batch, vectors

    def _open_cache(self, role: Role) -> AbstractContextManager[EmbeddingCache | None]:
        """Open the file of vectors made exactly as this encoder would make them now."""
        if self._files is None or self._cache_settings is None:
            return nullcontext()
        device, dtype = self._model.device, next(self._model.parameters()).dtype
        key = fingerprint(self._files, self.encoding, role, dtype=dtype, device=device, token_budget=self.token_budget)
        return open_cache(self._cache_settings, Entry(key, self._files.name, role, self._dim))

    def _halve_token_budget(self, length: int) -> None:
        """Go on with smaller batches, whose vectors differ in their last bits.

        Raises:
            InputError: There is nothing left to halve.
        """
        if self.token_budget < 2 * max(MIN_TOKEN_BUDGET, length):
            raise InputError(
                f"out of memory on {self._model.device} with {self.token_budget} tokens a batch, the least; "
                "take a shorter maximum length, a smaller model or compute.device: cpu"
            )
        LOG.warning("out of memory with %d tokens a batch; going on with half", self.token_budget)
        self.token_budget //= 2
        torch.cuda.empty_cache()

    def _forward_or_none(self, token_ids: list[list[int]], length: int) -> np.ndarray | None:
        """Run a batch, filled up to the shape of its bucket; None if the device has no memory for it."""
        size = max(1, self.token_budget // length)
        filled = token_ids + [token_ids[0]] * (size - len(token_ids))
        try:
            return self._forward(filled, length)[: len(token_ids)]
        except torch.OutOfMemoryError:
            return None

    @torch.inference_mode()
    def _forward(self, token_ids: list[list[int]], length: int) -> np.ndarray:
        self._model.eval()
        features = pad(self.tokenizer, token_ids, length, self._model.device)
        vectors = self._model(features)["sentence_embedding"].float()
        return torch.nn.functional.normalize(vectors, dim=1).cpu().numpy()


def _progress_bar(total: int, initial: int, role: Role) -> "tqdm[Any]":
    """Show texts a second and the time left; what the cache gave does not count for the speed."""
    return tqdm(total=total, initial=initial, desc=f"encode {role}", unit="text", leave=False, mininterval=1.0)


def _check_finite(vectors: np.ndarray, inputs: Sequence[str], role: Role) -> None:
    is_finite = np.isfinite(vectors).all(axis=1)
    if not is_finite.all():
        text = inputs[int(np.argmin(is_finite))]
        raise InputError(
            f"{role}: expected finite vectors, got one that is not, of the text {text[:60]!r}; try dtype: float32"
        )


def query_inputs(texts: Sequence[str], prompts: Sequence[str | None], encoding: Encoding) -> list[str]:
    """Return what a model reads of each query: its own prompt, the model's query prefix, its text."""
    return [f"{prompt or ''}{encoding.query_prefix}{text}" for text, prompt in zip(texts, prompts, strict=True)]


def token_batches(lengths: Sequence[int], token_budget: int) -> list[tuple[list[int], int]]:
    """Group texts into batches of similar length.

    Args:
        lengths: Each text's length in tokens.
        token_budget: Most tokens in a batch, padding included.

    Returns:
        Batches, longest first: the texts' positions, and the padded length, a multiple of 16.
    """
    buckets: dict[int, list[int]] = {}
    for row, length in enumerate(lengths):
        buckets.setdefault(-(-length // LENGTH_STEP) * LENGTH_STEP, []).append(row)
    batches = []
    for length, rows in sorted(buckets.items(), reverse=True):
        size = max(1, token_budget // length)
        batches += [(rows[start : start + size], length) for start in range(0, len(rows), size)]
    return batches


def pad(tokenizer: Any, token_ids: list[list[int]], length: int, device: torch.device) -> dict[str, torch.Tensor]:
    """Return input ids and attention mask, (texts, length), padded on the tokenizer's side."""
    features = tokenizer.pad({"input_ids": token_ids}, padding="max_length", max_length=length, return_tensors="pt")
    return {name: features[name].to(device) for name in ("input_ids", "attention_mask")}
