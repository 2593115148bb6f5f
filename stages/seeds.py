"""Add tuned models to params.yaml that differ from one in nothing but their seed, and group them in compare.seeds.

python -m stages.seeds MODEL SEEDS     (for example: python -m stages.seeds minilm_science 14,15)
"""

from pathlib import Path

from retune.core.cli import run
from retune.starting.seeds import add_seeds


def main(model: str, seeds: str) -> None:
    print(add_seeds(Path("params.yaml"), model, seeds.split(",")))


if __name__ == "__main__":
    run(main)
