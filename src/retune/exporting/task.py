"""The description of one export."""

from dataclasses import dataclass
from pathlib import Path

from retune.encoding.compute import Compute
from retune.params.export import Export


@dataclass(frozen=True)
class Task:
    """What is exported, and what it must keep.

    Attributes:
        model: The directory of the model.
        dataset: The folder of the data set whose texts are compared.
        params: The entry in params.yaml.
        compute: Device and token budget.
        seed: Draws the texts.
    """

    model: Path
    dataset: Path
    params: Export
    compute: Compute
    seed: int
