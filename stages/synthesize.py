"""Stage `synthesize`: make a data set with synthetic queries from a corpus.

python -m stages.synthesize NAME --dataset DIR --out DIR --metrics FILE
"""

from pathlib import Path

from retune.core import files, provenance, records
from retune.core.cli import run
from retune.core.section import read_value
from retune.params.synthesize import Synthesize
from retune.synthesis import inverse_cloze


def main(name: str, *, dataset: Path, out: Path, metrics: Path) -> None:
    params = Synthesize.read(f"synthesize.{name}")
    synthetic, rejected, statistics = inverse_cloze.synthesize(
        records.read_corpus(dataset), params, seed=read_value("seed")
    )
    records.write_dataset(out, synthetic)
    records.write_table(out / "rejected.parquet", rejected)
    provenance.write_origins(out, provenance.read_origins(dataset))
    files.write_json(metrics, statistics)


if __name__ == "__main__":
    run(main)
