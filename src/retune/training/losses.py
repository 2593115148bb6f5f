"""The loss of a batch: contrastive (InfoNCE), or learning from a teacher's scores or vectors."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, cast

import torch
from sentence_transformers import SentenceTransformer
from torch.utils.checkpoint import checkpoint

from retune.encoding.batching import token_batches
from retune.params.finetune import Finetune
from retune.training.packed.architectures import config_to_pack, packed_attention, padding_before_positions
from retune.training.packed.rows import pack, packed_batches
from retune.training.processes.group import gather, num_processes, rank, shares
from retune.training.towers import apply_head


class RankingLoss(torch.nn.Module):
    """A loss on the logits of a batch: cosine similarities of queries and documents, divided by the temperature.

    With Matryoshka dimensions (Kusupati et al., arXiv:2205.13147), it is the mean over vectors truncated to each of
    them. Texts are encoded in packed rows if the model supports it, otherwise in batches of similar length; padding all
    texts to the longest one would take twice the time.
    """

    def __init__(self, model: SentenceTransformer, params: Finetune, *, token_budget: int) -> None:
        """Take the model in training, and the most tokens in one forward pass, `token_budget`."""
        super().__init__()
        self.model = model
        self.params = params
        self.token_budget = token_budget
        self.packed_config = config_to_pack(model, params)  # None: texts are padded
        self.pads_left = model.tokenizer.padding_side == "left"
        self.num_tokens = 0  # encoded so far, without padding and second forward passes
        self.num_alone: torch.Tensor | int = 0  # queries so far that were compared with nothing but their positive

    def forward(self, features: Iterable[dict[str, torch.Tensor]], labels: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Return the mean loss of the queries.

        Args:
            features: First for queries, then for documents: `input_ids` and `attention_mask`, (texts, length). Without
                documents if their vectors are given.
            labels: `groups`, `is_compared` and `scores` of a `TrainingBatch`. `targets`, (texts, dim), are the unit
                vectors that the texts are to get: the base's if they are anchored, or a teacher's. `document_vectors`
                are given if only queries are encoded, and `query_vectors`, which enter the head, if the base is frozen.
        """
        columns = list(features)
        rows = [row for column in columns for row in zip(column["input_ids"], column["attention_mask"], strict=True)]
        lengths = [length for column in columns for length in column["attention_mask"].sum(dim=1).tolist()]
        self.num_tokens += sum(lengths)
        targets = labels.get("targets")
        if self.params.is_contrastive and targets is None:
            self.num_alone += (labels["is_compared"].sum(dim=1) == 1).sum()
        given = labels.get("query_vectors")
        vectors = self._encode(rows, lengths) if given is None else apply_head(self.model, given)
        with torch.autocast(vectors.device.type, enabled=False):
            if targets is not None:
                weight = self.params.anchor.weight if self.params.anchor else 1.0
                return weight * squared_distance(vectors.float(), targets)
            parts = [len(column["input_ids"]) for column in columns]
            queries, *encoded = torch.split(vectors.float(), parts)
            documents = encoded[0] if encoded else labels["document_vectors"]
            dims = self.params.matryoshka_dims or [vectors.shape[1]]
            return torch.stack([self.of_vectors(queries[:, :dim], documents[:, :dim], labels) for dim in dims]).mean()

    def of_vectors(
        self, queries: torch.Tensor, documents: torch.Tensor, labels: Mapping[str, torch.Tensor]
    ) -> torch.Tensor:
        """Return the mean loss of the queries, given the vectors of queries and documents, (texts, dim)."""
        normalize = torch.nn.functional.normalize
        logits = normalize(queries, dim=1) @ normalize(documents, dim=1).T / self.params.temperature
        if self.params.loss == "infonce":
            return infonce(logits, labels["groups"], labels["is_compared"])
        group_logits = torch.gather(logits, 1, labels["groups"])
        if self.params.loss == "cosent":
            return cosent(group_logits[:, 0], labels["scores"][:, 0])
        if self.params.loss == "margin_mse":
            return margin_mse(group_logits, labels["scores"])
        divergence = kl_divergence(group_logits, labels["scores"] / (self.params.teacher_temperature or 1.0))
        if (weight := self.params.kl_weight) is None:
            return divergence
        return weight * divergence + (1.0 - weight) * infonce(logits, labels["groups"], labels["is_compared"])

    def _encode(self, rows: Sequence[tuple[torch.Tensor, torch.Tensor]], lengths: Sequence[int]) -> torch.Tensor:
        """Return the vectors of texts, (texts, dim), in their order.

        With gradient caching (Gao et al., arXiv:2101.06983), only the activations of one forward pass are in memory at
        a time: the backward pass computes them again.
        """
        plans = [self._passes(share, lengths) for share in shares(lengths, num_processes())]
        passes = plans[rank()]
        parts = [self._pass([rows[member] for member in members], length) for members, length in passes]
        for _ in range(max(map(len, plans)) - len(passes)):  # DDP and FSDP need equally many passes in each process
            parts.append(self._pass(rows[:1], self._passes([0], lengths)[0][1])[:0])
        ordered = [[member for members, _ in plan for member in members] for plan in plans]
        return gather(torch.cat(parts), ordered)

    def _passes(self, share: Sequence[int], lengths: Sequence[int]) -> list[tuple[list[int], int]]:
        """Return the forward passes of a process, each as the positions of its texts and the length of its rows."""
        batches = (packed_batches if self.packed_config else token_batches)(
            [lengths[i] for i in share], self.token_budget
        )
        return [([share[member] for member in members], length) for members, length in batches]

    def _pass(self, rows: Sequence[tuple[torch.Tensor, torch.Tensor]], length: int) -> torch.Tensor:
        if self.packed_config is None:
            ids, masks = self._stack(rows, length)
            inputs: dict[str, Any] = {"input_ids": ids, "attention_mask": masks}
        else:
            texts = [ids[mask.bool()] for ids, mask in rows]
            inputs = pack(texts, length, padding_before_positions(self.packed_config))
        if self.params.gradient_caching:
            return cast(torch.Tensor, checkpoint(self._forward, inputs, use_reentrant=False))[: len(rows)]
        return self._forward(inputs)[: len(rows)]

    def _forward(self, inputs: Mapping[str, Any]) -> torch.Tensor:
        config = self.packed_config
        with packed_attention(self.model, config, inputs["groups"]) if config else nullcontext():
            features = self.model(dict(inputs))
        return cast(torch.Tensor, features["sentence_embedding"])

    def _stack(
        self, rows: Sequence[tuple[torch.Tensor, torch.Tensor]], length: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Cut or pad rows to one length, on the tokenizer's padding side."""
        ids, masks = (torch.stack([self._fit(row[part], length) for row in rows]) for part in (0, 1))
        return ids, masks

    def _fit(self, values: torch.Tensor, length: int) -> torch.Tensor:
        missing = length - len(values)
        if missing > 0:
            return torch.nn.functional.pad(values, (missing, 0) if self.pads_left else (0, missing))
        return values[-length:] if self.pads_left else values[:length]


def squared_distance(vectors: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the mean squared distance between vectors, which are normalised first, and unit vectors, (texts, dim)."""
    return (torch.nn.functional.normalize(vectors, dim=1) - targets).square().sum(dim=1).mean()


def infonce(logits: torch.Tensor, groups: torch.Tensor, is_compared: torch.Tensor) -> torch.Tensor:
    """Return the mean of -log(exp(s_ip) / sum_j exp(s_ij)) (van den Oord et al., arXiv:1807.03748).

    Args:
        logits: s, (queries, documents).
        groups: Columns of a query's positive p and its hard negatives, (queries, 1 + negatives).
        is_compared: The documents j that each query is compared with, (queries, documents) bool.
    """
    return torch.nn.functional.cross_entropy(logits.masked_fill(~is_compared, -torch.inf), groups[:, 0])


def kl_divergence(logits: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Return the mean of sum_j p_j log(p_j / q_j), where p and q are the softmax of teacher scores and of logits.

    Args:
        logits: Logits of a query's positive and its hard negatives, (queries, 1 + negatives).
        teacher: The teacher's scores of the same documents, divided by the teacher temperature.
    """
    target = torch.log_softmax(teacher, dim=1)
    student = torch.log_softmax(logits, dim=1)
    return torch.nn.functional.kl_div(student, target, reduction="batchmean", log_target=True)


def margin_mse(logits: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Return the mean squared difference between student and teacher margins (MarginMSE, arXiv:2010.02666).

    A margin is the score of the positive minus the score of a negative.

    Args:
        logits: Logits of a query's positive and its hard negatives, (queries, 1 + negatives).
        teacher: The teacher's scores of the same documents, on the scale of the logits.
    """
    ours, theirs = (values[:, :1] - values[:, 1:] for values in (logits, teacher))
    return torch.nn.functional.mse_loss(ours, theirs)


def cosent(logits: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """Return log(1 + sum of exp(s_j - s_i) over all i, j with y_i > y_j): CoSENT (Su Jianlin, kexue.fm/archives/8847).

    Args:
        logits: s, (pairs,).
        scores: y, (pairs,); only their order matters.
    """
    differences = logits[None, :] - logits[:, None]  # at i, j: s_j - s_i
    is_ordered = scores[:, None] > scores[None, :]
    return torch.logsumexp(torch.cat([logits.new_zeros(1), differences[is_ordered]]), dim=0)
