"""A finished project to compare: scores, run files, data sets and what else earlier stages wrote, made on the spot."""

from pathlib import Path
from typing import Any

import pandas as pd

from retune.comparison.lineage import TunedModel
from retune.comparison.paths import InputFolders
from retune.comparison.result import Conclusion, conclude
from retune.core.files import write_json, write_text
from retune.core.records import Dataset, Split, empty_split, write_dataset, write_table
from retune.params.compare import Compare
from retune.params.eval import Eval
from retune.params.synthesize import Synthesize
from tests.support.parameters import SYNTHESIZE

PARAMS: dict[str, Any] = {
    "metric": "ndcg_at_10",
    "significance": 0.05,
    "confidence": 0.95,
    "resamples": 2000,
    "margin": 0.01,
    "changed_queries": 100,
    "gate": {"min_gain": 0.0, "max_forgetting": 0.02},
    "pairs": [],
    "references": [],
}
TUNED = {"tuned": TunedModel("base", "home", ("home",), {"epochs": 2})}
QUERIES = 40
Scores = dict[str, dict[str, list[float]]]
SCORES: Scores = {
    # home: 40 queries, 0.5 to 0.7 each; far: as before but for 2 queries; farther: 0.6 to 0.5 each
    "base": {"home": [0.5] * QUERIES, "far": [0.4] * QUERIES, "farther": [0.6] * QUERIES},
    "tuned": {
        "home": [0.7] * QUERIES,
        "far": [0.4] * (QUERIES - 2) + [0.41, 0.39],
        "farther": [0.5] * QUERIES,
    },
}


def write_project(folder: Path, scores: Scores) -> InputFolders:
    """Write all that a comparison of these scores reads.

    Query `q<n>` is answered by `d<n>`. A model ranks it first if it scores 0.5 or more, else third.
    """
    inputs = InputFolders.under(folder / "data", folder / "metrics")
    for model, datasets in scores.items():
        for dataset, values in datasets.items():
            write_scores(inputs.scores / model / f"{dataset}.parquet", values)
            write_text(inputs.run_files / model / f"{dataset}.trec", trec(values, model))
            spread = {"mean": 0.5, "p5": 0.3, "p50": 0.5, "p95": 0.7}
            low = {"mean": 0.1, "p5": 0.0, "p50": 0.1, "p95": 0.2}
            bins = [{"score": 0.25, "positives": 0.0, "random_pairs": 1.0}]
            content = {"positives": spread, "random_pairs": low, "histogram": bins}
            write_json(inputs.pair_scores / model / f"{dataset}.json", {} if model == "bm25" else content)
    for dataset, values in next(iter(scores.values())).items():
        write_dataset(inputs.datasets / dataset, texts(len(values)))
        lengths = "percentile\tdocument_characters\tquery_characters\n0\t5\t3\n100\t90\t30\n"
        write_text(inputs.lengths / f"{dataset}.tsv", lengths)
    history = "global_step\tloss\tlr\tdev_ndcg_at_10\n1\t0.9\t1e-4\t\n2\t0.5\t1e-4\t0.61\n"
    write_text(inputs.train / "tuned.tsv", history)
    audit = {"queries": 7, "positive_score": {"p50": 0.5}, "search_recall": None, "suspects": [["q1", "d2", "d1"]]}
    bins = [{"score": 0.1, "positives": 0.0, "negatives": 0.5, "random_pairs": 0.5}]
    write_json(inputs.mined / "home.json", audit | {"score_distribution": bins})
    return inputs


def write_scores(path: Path, values: list[float], query_ids: list[str] | None = None) -> None:
    """Write the scores of one model on one data set."""
    ids = query_ids or [f"q{n}" for n in range(len(values))]
    write_table(path, pd.DataFrame({"query_id": ids, "ndcg_at_10": values, "recall_at_10": [1.0] * len(values)}))


def trec(values: list[float], model: str) -> str:
    """Return a run file of three documents a query."""
    count = len(values)
    lines = []
    for n, value in enumerate(values):
        others = [f"d{(n + 1) % count}", f"d{(n + 2) % count}"]
        found = [f"d{n}", *others] if value >= 0.5 else [*others, f"d{n}"]
        lines += [f"q{n} Q0 {doc_id} {rank} {1.0 / rank} {model}\n" for rank, doc_id in enumerate(found, start=1)]
    return "".join(lines)


def texts(count: int) -> Dataset:
    """Return a data set of short and long texts; the first half of the documents were trained on."""
    numbers = range(count)
    corpus = pd.DataFrame(
        {"doc_id": [f"d{n}" for n in numbers], "title": None, "text": [f"answer {n} " + "word " * n for n in numbers]}
    )
    queries = pd.DataFrame(
        {"query_id": [f"q{n}" for n in numbers], "text": [f"query {n} " + "long " * (n % 7) for n in numbers]}
    ).assign(prompt=None, answer=None)
    qrels = pd.DataFrame({"query_id": queries["query_id"], "doc_id": corpus["doc_id"], "relevance": 1})
    train = Split(
        queries.assign(query_id="t" + queries["query_id"])[: count // 2],
        qrels.assign(query_id="t" + qrels["query_id"])[: count // 2],
    )
    return Dataset(corpus, {"train": train, "dev": empty_split(), "test": Split(queries, qrels)})


def params(**changed: Any) -> Compare:
    """Return the section `compare`, with some values changed."""
    return Compare.parse("compare", PARAMS | changed)


def compared(folder: Path, scores: Scores = SCORES, tuned: dict[str, TunedModel] = TUNED, **changed: Any) -> Conclusion:
    """Write a project and compare it."""
    return concluded(write_project(folder, scores), scores, tuned, **changed)


def concluded(
    inputs: InputFolders,
    scores: Scores = SCORES,
    tuned: dict[str, TunedModel] = TUNED,
    synthesize: dict[str, Synthesize] | None = None,
    **changed: Any,
) -> Conclusion:
    """Compare a project that is written, with some values of `compare` changed."""
    datasets = list(next(iter(scores.values())))
    listed = Eval.model_construct(models=list(scores), datasets=datasets)
    return conclude(inputs, listed, tuned, synthesize or {}, params(**changed), seed=13)


def write_synthetic(inputs: InputFolders, name: str, **changes: Any) -> dict[str, Synthesize]:
    """Write the audit and the samples of a synthetic data set of `home`; return its section `synthesize`."""
    ledger = {"requests": 10, "answered": 9, "input_tokens": 4000, "output_tokens": 300}
    words = {"p0": 3, "p5": 4, "p50": 8, "p95": 20, "p100": 31}
    kinds = {
        "sentence": {"drafted": 1200, "kept": 1000, "length": {"words": words, "characters": words}},
        "title": {"drafted": 3, "kept": 0, "length": {"words": {}, "characters": {}}},
    }
    audit = {
        "documents": 500,
        "documents_shown_in_part": 7,
        "documents_with_queries": 480,
        "kinds": kinds,
        "rejected": {"repeated query": 3, "sentence too short": 200},
        "language_models": {"judge": ledger | {"tokens_are_estimated": True, "cost": 0.125}},
    }
    write_json(inputs.datasets / name / "audit.json", audit)
    columns = ["kind", "split", "doc_id", "query", "document", "reason"]
    rows = [["sentence", "test", "d1", "what is an <b>answer</b>", "the answer " + "word " * 200, ""]]
    rows += [["sentence", "train", "d2", "too few", "another document", "sentence too short"]]
    write_table(inputs.datasets / name / "samples.parquet", pd.DataFrame(rows, columns=columns))
    return {name: Synthesize.parse(f"synthesize.{name}", SYNTHESIZE | {"dataset": "home"} | changes)}
