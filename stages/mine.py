"""Stage `mine`: give every training query its hard negatives.

python -m stages.mine NAME --dataset DIR --model DIR --out DIR --metrics FILE
"""

from pathlib import Path

from retune import files, mining, records
from retune.cli import run
from retune.encoding import Encoder
from retune.params.compute import Compute
from retune.params.mine import Mine
from retune.params.section import read_value


def main(name: str, *, dataset: Path, model: Path, out: Path, metrics: Path) -> None:
    encoder = Encoder.load(model, Compute.read("compute"))
    mined, audit = mining.mine(
        records.read_corpus(dataset),
        records.read_split(dataset, "train"),
        encoder,
        Mine.read(f"mine.{name}"),
        seed=read_value("seed"),
    )
    records.write_mined(out, mined)
    files.write_json(metrics, audit)


if __name__ == "__main__":
    run(main)
