"""Train a model with other parameters, or with fewer labels, and score it on dev; a command, not a stage of dvc.yaml.

python -m stages.sweep finetune.MODEL --try NAME=VALUE,VALUE [--random N] | --labels SHARES [--minutes N] [--background]
"""

from collections.abc import Sequence
from pathlib import Path

from retune.core.cli import run
from retune.sweeping.request import Folders, Request

FOLDERS = Folders(Path("models"), Path("data/datasets"), Path("data/mined"), Path(".retune/sweeps"), Path("reports"))


def main(
    entry: str,
    *,
    try_: Sequence[str] = (),
    labels: str = "",
    random: str = "",
    minutes: str = "",
    background: bool = False,
) -> None:
    from retune.sweeping.sweep import start, sweep  # loads the libraries of training

    print((start if background else sweep)(Request(entry, try_, labels, random, minutes), FOLDERS))


if __name__ == "__main__":
    run(main)
