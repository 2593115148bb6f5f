"""Which architectures run packed rows, and how their attention is replaced meanwhile."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from transformers import AttentionInterface, PreTrainedConfig
from transformers.masking_utils import AttentionMaskInterface

from retune.params.finetune import Finetune
from retune.training.packed import mpnet
from retune.training.packed.attention import attend
from retune.training.packed.rows import Group

PACKED = "packed"  # the name of our attention implementation in transformers
ARCHITECTURES = ("bert", "mpnet", "roberta", "xlm-roberta")
CHECKPOINTING = ("gradient_checkpointing", "activation_checkpointing")  # training arguments that mean the same


def config_to_pack(model: SentenceTransformer, params: Finetune) -> PreTrainedConfig | None:
    """Return the model's configuration if it can train on packed rows, otherwise None.

    It can if it is an encoder of one of the `ARCHITECTURES` with pooling, trains on a CPU with `attention: auto`, and
    does not use gradient checkpointing.
    """
    transformer, pooling, *_ = [*model, None]  # some models are one module
    if not isinstance(transformer, Transformer) or not isinstance(pooling, Pooling):
        return None
    config: PreTrainedConfig = transformer.model.config
    is_encoder = config.model_type in ARCHITECTURES and not getattr(config, "is_decoder", False)
    stays_on_cpu = model.device.type == "cpu" and not params.is_sharded
    is_free = params.attention == "auto" and not any(params.trainer.get(name) for name in CHECKPOINTING)
    return config if is_encoder and stays_on_cpu and is_free else None


def padding_before_positions(config: PreTrainedConfig) -> int | None:
    """Return the id of the padding token that a model's positions start after; None: they start at 0."""
    if config.model_type == "bert":
        return None
    return mpnet.PADDING if config.model_type == "mpnet" else int(config.pad_token_id)


@contextmanager
def packed_attention(model: torch.nn.Module, config: PreTrainedConfig, groups: Sequence[Group]) -> Iterator[None]:
    """Make a model with this configuration run a packed row of these groups within the `with` block."""
    usual = config._attn_implementation
    config._attn_implementation = PACKED
    try:
        with mpnet.packed_mpnet(model, groups):
            yield
    finally:
        config._attn_implementation = usual


def _attention(
    module: torch.nn.Module, *states: Any, scaling: float, dropout: float, groups: Sequence[Group], **_: Any
) -> tuple[torch.Tensor, None]:
    """Compute attention as transformers asks for it, with the attention mask behind Q, K and V."""
    return attend(states[:3], groups, scaling=scaling, dropout=dropout), None


AttentionInterface.register(PACKED, _attention)
AttentionMaskInterface.register(PACKED, lambda *_, **__: None)
