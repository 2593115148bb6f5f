"""Random decoders of 2 layers, as their authors' repositories hold them: no pooling config."""

from pathlib import Path
from typing import Any

import torch
from tokenizers.processors import Sequence
from transformers import (
    BertTokenizerFast,
    MistralConfig,
    MistralModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2Model,
)

from retune.core.files import sha256
from retune.fetching import fetch
from retune.params.fetch import Fetch

KINDS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "qwen2": (Qwen2Model, Qwen2Config, {"padding_side": "right", "pad_token": "[PAD]", "eos_token": "[SEP]"}),
    "mistral": (MistralModel, MistralConfig, {"padding_side": "left", "eos_token": "[SEP]"}),  # no padding token
}


def save_decoder(kind: str, vocabulary: Path, folder: Path) -> None:
    """Write a transformer of random weights, with another model's tokenizer but for special tokens."""
    model, config, special = KINDS[kind]
    words = BertTokenizerFast.from_pretrained(vocabulary).backend_tokenizer
    words.post_processor = Sequence([])
    PreTrainedTokenizerFast(tokenizer_object=words, model_max_length=64, **special).save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "max_position_embeddings": 64}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16}
    model(config(**sizes, **heads, vocab_size=words.get_vocab_size())).save_pretrained(folder)


def fetch_decoder(kind: str, vocabulary: Path, encoding: dict[str, object], out: Path) -> Path:
    """Make a decoder beside `out`, and bring it in there with last-token pooling."""
    folder = out.with_name(f"{out.name}_{kind}")
    save_decoder(kind, vocabulary, folder)
    source = {"source": "path", "path": str(folder), "sha256": sha256(folder / "model.safetensors")}
    values = {"pooling": "lasttoken"} | encoding | source
    fetch.fetch(Fetch.parse("fetch.decoder", values), out, where="params.yaml: fetch.decoder")
    return out
