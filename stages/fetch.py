"""Stage `fetch`: bring a base model in as a sentence-transformers directory.

python -m stages.fetch NAME --out DIR
"""

from pathlib import Path

from retune import fetching
from retune.cli import run
from retune.params.fetch import Fetch


def main(name: str, *, out: Path) -> None:
    key = f"fetch.{name}"
    fetching.fetch(Fetch.read(key), out, where=f"params.yaml: {key}")


if __name__ == "__main__":
    run(main)
