"""The one place where texts become vectors: prefixes, truncation, batches, pooling, normalisation."""

import copy
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from tqdm import tqdm

from retune.errors import InputError
from retune.hardware import resolve_device, resolve_dtype
from retune.model_directory import load_model, read_encoding
from retune.params.compute import Compute
from retune.params.fetch import Encoding

LENGTH_STEP = 16  # batches are padded to a multiple of this many tokens
LOG = logging.getLogger(__name__)

TOKENIZER_CHUNK = 1000  # texts; the tokeniser keeps what it cuts off for as long as the chunk lives


class Encoder:
    """Encodes queries and documents with one model.

    Texts are tokenised once, sorted into buckets by length, and run in batches of one fixed shape per bucket,
    unused rows filled. So a text's vector does not depend on what else is encoded, nor on the order.
    """

    def __init__(self, model: SentenceTransformer, encoding: Encoding, compute: Compute) -> None:
        """Take a loaded model; `load` takes a directory."""
        self.encoding = encoding
        self.token_budget = compute.token_budget
        self.tokenizer: Any = model.tokenizer
        self._model = model

    @classmethod
    def load(cls, folder: Path, compute: Compute) -> "Encoder":
        """Load a model directory for encoding."""
        encoding = read_encoding(folder)
        device = resolve_device(compute.device)
        dtype = resolve_dtype(encoding.dtype, device)
        LOG.info("%s: encoding on %s in %s", folder, device.type, str(dtype).removeprefix("torch."))
        return cls(load_model(folder, device.type).to(dtype), encoding, compute)

    @classmethod
    def snapshot(cls, model: SentenceTransformer, encoding: Encoding, compute: Compute) -> "Encoder":
        """Encode with a copy of a model in training, in the number format `load` would use."""
        dtype = resolve_dtype(encoding.dtype, model.device)
        return cls(copy.deepcopy(model).to(dtype), encoding, compute)

    def encode_queries(self, texts: Sequence[str], prompts: Sequence[str | None]) -> np.ndarray:
        """Return (queries, dim) float32 unit vectors.

        Args:
            texts: Queries.
            prompts: Per query, text put before the model's query prefix, or None.
        """
        return self._encode(self.tokenize_queries(query_inputs(texts, prompts, self.encoding)), "queries")

    def encode_documents(self, texts: Sequence[str]) -> np.ndarray:
        """Return (documents, dim) float32 unit vectors."""
        return self._encode(self.tokenize_documents(texts), "documents")

    def tokenize_queries(self, inputs: Sequence[str]) -> list[list[int]]:
        """Return token ids of `query_inputs` and the query suffix, which survives truncation."""
        return self._tokenize(inputs, self.encoding.query_suffix, self.encoding.query_max_length)

    def tokenize_documents(self, texts: Sequence[str]) -> list[list[int]]:
        """Return token ids of document prefix and text."""
        inputs = [self.encoding.document_prefix + text for text in texts]
        return self._tokenize(inputs, "", self.encoding.document_max_length)

    def _tokenize(self, texts: Sequence[str], suffix: str, max_length: int) -> list[list[int]]:
        """Tokenise, cut to length, and put the suffix before the special tokens at the end."""
        suffix_ids = self.tokenizer(suffix, add_special_tokens=False)["input_ids"] if suffix else []
        chunks = (texts[start : start + TOKENIZER_CHUNK] for start in range(0, len(texts), TOKENIZER_CHUNK))
        return [ids for chunk in chunks for ids in self._tokenize_chunk(chunk, suffix_ids, max_length)]

    def _tokenize_chunk(self, texts: Sequence[str], suffix_ids: list[int], max_length: int) -> list[list[int]]:
        tokens = self.tokenizer(
            list(texts), truncation=True, max_length=max_length - len(suffix_ids), return_special_tokens_mask=True
        )
        masks = tokens["special_tokens_mask"]
        ends = [len(mask) - next((n for n, special in enumerate(reversed(mask)) if not special), 0) for mask in masks]
        return [ids[:end] + suffix_ids + ids[end:] for ids, end in zip(tokens["input_ids"], ends, strict=True)]

    def _encode(self, token_ids: list[list[int]], what: str) -> np.ndarray:
        dim = self._model.get_embedding_dimension()
        embeddings = np.zeros((len(token_ids), int(dim or 0)), dtype=np.float32)
        with tqdm(total=len(token_ids), desc=f"encode {what}", unit="text", leave=False, mininterval=1.0) as progress:
            for rows, length in token_batches([len(ids) for ids in token_ids], self.token_budget):
                batch = [token_ids[row] for row in rows]
                size = max(1, self.token_budget // length)
                filled = batch + [batch[0]] * (size - len(batch))
                embeddings[rows] = self._forward(filled, length)[: len(rows)]
                progress.update(len(rows))
        if not np.isfinite(embeddings).all():
            row = int(np.argmin(np.isfinite(embeddings).all(axis=1)))
            raise InputError(f"{what}: expected finite vectors, got one that is not, number {row}; try dtype: float32")
        return embeddings

    @torch.inference_mode()
    def _forward(self, token_ids: list[list[int]], length: int) -> np.ndarray:
        self._model.eval()
        features = pad(self.tokenizer, token_ids, length, self._model.device)
        vectors = self._model(features)["sentence_embedding"].float()
        return torch.nn.functional.normalize(vectors, dim=1).cpu().numpy()


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
