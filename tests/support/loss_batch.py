"""A batch to compute a loss of: three queries, four documents, and the groups, comparisons and scores among them."""

from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer

from retune.encoding.encoder import Encoder
from retune.encoding.tokenizing import pad
from retune.models.directory import read_encoding
from tests.support.parameters import COMPUTE

QUERIES = ["sum of a matrix", "graph", "sort"]
DOCUMENTS = ["path path path path path", "node of the graph edge", "array", "prime factor"]
EVERYTHING = torch.ones(3, 4, dtype=torch.bool)
GROUPS = torch.tensor([[0, 3], [1, 3], [2, 3]])
SCORES = torch.tensor([[0.9, 0.2], [0.4, 0.5], [0.7, 0.1]])


def features(model: SentenceTransformer, tiny_model: Path) -> list[dict[str, torch.Tensor]]:
    encoder = Encoder(model, read_encoding(tiny_model), COMPUTE)
    ids = [encoder.tokenize_documents(texts) for texts in (QUERIES, DOCUMENTS)]
    return [pad(encoder.tokenizer, column, max(map(len, column)), torch.device("cpu")) for column in ids]


def gradients(model: SentenceTransformer) -> torch.Tensor:
    return torch.cat([value.grad.flatten() for value in model.parameters() if value.grad is not None])
