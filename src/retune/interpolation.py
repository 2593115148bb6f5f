"""Weights between those of the base and those tuned (WiSE-FT: Wortsman et al., arXiv:2109.01903)."""

from collections.abc import Mapping

import torch
from sentence_transformers import SentenceTransformer


@torch.no_grad()
def move_towards(model: SentenceTransformer, base: Mapping[str, torch.Tensor], base_share: float) -> None:
    """Set each weight, in place, to base_share * base + (1 - base_share) * its value."""
    for name, values in model.state_dict().items():
        if values.is_floating_point():
            values.lerp_(base[name].to(values.device), base_share)
