"""Check that a base model is complete, and that its pooling and maximum lengths suit its architecture."""

from pathlib import Path
from typing import Any, cast

import torch
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding

from retune.core.errors import InputError
from retune.models.directory import first_module, pair_max_length
from retune.models.encoding_settings import Encoding

ADAPTER = "adapter_config.json"
UNSUITED_TO_DECODERS = ("mean", "cls")  # they use tokens that have not seen the whole text


def check_no_adapter(folder: Path, where: str) -> None:
    """Refuse a LoRA adapter, which is not a model without its base."""
    if any((place / ADAPTER).is_file() for place in (folder, first_module(folder)[1])):
        raise InputError(
            f"{where}: expected a complete model, got a LoRA adapter in {folder} ({ADAPTER}); merge it into its base "
            "(peft: merge_and_unload) and save the merged model"
        )


def check_pooling(model: SentenceTransformer | CrossEncoder, mode: str | None, where: str) -> None:
    """Refuse poolings of a decoder that use tokens which have not seen the whole text."""
    if mode in UNSUITED_TO_DECODERS and _is_causal(model):
        raise InputError(
            f"{where}.pooling: expected lasttoken, as a decoder's token sees only the tokens before it, got {mode}; "
            f"write lasttoken, or fix the pooling config of the model folder if {mode} comes from there"
        )


def check_lengths(model: SentenceTransformer | CrossEncoder, encoding: Encoding, where: str) -> None:
    """Refuse maximum lengths that leave no room for the text or exceed the model's positions."""
    if isinstance(model[0], StaticEmbedding):
        return  # static models have neither positions nor special tokens
    positions = _num_positions(model)
    special = model.tokenizer.num_special_tokens_to_add()
    suffix = len(model.tokenizer(encoding.query_suffix, add_special_tokens=False)["input_ids"])
    for name, needed in (("query_max_length", special + suffix + 1), ("document_max_length", special + 1)):
        if getattr(encoding, name) < needed:
            raise InputError(
                f"{where}.{name}: expected at least {needed} tokens, special tokens and suffix included, "
                f"got {getattr(encoding, name)}"
            )
        if positions is not None and getattr(encoding, name) > positions:
            raise InputError(
                f"{where}.{name}: expected at most the model's {positions} positions, got {getattr(encoding, name)}"
            )
    limit = model.tokenizer.model_max_length
    if isinstance(model, CrossEncoder) and pair_max_length(encoding) > limit:
        raise InputError(
            f"{where}: expected query_max_length and document_max_length to add up to at most {limit}, as the "
            f"cross-encoder reads both at once, got {encoding.query_max_length} + {encoding.document_max_length}"
        )


@torch.inference_mode()
def _is_causal(model: SentenceTransformer | CrossEncoder) -> bool:
    """Return whether a token's vector is independent of the next token; the token ids are arbitrary."""
    first, other = (
        model[0]({"input_ids": torch.tensor([ids]), "attention_mask": torch.ones(1, 2, dtype=torch.long)})
        for ids in ([3, 4], [3, 5])
    )
    return torch.equal(first["token_embeddings"][0, 0], other["token_embeddings"][0, 0])


def _num_positions(model: SentenceTransformer | CrossEncoder) -> int | None:
    """Return the number of positions of a model; models like RoBERTa count them from after the padding id."""
    transformer = cast(Any, model[0]).auto_model
    for name, module in transformer.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, torch.nn.Embedding) and module.padding_idx:
            return module.num_embeddings - module.padding_idx - 1
    return getattr(transformer.config, "max_position_embeddings", None)
