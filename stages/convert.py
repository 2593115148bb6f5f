"""Stage `convert`: turn raw data of any known format into a data set.

python -m stages.convert NAME --raw PATH --out DIR --metrics FILE
"""

from pathlib import Path

from retune import converting, files, records
from retune.cli import run
from retune.params.section import read_value


def main(name: str, *, raw: Path, out: Path, metrics: Path) -> None:
    key = f"convert.{name}"
    params = converting.read_params(key)
    dataset, statistics = converting.convert(params, raw, seed=read_value("seed"), where=key)
    records.write_dataset(out, dataset)
    files.write_json(metrics, statistics)


if __name__ == "__main__":
    run(main)
