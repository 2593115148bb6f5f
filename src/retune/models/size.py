"""The number of a model's parameters, from its files alone."""

import math
from pathlib import Path

from safetensors import safe_open

from retune.models.directory import first_module


def count_parameters(folder: Path) -> int | None:
    """Count the parameters of a model's first module, which has almost all of them, without reading the weights.

    Returns:
        The number; None if the weights are in no safetensors file.
    """
    _, weights = first_module(folder)
    return sum(map(_count, weights.glob("*.safetensors"))) or None


def _count(path: Path) -> int:
    with safe_open(path, framework="numpy") as file:
        return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118 # not a mapping
