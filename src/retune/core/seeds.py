"""Random generators that depend only on a seed and a name, not on the order of draws or on other draws."""

import hashlib

import numpy as np


def generator(seed: int, name: str) -> np.random.Generator:
    """Return the generator for one name, such as a query id."""
    digest = hashlib.sha256(f"{seed}\0{name}".encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, dtype=np.uint64))
