"""Run a model on tokenised texts, batch by batch: in this process, or in one process for each device."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tqdm import tqdm

from retune.encoding.batching import Batching
from retune.encoding.compute import Compute
from retune.encoding.fingerprint import ModelFiles, fingerprint, machine
from retune.encoding.loading import LazyModel, load_prepared
from retune.encoding.ray_workers import RayWorkers
from retune.encoding.tokenizing import Texts, Tokenizer
from retune.encoding.workers import Forward, TokenBatch, WorkerPool
from retune.models.directory import read_encoding
from retune.models.encoding_settings import Encoding, Role

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

MIN_TEXTS = 10_000  # from here on, several processes are worth the ten seconds or so that they take to start


class Runner(ABC):
    """Turns the token ids of texts into their vectors, or asks for them.

    Attributes:
        device: The device that the model runs on.
        dtype: The number format of its weights.
        pool: The processes that share the work if there are many texts; None: this process does it all.
    """

    device: torch.device
    dtype: torch.dtype
    pool: WorkerPool | RayWorkers | None = None

    @property
    @abstractmethod
    def model(self) -> SentenceTransformer:
        """The model, which is loaded on first use."""

    @property
    @abstractmethod
    def dim(self) -> int:
        """The number of dimensions of the vectors."""

    @property
    @abstractmethod
    def tokenizer(self) -> Any:
        """What turns texts into token ids, as `Tokenizer` does."""

    @abstractmethod
    def key(self, files: ModelFiles, role: Role) -> str:
        """Return the cache's key of the vectors of a role, which have exactly the bits that this runner gives."""

    @abstractmethod
    def run(self, inputs: Texts, rows: list[int], token_ids: list[list[int]]) -> Iterator[tuple[list[int], np.ndarray]]:
        """Yield rows and their vectors, until all are done or the device runs out of memory.

        Args:
            inputs: The texts, for messages and the progress bar.
            rows: Those of `inputs.texts` to encode.
            token_ids: The token ids of each of these rows.
        """


class BatchRunner(Runner):
    """Runs a model on token ids.

    Attributes:
        batching: Forms its batches.
    """

    def __init__(
        self, model: SentenceTransformer | LazyModel[SentenceTransformer], encoding: Encoding, compute: Compute
    ) -> None:
        """Take a loaded model, or one that is loaded on first use; the arguments are those of `Encoder`."""
        self._lazy = model if isinstance(model, LazyModel) else LazyModel.of(model)
        self._encoding = encoding
        self.device, self.dtype = self._lazy.device, self._lazy.dtype
        self.batching = Batching(compute, self.device)

    @property
    def model(self) -> SentenceTransformer:
        """The model, which is loaded on first use."""
        return self._lazy.model

    @property
    def dim(self) -> int:
        """The number of dimensions of the model's vectors."""
        return int(self.model.get_embedding_dimension() or 0)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer, with its maximum lengths and query suffix."""
        return Tokenizer(self.model.tokenizer, self._encoding)

    def key(self, files: ModelFiles, role: Role) -> str:
        """Return the cache's key of the vectors of a role."""
        budget = self.batching.token_budget
        return fingerprint(files, self._encoding, role, dtype=self.dtype, device=self.device, token_budget=budget)

    def share(self, folder: Path, compute: Compute, devices: Sequence[str]) -> None:
        """Divide many texts among processes, each of which loads the model from its directory.

        Args:
            folder: The directory; on a cluster, every node needs it at this path.
            compute: Says whether the processes are those of a Ray cluster.
            devices: On this machine, there is one process for each of them, and none for a single one. If there are
                none, this process does all work, also where there is a cluster.
        """
        load = partial(_load_forward, folder.resolve(), compute, self.dtype, None)
        if compute.engine == "ray" and devices:
            load = partial(_load_forward, folder.resolve(), compute, self.dtype, ModelFiles.of(folder))
            self.pool = RayWorkers(load, self.device, machine(self.device))
        elif len(devices) > 1:
            self.pool = WorkerPool(load, devices)

    def run(self, inputs: Texts, rows: list[int], token_ids: list[list[int]]) -> Iterator[tuple[list[int], np.ndarray]]:
        """Yield the rows of each batch and their vectors."""
        if not all(token_ids):
            raise inputs.no_direction(next(row for row, ids in zip(rows, token_ids, strict=True) if not ids))
        self.batching.measure(self.model[0])
        batches = self.batching.batches([len(ids) for ids in token_ids])
        filled = (
            (self.batching.fill([token_ids[member] for member in members], length), length)
            for members, length in batches
        )
        pool = self.pool if len(rows) >= MIN_TEXTS else None
        done = pool.map(filled) if pool else map(self.forward_or_none, filled)
        with _progress_bar(len(inputs.texts), len(inputs.texts) - len(rows), inputs.role) as progress:
            for (members, length), vectors in zip(batches, done, strict=True):
                if vectors is None:
                    return self.batching.halve(length)
                batch = [rows[member] for member in members]
                inputs.check(vectors[: len(batch)], batch)
                progress.update(len(batch))
                yield batch, vectors[: len(batch)]

    def forward_or_none(self, batch: TokenBatch) -> np.ndarray | None:
        """Return the vectors of a batch; None if the device runs out of memory."""
        try:
            return self.forward(*batch)
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
            return None

    @torch.inference_mode()
    def forward(self, token_ids: list[list[int]], length: int) -> np.ndarray:
        """Return the vectors of one batch, (texts, dim) float32, after padding it to a length."""
        self.model.eval()
        features = self.tokenizer.features(token_ids, length, self.device)
        vectors = self.model(features)["sentence_embedding"].float()
        return torch.nn.functional.normalize(vectors, dim=1).cpu().numpy()


def _load_forward(folder: Path, compute: Compute, dtype: torch.dtype, files: ModelFiles | None, device: str) -> Forward:
    """Load the model in a worker process; `files` are those that the directory must have there, if they are given."""
    return BatchRunner(load_prepared(folder, device, dtype, files), read_encoding(folder), compute).forward_or_none


def _progress_bar(total: int, initial: int, role: Role) -> tqdm[Any]:
    """Show texts per second and the time left; texts from the cache do not count for the speed."""
    return tqdm(total=total, initial=initial, desc=f"encode {role}", unit="text", leave=False, mininterval=1.0)
