"""Contrastive losses over one batch."""

from collections.abc import Iterable
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

from retune.batching import token_batches


class TokenBatchedInfoNCE(MultipleNegativesRankingLoss):
    """InfoNCE (van den Oord et al., arXiv:1807.03748) whose texts run in batches of similar length.

    loss = -log(exp(s_ii / t) / sum_j exp(s_ij / t)), s the cosine similarities of query i and every document j
    of the batch, t the temperature. Padding to the longest text of the batch would cost twice the time.
    """

    def __init__(self, model: SentenceTransformer, *, temperature: float, token_budget: int) -> None:
        """Take the model in training, the temperature, and the most tokens in one forward pass."""
        super().__init__(model, scale=1.0 / temperature)
        self.token_budget = token_budget
        self.pads_left = model.tokenizer.padding_side == "left"

    def forward(self, sentence_features: Iterable[dict[str, torch.Tensor]], labels: torch.Tensor) -> torch.Tensor:
        """Return the mean loss of the columns anchor, positive and negatives, each (batch, length)."""
        columns = list(sentence_features)
        rows = [(ids, mask) for column in columns for ids, mask in zip(*_tensors(column), strict=True)]
        lengths = [int(mask.sum()) for _, mask in rows]
        embeddings: list[Any] = [None] * len(rows)
        for positions, length in token_batches(lengths, self.token_budget):
            vectors = self.model(self._stack([rows[position] for position in positions], length))["sentence_embedding"]
            for position, vector in zip(positions, vectors, strict=True):
                embeddings[position] = vector
        size = len(rows) // len(columns)
        stacked = [torch.stack(embeddings[start : start + size]) for start in range(0, len(rows), size)]
        loss: torch.Tensor = self.compute_loss_from_embeddings(stacked, labels)
        return loss

    def _stack(self, rows: list[tuple[torch.Tensor, torch.Tensor]], length: int) -> dict[str, torch.Tensor]:
        """Cut or pad rows to one length on the tokenizer's side."""
        ids, masks = ([self._fit(row[part], length) for row in rows] for part in (0, 1))
        return {"input_ids": torch.stack(ids), "attention_mask": torch.stack(masks)}

    def _fit(self, values: torch.Tensor, length: int) -> torch.Tensor:
        missing = length - len(values)
        if missing > 0:
            return torch.nn.functional.pad(values, (missing, 0) if self.pads_left else (0, missing))
        return values[-length:] if self.pads_left else values[:length]


def _tensors(column: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    return column["input_ids"], column["attention_mask"]
