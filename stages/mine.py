"""Stage `mine`: mine hard negatives for every train query.

python -m stages.mine NAME --dataset DIR --pool DIR --model DIR --scorer DIR --out DIR --metrics FILE
"""

from dataclasses import replace
from pathlib import Path

from retune.core import files, records
from retune.core.cli import run
from retune.core.provenance import read_origins
from retune.core.section import read_value
from retune.encoding.compute import Compute
from retune.mining import audit, mine
from retune.mining.inputs import load_models, read_inputs
from retune.params.mine import Mine


def main(name: str, *, dataset: Path, pool: Path, model: Path, scorer: Path, out: Path, metrics: Path) -> None:
    params = Mine.read(f"mine.{name}")
    inputs = read_inputs(dataset, pool, params)
    models = load_models(model, scorer, Compute.read("compute"))
    mined, outcome = mine.mine(inputs, *models, params, seed=read_value("seed"))
    mined = replace(mined, origins=[origin for path in (dataset, pool, model, scorer) for origin in read_origins(path)])
    records.write_mined(out, mined, suspects=audit.suspects(inputs, outcome))
    files.write_json(metrics, audit.audit(inputs, outcome, params))


if __name__ == "__main__":
    run(main)
