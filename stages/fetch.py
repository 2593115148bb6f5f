"""Stage `fetch`: write a base model as a sentence-transformers directory, or BM25 as a JSON file.

python -m stages.fetch NAME --out DIR
"""

from pathlib import Path

from retune.core.cli import run
from retune.core.section import read_defaults, read_value
from retune.fetching import fetch
from retune.params.fetch import parse_entry


def main(name: str, *, out: Path) -> None:
    key = f"fetch.{name}"
    fetch.fetch(parse_entry(key, read_value(key), read_defaults(key)), out, where=f"params.yaml: {key}")


if __name__ == "__main__":
    run(main)
