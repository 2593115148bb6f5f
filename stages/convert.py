"""Stage `convert`: convert raw data of any supported format to a data set.

python -m stages.convert NAME --raw PATH --out DIR --metrics FILE --lengths FILE
"""

from pathlib import Path

from retune.core import files
from retune.core.cli import run
from retune.core.section import read_value
from retune.datasets import convert


def main(name: str, *, raw: Path, out: Path, metrics: Path, lengths: Path) -> None:
    key = f"convert.{name}"
    params = convert.read_params(key)
    statistics, percentiles = convert.convert(params, raw, out, seed=read_value("seed"), where=key)
    files.write_json(metrics, statistics)
    files.write_text(lengths, percentiles.to_csv(sep="\t", index=False, lineterminator="\n"))


if __name__ == "__main__":
    run(main)
