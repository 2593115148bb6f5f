"""Retrieve for queries without judgments: a run file, and what a competition wants to be sent."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd

from retune.cells import columns_in
from retune.converters import eedi
from retune.errors import InputError
from retune.files import atomic_directory, write_text
from retune.params.compute import Compute
from retune.params.predict import Predict
from retune.params.search import Torch
from retune.reading import read_json_lines
from retune.retrieval import load_retriever
from retune.run_files import run_table, write_run
from retune.source import Query, check_record
from retune.tables import read_csv, read_tsv

COLUMNS = ["query_id", "text", "prompt"]


def read_queries(path: Path, params: Predict) -> pd.DataFrame:
    """Return the queries of a file in the layout of `params`, in its order.

    Args:
        path: `eedi`: test.csv, every wrong answer of which is a query; `queries`: .jsonl or .csv with `query_id` (or
            `_id`) and `text`, or .tsv of these two, with a header or not.
        params: Name the layout, and what is put before each query.

    Returns:
        `query_id`, `text`, `prompt`.

    Raises:
        InputError: Names file and line of what cannot be read; an id is given twice, or there is no query.
    """
    queries: dict[str, Query] = {}
    for query in _eedi(path) if params.layout == "eedi" else _listed(path):
        query = query._replace(prompt=params.prompt or None)
        check_record(query)
        if query.query_id in queries:
            place = queries[query.query_id].where
            raise InputError(f"{query.where}: query_id {query.query_id!r:.80}: given before, at {place}")
        queries[query.query_id] = query
    if not queries:
        raise InputError(f"{path}: expected queries, got none")
    return pd.DataFrame(queries.values(), columns=Query._fields)[COLUMNS]


def predict(
    model: Path, corpus: pd.DataFrame, queries: pd.DataFrame, params: Predict, compute: Compute
) -> pd.DataFrame:
    """Return the `k` best documents of each query as `run_table` does; the search is exact."""
    retriever = load_retriever(model, corpus, queries, compute, dims=None)
    found = retriever.top_k(params.k, Torch(backend="torch"), seed=0)
    return run_table(found.scores, found.positions, queries["query_id"], corpus["doc_id"])


def write(out: Path, run: pd.DataFrame, queries: pd.DataFrame, params: Predict) -> None:
    """Write run.trec, and submission.csv where the layout is that of a competition, atomically."""
    with atomic_directory(out) as partial:
        write_run(partial / "run.trec", run, params.model)
        if params.layout == "eedi":
            write_text(partial / "submission.csv", _submission(run, queries["query_id"]))


def _submission(run: pd.DataFrame, query_ids: Iterable[str]) -> str:
    """Return a row for every query, its misconceptions best first."""
    found = run.groupby("query_id", sort=False)["doc_id"].agg(" ".join)
    rows = (f"{query_id},{found.get(query_id, '')}\n" for query_id in query_ids)
    return "QuestionId_Answer,MisconceptionId\n" + "".join(rows)


def _eedi(path: Path) -> Iterator[Query]:
    """Yield every wrong answer, whether a misconception is known for it or not."""
    for where, row in eedi.read_questions(path, []):
        for letter in eedi.LETTERS:
            if letter != row["CorrectAnswer"]:
                yield Query(f"{row['QuestionId']}_{letter}", eedi.query_text(row, letter), where)


def _listed(path: Path) -> Iterator[Query]:
    if path.suffix == ".tsv":
        for where, (query_id, text) in read_tsv(path, ["query_id", "text"], header="optional", tabs_in_last=True):
            yield Query(query_id, text, where)
        return
    if path.suffix not in (".jsonl", ".csv"):
        raise InputError(f"{path}: expected .jsonl, .csv or .tsv, got {path.suffix or 'no suffix'!r}")
    for where, row in read_json_lines(path) if path.suffix == ".jsonl" else read_csv(path):
        name = "_id" if "_id" in row and "query_id" not in row else "query_id"
        columns_in(row, [name, "text"], where)
        yield Query(row[name], row["text"], where)
