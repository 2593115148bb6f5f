"""Stage `mine`: mine hard negatives for every train query.

python -m stages.mine NAME --dataset DIR --pool DIR --model DIR --scorer DIR --prompts DIR --out DIR --metrics FILE
"""

from pathlib import Path

from retune.core.cli import run
from retune.core.section import read_value
from retune.encoding.compute import Compute
from retune.mining.recipe import Recipe, run_recipe
from retune.params.mine import Mine


def main(
    name: str, *, dataset: Path, pool: Path, model: Path, scorer: Path, prompts: Path, out: Path, metrics: Path
) -> None:
    params, compute, seed = Mine.read(f"mine.{name}"), Compute.read("compute"), read_value("seed")
    run_recipe(Recipe(params, dataset, pool, model, scorer, prompts, compute, seed), out, metrics)


if __name__ == "__main__":
    run(main)
