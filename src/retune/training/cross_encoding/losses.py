"""The losses of cross-encoders, and the batches in the form that they read."""

from typing import Any

import torch
from sentence_transformers import CrossEncoder
from sentence_transformers.cross_encoder.data_collator import CrossEncoderDataCollator
from sentence_transformers.cross_encoder.losses import BinaryCrossEntropyLoss, LambdaLoss

from retune.models.encoding_settings import Encoding
from retune.params.finetune import Finetune
from retune.training.batches.plan import Plan

ALL_PAIRS = -1  # the library's word for a mini-batch of all pairs, which PairModel divides by length


def make_loss(model: CrossEncoder, params: Finetune) -> torch.nn.Module:
    """Return the library's loss of a training.

    `binary` is the cross-entropy of each pair, in which a positive weighs as much as its negatives together.
    `list_wise` is LambdaLoss with the weights of NDCG-Loss2++ (Wang et al., CIKM 2018), because it bounds nDCG, by
    which rerankers are judged.
    """
    assert params.cross_encoder is not None
    if params.cross_encoder.loss == "binary":
        return BinaryCrossEntropyLoss(model, pos_weight=torch.tensor(float(params.hard_negatives)))
    return LambdaLoss(model, mini_batch_size=ALL_PAIRS)


class PairCollator(CrossEncoderDataCollator):
    """Turns the number of a batch into the texts and labels that the loss reads: a positive is 1, a negative 0."""

    def __init__(self, plan: Plan, params: Finetune, encoding: Encoding) -> None:
        """Take the batches, and the prefixes of the texts."""
        super().__init__(preprocess_fn=list, valid_label_columns=[])
        assert params.cross_encoder is not None
        self._plan, self._is_list_wise = plan, params.cross_encoder.loss == "list_wise"
        self._queries = [encoding.query_prefix + text for text, _ in plan.queries]
        self._documents = [encoding.document_prefix + text for text in plan.documents]

    def __call__(self, features: list[dict[str, Any]]) -> dict[str, Any]:
        """Return `query`, `document` and `label`: lists of each query's documents and labels, or one pair a row."""
        batch = self._plan.batch(features[0]["batch"])
        queries = [self._queries[position] for position in batch.queries.tolist()]
        lists = [[self._documents[position] for position in row] for row in batch.documents[batch.groups].tolist()]
        labels = torch.zeros(batch.groups.shape)
        labels[:, 0] = 1.0
        if self._is_list_wise:
            return {"query": queries, "document": lists, "label": list(labels)}
        repeated = [query for query, documents in zip(queries, lists, strict=True) for _ in documents]
        flat = [document for documents in lists for document in documents]
        return {"query": repeated, "document": flat, "label": labels.flatten()}
