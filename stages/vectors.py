"""Write the vectors of a data set's documents for a search engine; a command, not a stage of dvc.yaml.

python -m stages.vectors MODEL DATASET --out DIR [--dtype float32|float16|int8|binary] [--format parquet|faiss]
"""

from pathlib import Path

from retune.core.cli import run
from retune.encoding.compute import Compute
from retune.params.eval import read_measuring


def main(model: str, dataset: str, *, out: Path, dtype: str = "float32", format: str = "parquet") -> None:
    from retune.vectors.ship import Order, ship  # loads the libraries of models

    order = Order(Path("models", model), Path("data/datasets", dataset), dtype, format, Path("data/excluded"))
    print(ship(order, out, read_measuring(), Compute.read("compute")))


if __name__ == "__main__":
    run(main)
