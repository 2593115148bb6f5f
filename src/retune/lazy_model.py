"""A model that is loaded when it is first used, and what is known of it before."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, TypeVar

import torch
from sentence_transformers import CrossEncoder, SentenceTransformer

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
