"""Turn a source into a clean data set with its statistics: merged, deduplicated, split, counted."""

import importlib
import pkgutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from retune import converters
from retune.converters.source import Source, check_texts
from retune.errors import InputError
from retune.params.convert import Convert
from retune.params.section import read_value
from retune.records import SPLITS, Dataset, Split
from retune.splitting import assign_splits
from retune.statistics import describe

LIBRARY = {"source"}  # modules of the package that are no format


def formats() -> list[str]:
    """Return the names of all formats."""
    return sorted(module.name for module in pkgutil.iter_modules(converters.__path__) if module.name not in LIBRARY)


def read_params(key: str) -> Convert:
    """Return a `convert` entry, checked by its format's own `Params`."""
    return parse_params(key, read_value(key))


def parse_params(key: str, value: Any) -> Convert:
    """Check a `convert` entry read from `key`; the format named in it says which parameters there are."""
    name = value.get("format") if isinstance(value, dict) else None
    if name not in formats():
        raise InputError(f"params.yaml: {key}.format: expected one of {', '.join(formats())}, got {name!r}")
    params: Convert = importlib.import_module(f"retune.converters.{name}").Params.parse(key, value)
    return params


def convert(params: Convert, raw: Path, *, seed: int, where: str) -> tuple[Dataset, dict[str, Any]]:
    """Read `raw` in its format and return the data set and its statistics.

    A source without queries gives a data set of empty splits.

    Raises:
        InputError: The input is missing or wrong; the message says where.
    """
    if not raw.exists():
        raise InputError(f"{raw}: expected a file or folder, found nothing; put the data there ({where}.raw)")
    source = importlib.import_module(f"retune.converters.{params.format}").read(raw, params)
    check_texts(source, raw)
    if source.corpus.empty:
        raise InputError(f"{raw}: expected documents, got none")
    had_queries = not source.queries.empty
    source = _drop_unusable(_unique_documents(source))
    if had_queries and source.queries.empty:
        reasons = ", ".join(f"{count} {reason}" for reason, count in source.dropped.items() if count)
        raise InputError(f"{raw}: expected queries with relevant documents, got none; dropped: {reasons}")
    if params.merge_queries:
        source = _merge_queries(source)
    source = assign_splits(source, params, seed=seed, where=f"params.yaml: {where}")
    dataset = Dataset(source.corpus, {name: _split(source, name) for name in SPLITS})
    return dataset, describe(dataset, source.dropped)


def _unique_documents(source: Source) -> Source:
    """Keep the first of documents with equal title and text, judgments following it."""
    if not source.corpus["doc_id"].is_unique:
        repeated = source.corpus["doc_id"][source.corpus["doc_id"].duplicated()].iloc[0]
        raise InputError(f"corpus: expected each doc_id once, got {repeated!r} more than once")
    key = source.corpus["title"].fillna("") + "\n" + source.corpus["text"]
    first = source.corpus.groupby(key, sort=False)["doc_id"].transform("first")
    corpus = source.corpus[first == source.corpus["doc_id"]]
    names = dict(zip(source.corpus["doc_id"], first, strict=True))
    qrels = source.qrels.assign(doc_id=source.qrels["doc_id"].map(lambda doc_id: names.get(doc_id, doc_id)))
    repeats = len(source.corpus) - len(corpus)
    return replace(source, corpus=corpus, qrels=_unique_qrels(qrels), dropped=source.dropped | {"equal text": repeats})


def _drop_unusable(source: Source) -> Source:
    """Leave out judgments of unknown documents or queries, and queries without a relevant document."""
    if not source.queries["query_id"].is_unique:
        repeated = source.queries["query_id"][source.queries["query_id"].duplicated()].iloc[0]
        raise InputError(f"queries: expected each query_id once, got {repeated!r} more than once")
    known_document = source.qrels["doc_id"].isin(source.corpus["doc_id"])
    known_query = source.qrels["query_id"].isin(source.queries["query_id"])
    qrels = source.qrels[known_document & known_query]
    answered = source.queries["query_id"].isin(qrels.loc[qrels["relevance"] > 0, "query_id"])
    dropped = source.dropped | {
        "judgment of an unknown document": int((~known_document).sum()),
        "judgment of an unknown query": int((known_document & ~known_query).sum()),
        "query without a relevant document": int((~answered).sum()),
    }
    queries = source.queries[answered]
    return replace(source, queries=queries, qrels=qrels[qrels["query_id"].isin(queries["query_id"])], dropped=dropped)


def _merge_queries(source: Source) -> Source:
    """Make queries of one split with equal text and prompt one query that has the judgments of all."""
    key = [source.queries["split"], source.queries["prompt"].fillna(""), source.queries["text"]]
    first = source.queries.groupby(key, sort=False)["query_id"].transform("first")
    names = dict(zip(source.queries["query_id"], first, strict=True))
    queries = source.queries[first == source.queries["query_id"]]
    qrels = _unique_qrels(source.qrels.assign(query_id=source.qrels["query_id"].map(names)))
    merged = len(source.queries) - len(queries)
    return replace(source, queries=queries, qrels=qrels, dropped=source.dropped | {"query merged": merged})


def _unique_qrels(qrels: pd.DataFrame) -> pd.DataFrame:
    """Keep the highest relevance of a repeated judgment, at its first place."""
    highest = qrels.groupby(["query_id", "doc_id"], sort=False)["relevance"].max()
    return highest.reset_index()


def _split(source: Source, name: str) -> Split:
    queries = source.queries[source.queries["split"] == name]
    return Split(queries, source.qrels[source.qrels["query_id"].isin(queries["query_id"])])
