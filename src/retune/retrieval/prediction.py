"""Retrieve documents for queries without judgments; write a run file, a competition's submission, or pseudo-labels."""

import logging
from pathlib import Path

import pandas as pd

from retune.core.errors import InputError
from retune.core.files import atomic_directory, write_text
from retune.core.records import Dataset, Split
from retune.encoding.compute import Compute
from retune.formats import eedi, queries
from retune.layouts import beir
from retune.params.predict import Predict
from retune.params.search import Torch
from retune.reading.source_records import Query, check_record, check_same_query
from retune.reading.values import as_id
from retune.retrieval.retriever import load_retriever
from retune.retrieval.trec_runs import run_table, write_run

LOG = logging.getLogger(__name__)

COLUMNS = ["query_id", "text", "prompt"]
READERS = {"eedi": eedi.read_queries, "eedi_unlabelled": eedi.read_unlabelled, "queries": queries.read_queries}


def read_queries(path: Path, params: Predict) -> pd.DataFrame:
    """Return the queries of a file, in the order of the file.

    Args:
        path: A file in the layout.
        params: The layout, and the prompt of every query.

    Returns:
        `query_id`, `text`, `prompt`.

    Raises:
        InputError: A line is invalid, an id has two texts, or there are no queries.
    """
    found: dict[str, Query] = {}
    given_again = 0
    for query in READERS[params.layout](path):
        query = query._replace(query_id=as_id(query.query_id), prompt=params.prompt or None)
        check_record(query)
        given_again += query.query_id in found
        check_same_query(found.setdefault(query.query_id, query), query)
    if not found:
        raise InputError(f"{path}: expected queries, got none")
    if given_again:
        LOG.warning("%s: %d queries are given again with the same id and text, and searched once", path, given_again)
    return pd.DataFrame(found.values(), columns=Query._fields)[COLUMNS]


def predict(
    model: Path, dataset: str, corpus: pd.DataFrame, queries: pd.DataFrame, params: Predict, compute: Compute
) -> pd.DataFrame:
    """Return the `k` best documents of each query in the form of `run_table`; the search is exact.

    Arguments as for `load_retriever`.
    """
    retriever = load_retriever(model, dataset, corpus, queries, compute)
    found = retriever.top_k(params.k, Torch(backend="torch"), seed=0)
    return run_table(found.scores, found.positions, queries["query_id"], corpus["doc_id"])


def write(out: Path, run: pd.DataFrame, queries: pd.DataFrame, corpus: pd.DataFrame, params: Predict) -> None:
    """Write run.trec, submission.csv if the layout has one, and pseudo-labels if the entry asks for them; atomically.

    Raises:
        InputError: Pseudo-labels are asked for, and no query found a document.
    """
    if params.pseudo_labels and run.empty:
        raise InputError(
            f"{params.queries}: expected a document for at least one query, got none from {params.model} in "
            f"{params.dataset}; name another model"
        )
    with atomic_directory(out) as partial:
        write_run(partial / "run.trec", run, params.model)
        if params.layout == "eedi":
            write_text(partial / "submission.csv", eedi.submission(run, queries["query_id"]))
        if params.pseudo_labels:
            beir.write(_pseudo_labelled(run, queries, corpus), partial)


def _pseudo_labelled(run: pd.DataFrame, queries: pd.DataFrame, corpus: pd.DataFrame) -> Dataset:
    """Return a data set whose train split has the queries that found something, with what they found as relevant."""
    found = queries[queries["query_id"].isin(run["query_id"])].assign(answer=None)
    if missing := len(queries) - len(found):
        LOG.warning("%d of %d queries found no document, and have no pseudo-label", missing, len(queries))
    return Dataset(corpus, {"train": Split(found, run[["query_id", "doc_id"]].assign(relevance=1))})
