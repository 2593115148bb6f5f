"""An encoder of one axis per word, so that ranks and scores can be read off."""

import numpy as np
import torch


class KeywordEncoder:
    """Counts each axis's word and normalises."""

    device = torch.device("cpu")

    def __init__(self, *axes: str) -> None:
        self.axes = axes

    def encode_documents(self, texts: list[str], *, ids: list[str]) -> np.ndarray:
        counts = np.array([[text.split().count(axis) for axis in self.axes] for text in texts], dtype=np.float32)
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)

    def encode_queries(self, texts: list[str], prompts: list[str | None], *, ids: list[str]) -> np.ndarray:
        return self.encode_documents(texts, ids=ids)
