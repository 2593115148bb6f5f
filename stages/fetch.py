"""Stage `fetch`: bring a base model in as a sentence-transformers directory, or BM25 as a file that says so.

python -m stages.fetch NAME --out DIR
"""

from pathlib import Path

from retune import fetching
from retune.cli import run
from retune.params.fetch import parse_entry
from retune.params.section import read_value


def main(name: str, *, out: Path) -> None:
    key = f"fetch.{name}"
    fetching.fetch(parse_entry(key, read_value(key)), out, where=f"params.yaml: {key}")


if __name__ == "__main__":
    run(main)
