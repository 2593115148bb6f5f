"""Write a converted or mined set in the layout of another tool; a command, not a stage of dvc.yaml.

python -m stages.export_data LAYOUT --dataset DIR --out DIR
"""

from pathlib import Path

from retune.core.cli import run
from retune.layouts.export import export


def main(layout: str, *, dataset: Path, out: Path) -> None:
    export(layout, dataset, out)


if __name__ == "__main__":
    run(main)
