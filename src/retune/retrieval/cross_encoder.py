"""The only place where a cross-encoder scores pairs of a query and a document; batches mix the pairs of all queries."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from tqdm import tqdm

from retune.core.errors import TextError
from retune.core.files import sha256
from retune.encoding.batch_invariance import multiply_row_by_row
from retune.encoding.batching import Batching
from retune.encoding.cache import EmbeddingCache, Entry, open_cache
from retune.encoding.compute import Compute
from retune.encoding.fingerprint import ModelFiles, fingerprint
from retune.encoding.hardware import resolve_device, resolve_dtype, tune_memory
from retune.encoding.loading import LazyModel, copy_of_trained
from retune.encoding.packed_linear import pack_linear_layers
from retune.models.directory import check_kind, load_cross_encoder, pair_max_length, read_encoding
from retune.models.encoding_settings import Encoding

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

WINDOW = 32_768  # pairs whose tokens are in memory at once
TOKENIZER_CHUNK = 1000  # pairs tokenised at once; the tokens cut off stay in memory until the chunk is done
LOG = logging.getLogger(__name__)

Pair = tuple[str, str]  # the model's input: query and document, each with its prefix
Tokens = dict[str, list[int]]  # of one pair: token ids, and whatever else the tokenizer returns, such as token types


class CrossEncoderScorer:
    """Scores pairs of a query and a document with one cross-encoder.

    Batches are formed as in `Encoder`, so a pair's score does not depend on the other pairs or their order, and the
    cache can return it later.

    Attributes:
        num_scored: The number of pairs scored so far.
        truncated: `pairs`: how many of them were cut to the maximum length.
    """

    def __init__(
        self,
        model: CrossEncoder | LazyModel[CrossEncoder],
        encoding: Encoding,
        compute: Compute,
        *,
        files: ModelFiles | None = None,
    ) -> None:
        """Take a loaded model, or one that is loaded with the first pair to score; for a directory, use `load`.

        Args:
            model: The model; its layers that read one row per pair are changed by `multiply_row_by_row`.
            encoding: Its prefixes and maximum lengths; a pair may be as long as both together.
            compute: Token budget and cache; the model is already on its device.
            files: The files of its weights, which are unchanged; None: no scores are cached.
        """
        self.encoding = encoding
        self._lazy = model if isinstance(model, LazyModel) else LazyModel.of(model)
        self.batching = Batching(compute, self._lazy.device)
        self.num_scored, self.truncated = 0, {"pairs": 0}
        self._cache_settings = compute.cache
        self._files = files

    @classmethod
    def load(cls, folder: Path, compute: Compute, *, dtype: str = "auto") -> Self:
        """Return a scorer for a cross-encoder's directory, with the cache that `compute` names.

        The model itself is loaded with the first pair that is not cached.

        Args:
            folder: The directory.
            compute: The device, the token budget and the cache.
            dtype: The number format of a model whose own settings say `auto`.

        Raises:
            InputError: The directory is no cross-encoder.
        """
        encoding = read_encoding(folder)
        check_kind(folder, is_pair_scorer=True)
        if encoding.dtype == "auto":
            encoding = encoding.model_copy(update={"dtype": dtype})
        device = resolve_device(compute.device)
        number_format = resolve_dtype(encoding.dtype, device)
        files = ModelFiles.of(folder) if compute.cache else None
        LOG.info("%s: scoring on %s in %s", folder, device.type, str(number_format).removeprefix("torch."))
        model = LazyModel(partial(_load, folder, device.type, number_format, files), device, number_format)
        return cls(model, encoding, compute, files=files)

    @classmethod
    def snapshot(cls, model: CrossEncoder, encoding: Encoding, compute: Compute) -> Self:
        """Return a scorer for a copy of a model in training, in the number format of `load`, without a cache."""
        return cls(_prepare(copy_of_trained(model), resolve_dtype(encoding.dtype, model.device)), encoding, compute)

    def score(self, queries: Sequence[str], documents: Sequence[str]) -> np.ndarray:
        """Score each query with the document at the same position.

        Args:
            queries: One per pair; a query may be repeated.
            documents: One per pair.

        Returns:
            (pairs,) float32, higher is closer: the scores of the model's `predict`, with the activation it names.
        """
        prefixes = self.encoding.query_prefix, self.encoding.document_prefix
        pairs = [(prefixes[0] + query, prefixes[1] + text) for query, text in zip(queries, documents, strict=True)]
        positions = {pair: row for row, pair in enumerate(dict.fromkeys(pairs))}
        distinct = list(positions)
        scores, is_cut = np.zeros((len(distinct), 1), dtype=np.float32), np.zeros(len(distinct), dtype=bool)
        with _progress_bar(len(distinct)) as progress:
            for start in range(0, len(distinct), WINDOW):
                window = slice(start, start + WINDOW)
                self._score_window(distinct[window], scores[window], is_cut[window], progress)
        rows = [positions[pair] for pair in pairs]
        self._count(is_cut[rows])
        return scores[rows, 0]

    def _count(self, is_cut: np.ndarray) -> None:
        if count := int(is_cut.sum()):
            length = pair_max_length(self.encoding)
            LOG.info("pairs: %s of %s cut to %d tokens", f"{count:,}", f"{len(is_cut):,}", length)
        self.truncated["pairs"] += count
        self.num_scored += len(is_cut)

    def _score_window(self, pairs: list[Pair], scores: np.ndarray, is_cut: np.ndarray, progress: tqdm[Any]) -> None:
        left = list(range(len(pairs)))
        while left:  # repeats only after the device ran out of memory
            left = self._score_rows(pairs, left, (scores, is_cut), progress)

    def _score_rows(
        self, pairs: list[Pair], rows: list[int], out: tuple[np.ndarray, np.ndarray], progress: tqdm[Any]
    ) -> list[int]:
        """Fill in rows of scores and cuts from the cache or the model; return those left when memory ran out."""
        scores, is_cut = out
        keys = [json.dumps(pair) for pair in pairs]  # unique for each pair
        with self._open_cache() as cache:
            missing = cache.read(keys, rows, scores, is_cut) if cache else rows
            if not progress.disable:
                progress.initial += len(rows) - len(missing)  # scores from the cache do not count for the speed
            progress.update(len(rows) - len(missing))
            tokens, is_cut[missing] = self.tokenize([pairs[row] for row in missing])
            done: set[int] = set()
            for batch, values in self._run_batches(pairs, missing, tokens):
                scores[batch] = values
                done.update(batch)
                progress.update(len(batch))
                if cache:
                    cache.write([keys[row] for row in batch], values, is_cut[batch])
        return [row for row in missing if row not in done]

    def _run_batches(
        self, pairs: list[Pair], rows: list[int], tokens: list[Tokens]
    ) -> Iterator[tuple[list[int], np.ndarray]]:
        """Yield the rows of each batch and their scores, until all are done or the device runs out of memory."""
        for members, length in self.batching.batches([len(features["input_ids"]) for features in tokens]):
            self.batching.measure(self._model)
            scores = self._forward_or_none([tokens[member] for member in members], length)
            if scores is None:
                return self.batching.halve(length)
            batch = [rows[member] for member in members]
            _check_finite(scores, [pairs[row] for row in batch])
            yield batch, scores

    def tokenize(self, pairs: list[Pair]) -> tuple[list[Tokens], list[bool]]:
        """Tokenise pairs, and say which were cut: one that is too long loses tokens at the end of its longer text."""
        tokens: list[Tokens] = []
        is_cut: list[bool] = []
        for start in range(0, len(pairs), TOKENIZER_CHUNK):
            queries, documents = zip(*pairs[start : start + TOKENIZER_CHUNK], strict=True)
            columns = self._model.tokenizer(
                list(queries),
                list(documents),
                truncation="longest_first",
                max_length=pair_max_length(self.encoding),
            )
            tokens += [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
            is_cut += [bool(encoding.overflowing) for encoding in columns.encodings]
        return tokens, is_cut

    def _open_cache(self) -> AbstractContextManager[EmbeddingCache | None]:
        """Open the cache file whose scores have exactly the bits that this scorer would compute."""
        if self._files is None or self._cache_settings is None:
            return nullcontext()
        device, dtype = self._lazy.device, self._lazy.dtype
        sides = [
            fingerprint(
                self._files, self.encoding, role, dtype=dtype, device=device, token_budget=self.batching.token_budget
            )
            for role in ("queries", "documents")
        ]
        key = hashlib.sha256(json.dumps([*sides, sha256(Path(__file__))]).encode()).hexdigest()
        return open_cache(self._cache_settings, Entry(key, self._files.name, "pairs", 1))

    def _forward_or_none(self, tokens: list[Tokens], length: int) -> np.ndarray | None:
        """Return the scores of a batch, after filling it up; None if the device runs out of memory."""
        try:
            return self.forward(self.batching.fill(tokens, length), length)[: len(tokens)]
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
            return None

    @torch.inference_mode()
    def forward(self, tokens: list[Tokens], length: int) -> np.ndarray:
        """Return (pairs, 1) scores."""
        features = self._model.tokenizer.pad(tokens, padding="max_length", max_length=length, return_tensors="pt")
        logits = self._model(features.to(self._lazy.device))["scores"].float()
        activation: Any = self._model.activation_fn
        return np.asarray(activation(logits).cpu().numpy())

    @cached_property
    def _model(self) -> CrossEncoder:
        multiply_row_by_row(self._lazy.model)
        return self._lazy.model.eval()


def _load(folder: Path, device: str, dtype: torch.dtype, files: ModelFiles | None) -> CrossEncoder:
    if files is not None:
        files.check(folder)
    return _prepare(load_cross_encoder(folder, device), dtype)


def _prepare(model: CrossEncoder, dtype: torch.dtype) -> CrossEncoder:
    model = model.to(dtype)
    tune_memory(model.device)
    pack_linear_layers(model)
    return model


def _progress_bar(total: int) -> tqdm[Any]:
    """Show average pairs per second and the time left."""
    return tqdm(total=total, desc="score pairs", unit="pair", leave=False, mininterval=1.0, smoothing=0)


def _check_finite(scores: np.ndarray, pairs: Sequence[Pair]) -> None:
    is_finite = np.isfinite(scores[:, 0])
    if not is_finite.all():
        query, document = pairs[int(np.argmin(is_finite))]
        raise TextError(
            f"expected finite scores, got one that is not finite for the query {query[:60]!r} and the document "
            f"{document[:60]!r}; try dtype: float32"
        )
