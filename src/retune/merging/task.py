"""The description of one merge."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from retune.encoding.compute import Compute
from retune.params.merge import Merge


@dataclass(frozen=True)
class Task:
    """What is merged, and how.

    Attributes:
        base: The directory of the base.
        tuned: The directories of the tuned models, each once.
        datasets: The folders of the home data set and of each guard, the home first.
        params: The entry in params.yaml.
        compute: Device and token budget.
        seed: Draws the documents to rank.
    """

    base: Path
    tuned: Sequence[Path]
    datasets: Sequence[Path]
    params: Merge
    compute: Compute
    seed: int
