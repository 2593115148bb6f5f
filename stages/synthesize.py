"""Stage `synthesize`: make a data set with synthetic queries from a corpus.

python -m stages.synthesize NAME --dataset DIR --model DIR --out DIR --metrics FILE
"""

from functools import partial
from pathlib import Path

from retune.core import files, provenance, records
from retune.core.cli import run
from retune.core.section import read_value
from retune.encoding.compute import Compute
from retune.params.synthesize import Synthesize
from retune.synthesis.filters import load_encoder
from retune.synthesis.synthesize import synthesize


def main(name: str, *, dataset: Path, model: Path, out: Path, metrics: Path) -> None:
    held_out = [text for split in ("dev", "test") for text in records.read_split(dataset, split).queries["text"]]
    synthetic = synthesize(
        records.read_corpus(dataset),
        Synthesize.read(f"synthesize.{name}"),
        held_out=held_out,
        load=partial(load_encoder, model, Compute.read("compute")),
        seed=read_value("seed"),
    )
    records.write_dataset(out, synthetic.dataset)
    records.write_table(out / "rejected.parquet", synthetic.rejected)
    provenance.write_origins(out, provenance.read_origins(dataset))
    files.write_json(metrics, synthetic.statistics)


if __name__ == "__main__":
    run(main)
