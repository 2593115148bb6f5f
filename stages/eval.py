"""Stage `eval`: measure one model on one data set's test split.

python -m stages.eval --model DIR --dataset DIR --means FILE --scores FILE
"""

from pathlib import Path

from retune import evaluation, files, metrics, records
from retune.cli import run
from retune.encoding import Encoder
from retune.params.compute import Compute
from retune.params.section import read_value


def main(*, model: Path, dataset: Path, means: Path, scores: Path) -> None:
    encoder = Encoder.load(model, Compute.read("compute"))
    per_query = evaluation.evaluate(
        encoder, records.read_corpus(dataset), records.read_split(dataset, "test"), read_value("eval.ks")
    )
    records.write_table(scores, per_query)
    files.write_json(means, metrics.mean_scores(per_query))


if __name__ == "__main__":
    run(main)
