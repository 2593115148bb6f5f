"""Stage `predict`: retrieve documents for queries without judgments.

python -m stages.predict NAME --model DIR --dataset DIR --queries FILE --out DIR
"""

from pathlib import Path

from retune.core import records
from retune.core.cli import run
from retune.encoding.compute import Compute
from retune.params.predict import Predict
from retune.retrieval import prediction


def main(name: str, *, model: Path, dataset: Path, queries: Path, out: Path) -> None:
    params = Predict.read(f"predict.{name}")
    query_table = prediction.read_queries(queries, params)
    corpus, compute = records.read_corpus(dataset), Compute.read("compute")
    results = prediction.predict(model, dataset.name, corpus, query_table, params, compute)
    prediction.write(out, results, query_table, corpus, params)


if __name__ == "__main__":
    run(main)
