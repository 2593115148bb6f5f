"""Compare the vectors of an export with those of the model, after reloading it from disk in a new process."""

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from retune.core.errors import InputError
from retune.core.records import document_texts, read_corpus, read_split
from retune.core.seeds import generator
from retune.encoding.compute import Compute
from retune.encoding.encoder import Encoder
from retune.params.export import Parity


@dataclass(frozen=True)
class Texts:
    """The texts that are compared.

    Attributes:
        documents: Texts of documents.
        queries: Texts of queries.
        prompts: For each query, its prompt or None.
    """

    documents: Sequence[str]
    queries: Sequence[str]
    prompts: Sequence[str | None]

    def encode(self, encoder: Encoder) -> np.ndarray:
        """Return the vectors of documents and queries, (texts, dim)."""
        documents = encoder.encode_documents(self.documents)
        return np.concatenate([documents, encoder.encode_queries(self.queries, self.prompts)])


def draw_texts(dataset: Path, count: int, seed: int) -> Texts:
    """Draw texts of a data set: queries of dev and test for half of them at most, documents for the rest."""
    rng = generator(seed, "parity")
    queries = pd.concat([read_split(dataset, split).queries for split in ("dev", "test")])
    documents = document_texts(read_corpus(dataset))
    asked = queries.iloc[np.sort(rng.permutation(len(queries))[: count // 2])]
    rows = np.sort(rng.permutation(len(documents))[: count - len(asked)])
    prompts = [prompt if isinstance(prompt, str) else None for prompt in asked["prompt"]]
    return Texts([documents[row] for row in rows], asked["text"].tolist(), prompts)


def encode_in_new_process(folder: Path, texts: Texts, compute: Compute) -> np.ndarray:
    """Return the vectors of a model directory, which a new process reads from disk.

    Raises:
        InputError: The model cannot be loaded, or a vector is not finite or has no direction.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(_encode, folder, texts, compute.model_copy(update={"cache": None})).result()
        except BrokenProcessPool:
            raise InputError(f"{folder}: the process that reloads the export ended early; it may lack memory") from None


def _encode(folder: Path, texts: Texts, compute: Compute) -> np.ndarray:
    return texts.encode(Encoder.load(folder, compute, devices=()))


def cosines(expected: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Return the cosine of each vector with the one expected, which is cut to as many dimensions, (texts,).

    Args:
        expected: (texts, dim), of any length.
        found: Unit vectors, (texts, at most dim).
    """
    head = expected[:, : found.shape[1]]
    products = (head * found).sum(axis=1, dtype=np.float64)
    result: np.ndarray = products / np.linalg.norm(head.astype(np.float64), axis=1)
    return result


def check_parity(
    values: np.ndarray, limits: Parity, where: str, remedy: str = "choose a wider dtype, or lower the limit"
) -> None:
    """Check cosines with the model's vectors against limits; the remedy is part of the message.

    Raises:
        InputError: One is too small, or no number.
    """
    for name, value, limit in (
        ("least", float(values.min()), limits.least),
        ("median", float(np.median(values)), limits.median),
    ):
        if not value >= limit:
            raise InputError(
                f"{where}.parity.{name}: expected at least {limit:g}, got {value:.5f}, {limit - value:.5f} too little; "
                f"{remedy}"
            )
