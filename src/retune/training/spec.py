"""The description of one training: its inputs, parameters and seed."""

from dataclasses import dataclass
from pathlib import Path

from retune.encoding.compute import Compute
from retune.params.finetune import Finetune


@dataclass(frozen=True)
class Task:
    """Everything that a tuned model depends on.

    Attributes:
        base: The directory of the base model.
        mined: The folder of the training examples.
        dev: The data set for dev scores: its corpus is ranked for the queries of its dev split.
        params: The tuned model's entry in params.yaml.
        compute: Device and token budget.
        seed: The seed of batches, sampled negatives and dropout.
        guide: The directory of the guide model, which masks documents, teaches, or is a cross-encoder's first stage; or
            is not used.
    """

    base: Path
    mined: Path
    dev: Path
    params: Finetune
    compute: Compute
    seed: int
    guide: Path
