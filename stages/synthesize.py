"""Stage `synthesize`: make a data set with synthetic queries from a corpus.

python -m stages.synthesize NAME --dataset DIR --model DIR --prompts DIR --out DIR --metrics FILE
"""

from pathlib import Path

from retune.core import files, provenance, records
from retune.core.cli import run
from retune.core.section import read_value
from retune.encoding.compute import Compute
from retune.params.synthesize import Synthesize
from retune.synthesis.synthesize import Task, synthesize


def main(name: str, *, dataset: Path, model: Path, prompts: Path, out: Path, metrics: Path) -> None:
    params = Synthesize.read(f"synthesize.{name}")
    task = Task(dataset, model, prompts, params, Compute.read("compute"), read_value("seed"))
    synthetic = synthesize(task)
    records.write_dataset(out, synthetic.dataset)
    records.write_table(out / "rejected.parquet", synthetic.rejected)
    provenance.write_origins(out, provenance.read_origins(dataset))
    files.write_json(metrics, synthetic.statistics)


if __name__ == "__main__":
    run(main)
