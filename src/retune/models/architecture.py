"""What a loaded transformer can do: how many positions it has, and which tokens a token sees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder, SentenceTransformer


@torch.inference_mode()
def is_causal(model: SentenceTransformer | CrossEncoder) -> bool:
    """Return whether a token's vector is independent of the next token; the token ids are arbitrary."""
    first, other = (
        model[0]({"input_ids": torch.tensor([ids]), "attention_mask": torch.ones(1, 2, dtype=torch.long)})
        for ids in ([3, 4], [3, 5])
    )
    return torch.equal(first["token_embeddings"][0, 0], other["token_embeddings"][0, 0])


def num_positions(model: SentenceTransformer | CrossEncoder) -> int | None:
    """Return the number of positions of a model; models like RoBERTa count them from after the padding id."""
    transformer = cast(Any, model[0]).auto_model
    for name, module in transformer.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, torch.nn.Embedding) and module.padding_idx:
            return module.num_embeddings - module.padding_idx - 1
    return getattr(transformer.config, "max_position_embeddings", None)
