"""Stage `mine`: give every training query its hard negatives.

python -m stages.mine NAME --dataset DIR --pool DIR --model DIR --scorer DIR --out DIR --metrics FILE
"""

from dataclasses import replace
from pathlib import Path

from retune import files, mining, mining_audit, records
from retune.cli import run
from retune.mining_inputs import load_models, read_inputs
from retune.params.compute import Compute
from retune.params.mine import Mine
from retune.params.section import read_value
from retune.provenance import read_origins


def main(name: str, *, dataset: Path, pool: Path, model: Path, scorer: Path, out: Path, metrics: Path) -> None:
    params = Mine.read(f"mine.{name}")
    inputs = read_inputs(dataset, pool, params)
    models = load_models(model, scorer, Compute.read("compute"))
    mined, outcome = mining.mine(inputs, *models, params, seed=read_value("seed"))
    mined = replace(mined, origins=[origin for each in (dataset, pool, model, scorer) for origin in read_origins(each)])
    records.write_mined(out, mined, suspects=mining_audit.suspects(inputs, outcome))
    files.write_json(metrics, mining_audit.audit(inputs, outcome, params))


if __name__ == "__main__":
    run(main)
