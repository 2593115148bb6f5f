"""Stage `convert`: turn raw data of any known format into a data set.

python -m stages.convert NAME --raw PATH --out DIR --metrics FILE --lengths FILE
"""

from pathlib import Path

from retune import converting, files
from retune.cli import run
from retune.params.section import read_value


def main(name: str, *, raw: Path, out: Path, metrics: Path, lengths: Path) -> None:
    key = f"convert.{name}"
    params = converting.read_params(key)
    statistics, percentiles = converting.convert(params, raw, out, seed=read_value("seed"), where=key)
    files.write_json(metrics, statistics)
    files.write_text(lengths, percentiles.to_csv(sep="\t", index=False, lineterminator="\n"))


if __name__ == "__main__":
    run(main)
