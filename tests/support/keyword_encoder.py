"""An encoder with one axis per word, so that ranks and scores can be worked out by hand."""

import numpy as np
import torch


class KeywordEncoder:
    """Counts the word of each axis and normalises; a text without any of the words gets zeros.

    Attributes:
        encoded: The ids of all texts encoded so far.
        truncated: As in `Encoder`.
    """

    device = torch.device("cpu")

    def __init__(self, *axes: str) -> None:
        self.axes = axes
        self.encoded: list[str] = []
        self.truncated = {"queries": 0, "documents": 3}  # a number to recognise in the audit

    def encode_documents(self, texts: list[str], *, ids: list[str]) -> np.ndarray:
        self.encoded += ids
        counts = np.array([[text.split().count(axis) for axis in self.axes] for text in texts], dtype=np.float32)
        return counts / np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1e-9)

    def encode_queries(self, texts: list[str], prompts: list[str | None], *, ids: list[str]) -> np.ndarray:
        return self.encode_documents(texts, ids=ids)
