"""Which architectures run packed rows, and how their attention is replaced meanwhile."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from transformers import AttentionInterface, PreTrainedConfig
from transformers.masking_utils import AttentionMaskInterface
from transformers.models.mpnet.modeling_mpnet import MPNetEncoder, MPNetSelfAttention

from retune.params.finetune import Finetune
from retune.training.packed.attention import attend
from retune.training.packed.rows import Group

PACKED = "packed"  # the name of our attention implementation in transformers
ARCHITECTURES = ("bert", "mpnet", "roberta", "xlm-roberta")
MPNET_PADDING = 1  # whatever its configuration says
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
    return MPNET_PADDING if config.model_type == "mpnet" else int(config.pad_token_id)


@contextmanager
def packed_attention(model: SentenceTransformer, groups: Sequence[Group]) -> Iterator[None]:
    """Make a model run a packed row of these groups within the `with` block."""
    transformer: Any = model[0]
    config = transformer.model.config
    usual = config._attn_implementation
    config._attn_implementation = PACKED
    try:
        with ExitStack() as stack:
            for module in transformer.model.modules():
                if isinstance(module, MPNetEncoder):
                    biases = partial(_biases, module, groups)
                    stack.enter_context(_replaced(module, "compute_position_bias", biases))
                elif isinstance(module, MPNetSelfAttention):
                    stack.enter_context(_replaced(module, "forward", partial(_mpnet_attention, module, groups)))
            yield
    finally:
        config._attn_implementation = usual


@contextmanager
def _replaced(module: torch.nn.Module, name: str, method: Any) -> Iterator[None]:
    """Replace a method of one module within the `with` block."""
    setattr(module, name, method)
    try:
        yield
    finally:
        delattr(module, name)


def _attention(
    module: torch.nn.Module, *states: Any, scaling: float, dropout: float, groups: Sequence[Group], **_: Any
) -> tuple[torch.Tensor, None]:
    """Compute attention as transformers asks for it, with the attention mask behind Q, K and V."""
    return attend(states[:3], groups, scaling=scaling, dropout=dropout), None


def _biases(encoder: MPNetEncoder, groups: Sequence[Group], hidden: torch.Tensor) -> list[torch.Tensor]:
    """Return the position bias of each group; it depends on distances alone, so all are parts of the longest one."""
    longest = hidden.new_empty(1, max(group.length for group in groups))
    bias = type(encoder).compute_position_bias(encoder, longest)
    return [bias[..., : group.length, : group.length] for group in groups]


def _mpnet_attention(
    module: Any, groups: Sequence[Group], hidden: torch.Tensor, mask: None, biases: Sequence[torch.Tensor], **_: Any
) -> tuple[torch.Tensor]:
    """Compute MPNet's attention, (1, tokens, hidden size), which has no interface for other implementations."""
    shape = (*hidden.shape[:2], module.num_attention_heads, module.attention_head_size)
    states = [layer(hidden).view(shape).transpose(1, 2) for layer in (module.q, module.k, module.v)]
    dropout = module.dropout.p if module.training else 0.0
    attended = attend(states, groups, scaling=module.attention_head_size**-0.5, dropout=dropout, biases=biases)
    return (module.o(attended.flatten(2)),)


AttentionInterface.register(PACKED, _attention)
AttentionMaskInterface.register(PACKED, lambda *_, **__: None)
