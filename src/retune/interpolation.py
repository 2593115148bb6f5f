"""Weights between those of the base and those tuned (WiSE-FT: Wortsman et al., arXiv:2109.01903)."""

from collections.abc import Mapping

import torch
from sentence_transformers import SentenceTransformer


@torch.no_grad()
def move_towards(model: SentenceTransformer, base: Mapping[str, torch.Tensor], base_share: float) -> None:
    """Set each weight, in place, to base_share * base + (1 - base_share) * its value; one of two names moves once."""
    moved = set()
    for name, values in model.state_dict().items():
        if values.is_floating_point() and values.data_ptr() not in moved:
            moved.add(values.data_ptr())
            values.lerp_(base[name].to(values.device), base_share)
