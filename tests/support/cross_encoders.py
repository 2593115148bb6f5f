"""A tiny cross-encoder made on the spot."""

import shutil
from pathlib import Path

import torch
from transformers import BertConfig, BertForSequenceClassification


def save_tiny_cross_encoder(tiny_transformer: Path, folder: Path, *, num_labels: int = 1, activation: str = "") -> Path:
    """Write a random BERT with a head as transformers saves it, its tokenizer the tiny transformer's.

    Args:
        tiny_transformer: The fixture's folder.
        folder: To be made.
        num_labels: Scores a pair.
        activation: Of torch, as the Hub's cross-encoders name it in config.json; "" for none.
    """
    shutil.copytree(tiny_transformer, folder, ignore=shutil.ignore_patterns("config.json", "*.safetensors"))
    config = BertConfig.from_pretrained(tiny_transformer, num_labels=num_labels, initializer_range=0.2)
    if activation:
        config.sentence_transformers = {"activation_fn": activation}
    torch.manual_seed(0)
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder
