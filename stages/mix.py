"""Stage `mix`: combine two mined sets into a mixture.

python -m stages.mix NAME --first DIR --second DIR --out DIR --metrics FILE
"""

from pathlib import Path

from retune.core import files, records
from retune.core.cli import run
from retune.mining import mixing
from retune.params.mix import Mix


def main(name: str, *, first: Path, second: Path, out: Path, metrics: Path) -> None:
    params = Mix.read(f"mix.{name}")
    mixture = mixing.mix(records.read_mined(first), records.read_mined(second), params)
    records.write_mined(out, mixture)
    files.write_json(metrics, mixing.counts(mixture))


if __name__ == "__main__":
    run(main)
