"""Stage `eval`: evaluate one model on the test split of one data set.

python -m stages.eval --model DIR --dataset DIR --excluded DIR --means FILE --scores FILE --trec FILE
  --pair-scores FILE
"""

from pathlib import Path

from retune.core import files, records
from retune.core.cli import run
from retune.core.section import read_value
from retune.encoding.compute import Compute
from retune.evaluation import evaluate
from retune.params.eval import read_measuring
from retune.retrieval import trec_runs


def main(
    *, model: Path, dataset: Path, excluded: Path, means: Path, scores: Path, trec: Path, pair_scores: Path
) -> None:
    params, compute = read_measuring(), Compute.read("compute")
    result = evaluate.measure(model, dataset, params, compute, excluded=excluded, seed=read_value("seed"))
    records.write_table(scores, result.per_query)
    trec_runs.write_run(trec, result.run, model.name)
    files.write_json(means, result.means)
    files.write_json(pair_scores, result.pair_scores)


if __name__ == "__main__":
    run(main)
