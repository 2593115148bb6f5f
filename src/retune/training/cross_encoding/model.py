"""The cross-encoder in training: made from an encoder or a cross-encoder, and run on pairs of similar length."""

from collections.abc import Mapping
from typing import Any

import torch
from sentence_transformers import CrossEncoder
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding

from retune.core.errors import InputError
from retune.encoding.batching import token_batches
from retune.models.architecture import is_causal, num_positions
from retune.models.directory import (
    errors_of_loading,
    first_module,
    is_cross_encoder,
    load_cross_encoder,
    load_model,
    pair_max_length,
)
from retune.models.encoding_settings import Encoding
from retune.training.spec import Task


class PairModel(CrossEncoder):
    """A cross-encoder that in training runs one batch of pairs of similar length after another.

    Padding all pairs of a step to the longest one would take up to twice the time. Outside training, it is a
    `CrossEncoder` like any other.

    Attributes:
        num_tokens: The tokens it has read in training so far, without padding.
        token_budget: The most tokens in one forward pass.
    """

    num_tokens = 0
    token_budget = 0

    def forward(self, input: dict[str, torch.Tensor], **options: Any) -> dict[str, torch.Tensor]:
        """Return `scores`, the logits of the pairs, (pairs, 1), in the order of the pairs."""
        if not self.training:
            return super().forward(input, **options)
        lengths = input["attention_mask"].sum(dim=1).tolist()
        self.num_tokens += sum(lengths)
        scores, order = [], list[int]()
        for rows, length in token_batches(lengths, self.token_budget):
            part = {name: self._cut(values[rows], length) for name, values in _tensors(input).items()}
            scores.append(super().forward(part, **options)["scores"].float())
            order += rows
        return {"scores": torch.cat(scores)[torch.argsort(torch.tensor(order, device=scores[0].device))]}

    def _cut(self, values: torch.Tensor, length: int) -> torch.Tensor:
        return values[:, -length:] if self.tokenizer.padding_side == "left" else values[:, :length]


def _tensors(features: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    return {name: values for name, values in features.items() if isinstance(values, torch.Tensor)}


def load_for_training(task: Task, encoding: Encoding, device: torch.device) -> PairModel:
    """Load the base in float32, with its dropout set; an embedding model's transformer gets a new head.

    Args:
        task: The training.
        encoding: The encoding settings of the tuned model.
        device: The device to train on.

    Raises:
        InputError: The base is BM25, a static model, a decoder or an export; a pair may be longer than it has
            positions; or the attention implementation is not available here.
    """
    transformer, activation = _transformer(task)
    model: PairModel = PairModel(modules=[transformer], device=device.type, activation_fn=activation)
    model.float()
    positions, longest = num_positions(model), pair_max_length(encoding)
    if positions is not None and longest > positions:
        raise InputError(
            f"{task.base}: expected query_max_length and document_max_length to add up to at most the model's "
            f"{positions} positions, as a cross-encoder reads both at once, got {encoding.query_max_length} + "
            f"{encoding.document_max_length}; fetch it once more with shorter ones"
        )
    _set_attention(model, task.params.attention)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = task.params.dropout
    model.max_seq_length = longest
    model.token_budget = task.compute.token_budget
    return model


def _transformer(task: Task) -> tuple[Any, Any]:
    """Return the transformer to train, with a head for one score, and the activation of its scores."""
    if is_cross_encoder(task.base):
        base = load_cross_encoder(task.base, "cpu")
        return base[0], base.activation_fn
    encoder = load_model(task.base, "cpu")
    if isinstance(encoder[0], StaticEmbedding):
        raise InputError(f"{task.base}: expected a transformer to train, got a static model; name another base")
    if is_causal(encoder):
        raise InputError(
            f"{task.base}: expected an encoder to make a cross-encoder of, got a decoder; name another base"
        )
    with errors_of_loading(task.base), torch.random.fork_rng(devices=[]):
        torch.manual_seed(task.seed)  # of the new head
        transformer = Transformer(
            str(first_module(task.base)[1]),
            transformer_task="sequence-classification",
            do_lower_case=bool(getattr(encoder[0], "do_lower_case", False)),
            **{f"{part}_kwargs": {"local_files_only": True} for part in ("model", "processor", "config")},
        )
    return transformer, torch.nn.Identity()


def _set_attention(model: PairModel, attention: str) -> None:
    """Choose the implementation of attention; `auto` is eager on a CPU, where that is fastest, else as saved."""
    if attention == "auto" and model.device.type != "cpu":
        return
    try:
        model[0].model.set_attn_implementation("eager" if attention == "auto" else attention)  # type: ignore[operator, union-attr]
    except (ImportError, ValueError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise InputError(f"attention: {attention}: {reason}; use auto") from None
