"""Random generators that depend on a seed and a name only, never on order or on what else is drawn."""

import hashlib

import numpy as np


def generator(seed: int, name: str) -> np.random.Generator:
    """Return the generator of one named thing, such as a query."""
    digest = hashlib.sha256(f"{seed}\0{name}".encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, dtype=np.uint64))
