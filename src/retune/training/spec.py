"""What a run of training is given."""

from dataclasses import dataclass
from pathlib import Path

from retune.encoding.compute import Compute
from retune.params.finetune import Finetune


@dataclass(frozen=True)
class Task:
    """All that a run depends on.

    Attributes:
        base: The directory of the model it starts from.
        mined: The folder of its training examples.
        dev: The data set whose dev split chooses what is kept, ranked against its corpus.
        params: The run's entry of params.yaml.
        compute: Device and token budget.
        seed: Of batches, negatives drawn and dropout.
        guide: The directory of the model that tells which documents may answer, used if the run has a guide_margin.
    """

    base: Path
    mined: Path
    dev: Path
    params: Finetune
    compute: Compute
    seed: int
    guide: Path
