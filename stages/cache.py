"""Show, prune or empty the embedding cache of params.yaml; a command, no stage of dvc.yaml.

python -m stages.cache show|prune|empty
"""

from retune import cache_folder
from retune.cli import run
from retune.params.compute import Compute


def main(command: str) -> None:
    print(cache_folder.manage(command, Compute.read("compute")))


if __name__ == "__main__":
    run(main)
