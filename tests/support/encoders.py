"""Random encoders of any kind that transformers knows."""

from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from transformers import AutoConfig, AutoModel

SIZES = {
    "vocab_size": 96,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 66,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}


def random_encoder(
    kind: str, tiny_model: Path, folder: Path, pooling: str = "mean", **changes: object
) -> SentenceTransformer:
    """Make a random encoder of a kind, with the tiny model's tokenizer."""
    tokenizer = SentenceTransformer(str(tiny_model), device="cpu").tokenizer
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **SIZES | {"pad_token_id": tokenizer.pad_token_id} | changes)
    AutoModel.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    transformer = Transformer(str(folder), model_kwargs={"attn_implementation": "eager"})
    return SentenceTransformer(modules=[transformer, Pooling(32, pooling)], device="cpu").train()
