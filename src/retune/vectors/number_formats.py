"""Number formats of stored vectors: float32, float16, int8 with a scale for each dimension, and one bit a dimension."""

import numpy as np

BITS = {"float32": 32, "float16": 16, "int8": 8, "binary": 1}  # of a dimension
INT8_MAX = 127


def num_bytes(dtype: str, dim: int) -> int:
    """Return the bytes of a vector."""
    return -(-dim * BITS[dtype] // 8)


def int8_scales(vectors: np.ndarray) -> np.ndarray:
    """Return what a step of int8 is worth in each dimension, (dim,) float32.

    The value farthest from zero becomes 127 or -127.
    """
    largest = np.abs(vectors).max(axis=0, initial=0.0)
    return np.where(largest > 0, largest / INT8_MAX, 1.0).astype(np.float32)


def to_int8(vectors: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Return the nearest steps, (vectors, dim) int8; times the scales, they are the vectors again."""
    steps: np.ndarray = np.rint(vectors / scales).clip(-INT8_MAX, INT8_MAX)
    return steps.astype(np.int8)


def to_bits(vectors: np.ndarray) -> np.ndarray:
    """Return a bit for each dimension, 1 if it is above 0, as bytes: the first dimension is the highest bit.

    Returns:
        (vectors, bytes) uint8; if the dimensions do not fill the last byte, zeros do.
    """
    return np.packbits(vectors > 0, axis=1)


def signs(bits: np.ndarray, dim: int) -> np.ndarray:
    """Return 1 and -1 for bits 1 and 0, (vectors, dim) float32.

    The inner product of two such vectors is `dim` less twice their Hamming distance, so it ranks as the distance does.
    """
    return np.unpackbits(bits, axis=1, count=dim).astype(np.float32) * 2 - 1
