"""Loading a model for inference: when it is first used, in its number format, with batch-invariant layers."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Generic, TypeVar

import torch
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding

from retune.encoding.batch_invariance import multiply_row_by_row
from retune.encoding.fingerprint import ModelFiles
from retune.encoding.hardware import resolve_dtype, tune_memory
from retune.encoding.packed_linear import pack_linear_layers
from retune.models.directory import check_kind, first_module, load_model
from retune.models.encoding_settings import Encoding

Model = TypeVar("Model", SentenceTransformer, CrossEncoder)


@dataclass(frozen=True)
class LazyModel(Generic[Model]):
    """A model on its device, in its number format.

    Attributes:
        load: Gives the model; called once, and not at all if nothing uses it.
        device: Where it runs.
        dtype: Of its weights.
    """

    load: Callable[[], Model]
    device: torch.device
    dtype: torch.dtype

    @classmethod
    def of(cls, model: Model) -> "LazyModel[Model]":
        """Take a model that is loaded."""
        return cls(lambda: model, model.device, next(model.parameters()).dtype)

    @cached_property
    def model(self) -> Model:
        """The model itself."""
        return self.load()


def lazy_model(
    folder: Path, encoding: Encoding, device: torch.device, files: ModelFiles | None
) -> LazyModel[SentenceTransformer]:
    """Return a directory's model, to be loaded when it is first used.

    Args:
        folder: A sentence-transformers directory.
        encoding: Names the number format.
        device: Where the model is to run.
        files: What the directory must still hold then; None: anything.

    Raises:
        InputError: It is a cross-encoder.
    """
    check_kind(folder, is_pair_scorer=False)
    dtype = _dtype(encoding, device, is_static=first_module(folder)[0] == StaticEmbedding.__name__)
    return LazyModel(partial(load_prepared, folder, device.type, dtype, files), device, dtype)


def load_prepared(
    folder: Path, device: str, dtype: torch.dtype, files: ModelFiles | None = None
) -> SentenceTransformer:
    """Load a directory's model in a number format; `files` as for `lazy_model`."""
    if files is not None:
        files.check(folder)
    return _prepare(load_model(folder, device), dtype)


def prepared_copy(model: SentenceTransformer, encoding: Encoding) -> SentenceTransformer:
    """Copy a model in the number format that `lazy_model` would give it."""
    is_static = isinstance(model[0], StaticEmbedding)
    return _prepare(copy.deepcopy(model), _dtype(encoding, model.device, is_static=is_static))


def _prepare(model: SentenceTransformer, dtype: torch.dtype) -> SentenceTransformer:
    multiply_row_by_row(list(model)[1:])
    model = model.to(dtype)
    tune_memory(model.device)
    pack_linear_layers(model[0])
    return model


def _dtype(encoding: Encoding, device: torch.device, *, is_static: bool) -> torch.dtype:
    """Return the number format; `auto` leaves a static model, which multiplies no matrices, at float32."""
    return torch.float32 if is_static and encoding.dtype == "auto" else resolve_dtype(encoding.dtype, device)
