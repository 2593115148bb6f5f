"""Compare a deployment with the model it runs; a command, not a stage of dvc.yaml.

python -m stages.parity ENDPOINT MODEL DATASET
"""

from pathlib import Path

from retune.core.cli import run
from retune.core.section import read_value
from retune.encoding.compute import Compute
from retune.params.export import Parity


def main(endpoint: str, model: str, dataset: str) -> None:
    from retune.exporting.deployment import compare_deployment  # loads the libraries of models

    limits = Parity.read("defaults.export.parity")
    models, compute, seed = Path("models"), Compute.read("compute"), read_value("seed")
    folder = Path("data/datasets", dataset)
    print(compare_deployment(models / endpoint, models / model, folder, limits, compute, seed=seed))


if __name__ == "__main__":
    run(main)
