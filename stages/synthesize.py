"""Stage `synthesize`: make a data set with synthetic queries from a corpus.

python -m stages.synthesize NAME --dataset DIR --model DIR --prompts DIR --out DIR --metrics FILE
  --lengths FILE --audit FILE
"""

from pathlib import Path

from retune.core import files
from retune.core.cli import run
from retune.core.section import read_value
from retune.encoding.compute import Compute
from retune.params.synthesize import Synthesize
from retune.synthesis.synthesize import Task, synthesize
from retune.synthesis.writing import write_synthetic


def main(
    name: str, *, dataset: Path, model: Path, prompts: Path, out: Path, metrics: Path, lengths: Path, audit: Path
) -> None:
    params = Synthesize.read(f"synthesize.{name}")
    synthetic = synthesize(Task(dataset, model, prompts, params, Compute.read("compute"), read_value("seed")))
    write_synthetic(out, synthetic, dataset, params)
    files.write_json(metrics, synthetic.statistics)
    files.write_text(lengths, synthetic.lengths.to_csv(sep="\t", index=False, lineterminator="\n"))
    files.write_json(audit, synthetic.audit)


if __name__ == "__main__":
    run(main)
