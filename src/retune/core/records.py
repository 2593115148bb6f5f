"""The tables that stages pass to each other, and their Parquet files.

A data set is a corpus and three splits; a split is a set of queries and their judgments (qrels). Columns, types,
row order, compression and metadata are fixed, so equal content gives equal bytes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from retune.core.errors import InputError
from retune.core.files import atomic_directory, atomic_file
from retune.core.provenance import Origin, read_origins, write_origins

SPLITS = ("train", "dev", "test")
DECIMALS = 5  # in the figures of metrics/
PARQUET: dict[str, Any] = {"compression": "zstd", "version": "2.6"}  # fixed, so equal content gives equal bytes

CORPUS = pa.schema([("doc_id", pa.string()), ("title", pa.string()), ("text", pa.string())])
QUERIES = pa.schema(
    [("query_id", pa.string()), ("text", pa.string()), ("prompt", pa.string()), ("answer", pa.string())]
)
QRELS = pa.schema([("query_id", pa.string()), ("doc_id", pa.string()), ("relevance", pa.int64())])
SCORES = pa.schema([("query_id", pa.string()), ("doc_id", pa.string()), ("score", pa.float64())])
SUSPECTS = pa.schema(
    [
        ("query_id", pa.string()),
        ("query", pa.string()),
        ("doc_id", pa.string()),
        ("document", pa.string()),
        ("score", pa.float32()),
        ("rank", pa.int64()),
        ("positive_id", pa.string()),
        ("positive", pa.string()),
        ("positive_score", pa.float32()),
    ]
)
RELABELLED = pa.schema(
    [
        ("query_id", pa.string()),
        ("query", pa.string()),
        ("doc_id", pa.string()),
        ("document", pa.string()),
        ("score", pa.float32()),
        ("judge_score", pa.float64()),
        ("becomes", pa.string()),
    ]
)
EXAMPLES = pa.schema(
    [
        ("query_id", pa.string()),
        ("positive_ids", pa.list_(pa.string())),
        ("negative_ids", pa.list_(pa.string())),
        ("positive_scores", pa.list_(pa.float32())),
        ("negative_scores", pa.list_(pa.float32())),
        ("source", pa.string()),
    ]
)
WEIGHTS = pa.schema([("source", pa.string()), ("weight", pa.float64())])


@dataclass(frozen=True)
class Split:
    """Queries and their judgments.

    Attributes:
        queries: `query_id`, `text`, `prompt` (put before the text, or null), `answer` (or null).
        qrels: `query_id`, `doc_id`, `relevance` (above 0: relevant; 0: judged irrelevant).
        scores: `query_id`, `doc_id`, `score`: scored pairs or a teacher's scores, higher is closer; None or
            empty if the source has no scores.
    """

    queries: pd.DataFrame
    qrels: pd.DataFrame
    scores: pd.DataFrame | None = None


@dataclass(frozen=True)
class Dataset:
    """A corpus (`doc_id`, `title` or null, `text`) and its splits by name."""

    corpus: pd.DataFrame
    splits: dict[str, Split]


@dataclass(frozen=True)
class Mined:
    """Training examples and their texts.

    Attributes:
        examples: One row per query: `query_id`, `positive_ids`, `negative_ids` (hardest first), the scorer's
            scores of both (`positive_scores`, `negative_scores`), and `source`.
        queries: The queries of the examples, with the columns of `Split.queries`.
        documents: The documents of the examples, with the columns of a corpus.
        weights: `source`, `weight`: how often a pair of that source is seen per epoch; None: once.
        origins: The origins of the data sets and models behind the examples.
    """

    examples: pd.DataFrame
    queries: pd.DataFrame
    documents: pd.DataFrame
    weights: pd.DataFrame | None = None
    origins: Sequence[Origin] = ()


def read_corpus(dataset: Path) -> pd.DataFrame:
    """Read the corpus of a data set's folder."""
    return _read(dataset / "corpus.parquet", CORPUS)


def read_split(dataset: Path, name: str) -> Split:
    """Read a split of a data set's folder by name: train, dev or test."""
    folder = dataset / name
    scores = folder / "scores.parquet"
    return Split(
        _read(folder / "queries.parquet", QUERIES),
        _read(folder / "qrels.parquet", QRELS),
        _read(scores, SCORES) if scores.is_file() else None,
    )


def write_dataset(folder: Path, dataset: Dataset) -> None:
    """Write a data set: its corpus and its splits."""
    with atomic_file(folder / "corpus.parquet") as partial:
        _write(partial, dataset.corpus, CORPUS)
    write_splits(folder, dataset.splits)


def write_splits(folder: Path, splits: Mapping[str, Split]) -> None:
    """Write one folder per split: zero rows for an empty split, and scores only if there are any."""
    for name in SPLITS:
        split = splits[name]
        with atomic_directory(folder / name) as partial:
            _write(partial / "queries.parquet", split.queries, QUERIES)
            _write(partial / "qrels.parquet", split.qrels, QRELS)
            if split.scores is not None and not split.scores.empty:
                _write(partial / "scores.parquet", split.scores, SCORES)


def read_mined(folder: Path) -> Mined:
    """Read a mined set or a mixture."""
    weights = folder / "weights.parquet"
    return Mined(
        _read(folder / "examples.parquet", EXAMPLES),
        _read(folder / "queries.parquet", QUERIES),
        _read(folder / "documents.parquet", CORPUS),
        _read(weights, WEIGHTS) if weights.is_file() else None,
        read_origins(folder),
    )


def write_mined(
    folder: Path, mined: Mined, *, suspects: pd.DataFrame | None = None, relabelled: pd.DataFrame | None = None
) -> None:
    """Write a mined set's folder atomically, including the negatives that a person should look at.

    Args:
        folder: The folder.
        mined: The training examples.
        suspects: The negatives that are likeliest to answer their query.
        relabelled: The negatives that do answer it in a judge's eyes.
    """
    with atomic_directory(folder) as partial:
        _write(partial / "examples.parquet", mined.examples, EXAMPLES)
        _write(partial / "queries.parquet", mined.queries, QUERIES)
        _write(partial / "documents.parquet", mined.documents, CORPUS)
        if mined.weights is not None:
            _write(partial / "weights.parquet", mined.weights, WEIGHTS)
        write_origins(partial, mined.origins)
        if suspects is not None:
            _write(partial / "suspects.parquet", suspects, SUSPECTS)
        if relabelled is not None:
            _write(partial / "relabelled.parquet", relabelled, RELABELLED)


def read_table(path: Path) -> pd.DataFrame:
    """Read any Parquet table that a stage wrote."""
    if not path.is_file():
        raise InputError(f"{path}: expected a Parquet file, found none; run the stage that writes it")
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError, pa.ArrowException) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"{path}: expected a Parquet file, got: {reason}; run the stage that writes it again"
        ) from None


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a Parquet table atomically, with the types it has in pandas."""
    with atomic_file(path) as partial:
        _write(partial, table, pa.Schema.from_pandas(table, preserve_index=False))


def empty_split() -> Split:
    """Return a split without queries."""
    return Split(QUERIES.empty_table().to_pandas(), QRELS.empty_table().to_pandas())


def document_texts(corpus: pd.DataFrame) -> list[str]:
    """Return the text of each document that is encoded: title, a space and text, or the text alone."""
    titles = corpus["title"].fillna("").astype(str)
    return [f"{title} {text}" if title else text for title, text in zip(titles, corpus["text"], strict=True)]


def _read(path: Path, schema: pa.Schema) -> pd.DataFrame:
    table = read_table(path)
    if list(table.columns) != schema.names:
        raise InputError(f"{path}: expected columns {schema.names}, got {list(table.columns)}")
    for name in table.columns[table.isna().any()]:  # pandas reads a missing text as NaN, which is truthy
        table[name] = table[name].astype(object).where(table[name].notna(), None)
    return table


def _write(path: Path, table: pd.DataFrame, schema: pa.Schema) -> None:
    columns = table[schema.names].reset_index(drop=True)
    arrow = pa.Table.from_pandas(columns, schema=schema, preserve_index=False).replace_schema_metadata(None)
    pq.write_table(arrow, path, **PARQUET)
