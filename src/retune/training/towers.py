"""Query towers: models for queries alone, whose documents keep the vectors of the base."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize
from torch.nn.parallel import DistributedDataParallel

from retune.encoding.encoder import Encoder
from retune.training.batches.plan import Plan, TrainingBatch


@dataclass(frozen=True)
class BaseVectors:
    """The base's unit vectors of the texts of a plan.

    Attributes:
        documents: (documents, dim) float32.
        queries: (queries, dim) float32; None if queries are encoded in training.
    """

    documents: np.ndarray
    queries: np.ndarray | None

    @classmethod
    def encode(cls, encoder: Encoder, plan: Plan, *, with_queries: bool) -> "BaseVectors":
        """Encode the texts of a plan with the base; what mining encoded comes from the cache."""
        documents = encoder.encode_documents(plan.documents)
        if not with_queries:
            return cls(documents, None)
        texts, prompts = zip(*plan.queries, strict=True)
        return cls(documents, encoder.encode_queries(texts, prompts))

    def of(self, batch: TrainingBatch) -> dict[str, np.ndarray]:
        """Return `document_vectors` of a batch, and `query_vectors` if they are known, (texts, dim) float32 each."""
        found = {"document_vectors": self.documents[batch.documents]}
        return found if self.queries is None else found | {"query_vectors": self.queries[batch.queries]}


def add_head(model: SentenceTransformer, head: Literal["linear", "network"]) -> None:
    """Freeze a model in place, and add trainable layers behind it that at first change nothing.

    Args:
        model: A model that ends with unit vectors of dimension d.
        head: `linear` is a d x d matrix with a bias. `network` has a hidden layer of 2d rectified units, which at first
            are the positive and the negative part of each number.
    """
    for parameter in model.parameters():
        parameter.requires_grad = False
    dim = int(model.get_embedding_dimension() or 0)
    unit = torch.eye(dim)
    if head == "linear":
        layers = [_dense(unit, torch.nn.Identity())]
    else:
        halves = torch.cat([unit, -unit])
        layers = [_dense(halves, torch.nn.ReLU()), _dense(halves.T.contiguous(), torch.nn.Identity())]
    for layer in (*layers, Normalize()):
        model.append(layer.to(model.device))


def apply_head(model: SentenceTransformer | DistributedDataParallel, vectors: torch.Tensor) -> torch.Tensor:
    """Return what the layers behind the frozen base make of its vectors, (texts, dim)."""
    modules = list(model.module if isinstance(model, DistributedDataParallel) else model)
    is_trained = [any(values.requires_grad for values in module.parameters()) for module in modules]
    features = {"sentence_embedding": vectors}
    for module in modules[is_trained.index(True) :]:
        features = module(features)
    return features["sentence_embedding"]


def _dense(weight: torch.Tensor, activation: torch.nn.Module) -> Dense:
    """Return a layer with these weights, (out, in), and a bias of 0."""
    return Dense(
        in_features=weight.shape[1],
        out_features=weight.shape[0],
        activation_function=activation,
        init_weight=weight,
        init_bias=torch.zeros(weight.shape[0]),
    )
