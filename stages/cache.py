"""Show, prune or empty the embedding cache (RETUNE_CACHE); a command, not a stage of dvc.yaml.

python -m stages.cache show|prune|empty
"""

from retune.core.cli import run
from retune.encoding import cache_store
from retune.encoding.compute import Compute


def main(command: str) -> None:
    print(cache_store.manage(command, Compute.read("compute")))


if __name__ == "__main__":
    run(main)
