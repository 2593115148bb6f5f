"""Stage `mine`: mine hard negatives for every train query.

python -m stages.mine NAME --dataset DIR --pool DIR --model DIR --scorer DIR --prompts DIR --out DIR --metrics FILE
"""

from dataclasses import replace
from pathlib import Path

from retune.core import files, provenance, records
from retune.core.cli import run
from retune.core.section import read_value
from retune.encoding.compute import Compute
from retune.mining import audit, inputs, mine
from retune.params.mine import Mine


def main(
    name: str, *, dataset: Path, pool: Path, model: Path, scorer: Path, prompts: Path, out: Path, metrics: Path
) -> None:
    params = Mine.read(f"mine.{name}")
    given = inputs.read_inputs(dataset, pool, params)
    models = inputs.load_models(model, scorer, dataset, Compute.read("compute"))
    mined, outcome = mine.mine(given, *models, params, seed=read_value("seed"), prompts=prompts)
    origins = [origin for path in (dataset, pool, model, scorer) for origin in provenance.read_origins(path)]
    records.write_mined(out, replace(mined, origins=origins), **audit.tables(given, outcome))
    files.write_json(metrics, audit.audit(given, outcome, params))


if __name__ == "__main__":
    run(main)
