"""Embedding caches of small vectors, and an encoder that counts what its cache does not have."""

from pathlib import Path

import numpy as np
import torch

from retune.encoding.batching import Batching
from retune.encoding.cache import Entry, open_cache
from retune.encoding.compute import Cache, Compute
from retune.encoding.encoder import Encoder
from retune.encoding.fingerprint import ModelFiles
from retune.models.directory import load_model, read_encoding
from tests.support.repository import WORDS

TEXTS = [" ".join(WORDS[(start * 7 + step) % len(WORDS)] for step in range(1 + start % 23)) for start in range(60)]
ENTRY = Entry(key="ab" * 32, model="tiny", role="documents", dim=4)


def cache_in(folder: Path, max_gb: float = 1.0) -> Cache:
    return Cache(folder=folder, max_gb=max_gb)


def vectors_of(numbers: list[int], dim: int = 4) -> np.ndarray:
    """A vector for each number, of nothing else."""
    return np.array([[number + step for step in range(dim)] for number in numbers], dtype=np.float32)


def store(folder: Path, numbers: list[int], entry: Entry = ENTRY, max_gb: float = 1.0) -> Path:
    """Store the vectors of texts `text 0`, `text 1`, ..."""
    with open_cache(cache_in(folder, max_gb), entry) as cache:
        cache.write([f"text {number}" for number in numbers], vectors_of(numbers, entry.dim))
    return cache.path


def load(folder: Path, numbers: list[int], entry: Entry = ENTRY) -> tuple[np.ndarray, list[int]]:
    """Return what is found, zeros elsewhere, and the numbers not found."""
    out = np.zeros((len(numbers), entry.dim), dtype=np.float32)
    with open_cache(cache_in(folder), entry) as cache:
        missing = cache.read([f"text {number}" for number in numbers], range(len(numbers)), out)
    return out, [numbers[row] for row in missing]


class Counted:
    """An encoder of the tiny model in a number format, with a cache, that notes what the model was run on."""

    def __init__(
        self, folder: Path, model: Path, dtype: torch.dtype, token_budget: int = 1024, shapes_of: str = "cpu"
    ) -> None:
        compute = Compute(device="cpu", token_budget=token_budget, cache=cache_in(folder))
        loaded = load_model(model, "cpu").to(dtype)
        self.encoder = Encoder(loaded, read_encoding(model), compute, files=ModelFiles.of(model))
        self.encoder.runner.batching = Batching(compute, torch.device(shapes_of))
        self.encoded: list[str] = []
        tokenize = self.encoder.tokenize
        self.encoder.tokenize = lambda inputs, role: self.encoded.extend(inputs) or tokenize(inputs, role)

    def encode(self, rows: list[int]) -> np.ndarray:
        self.encoded.clear()
        return self.encoder.encode_documents([TEXTS[row] for row in rows])
