"""Look up some queries in a run file of millions of lines without holding it in memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from retune.errors import InputError

COLUMNS = ["query_id", "Q0", "doc_id", "rank", "score", "model"]
TYPES = {"query_id": pa.string(), "doc_id": pa.string(), "rank": pa.int32()}
BLOCK_BYTES = 2**24


@dataclass(frozen=True)
class Found:
    """What a model found: rank from 1 by query and document, and each query's first document."""

    ranks: dict[tuple[str, str], int]
    first: dict[str, str]


def look_up(path: Path, wanted: pd.DataFrame, query_ids: pd.Index) -> Found:
    """Look up the ranks of some documents, and what is found first.

    Args:
        path: A run file, lines of `query_id Q0 doc_id rank score model`; ids are percent-encoded.
        wanted: `query_id`, `doc_id`: whose ranks.
        query_ids: Whose first documents.

    Raises:
        InputError: There is no such file, or a line is not of six fields.
    """
    if not path.is_file():
        raise InputError(f"{path}: expected a run file, found none; run dvc repro eval")
    doc_ids = pa.array(wanted["doc_id"].unique().tolist(), pa.string())
    parts = [pa.schema(list(TYPES.items())).empty_table().to_pandas()]
    try:
        for batch in _batches(path):
            documents = _decoded(batch["doc_id"])
            is_asked_for = pc.or_(pc.equal(batch["rank"], 1), pc.is_in(documents, doc_ids))
            columns = {"query_id": _decoded(batch["query_id"]), "doc_id": documents, "rank": batch["rank"]}
            parts.append(pa.table(columns).filter(is_asked_for).to_pandas())
    except pa.ArrowException as error:
        raise InputError(f"{path}: expected lines of {' '.join(COLUMNS)}, got: {error}; run dvc repro eval") from None
    run = pd.concat(parts, ignore_index=True)
    first = run[(run["rank"] == 1) & run["query_id"].isin(query_ids)]
    ranks = run.merge(wanted, on=["query_id", "doc_id"])
    pairs = zip(ranks["query_id"], ranks["doc_id"], strict=True)
    return Found(
        {pair: int(rank) for pair, rank in zip(pairs, ranks["rank"], strict=True)},
        dict(zip(first["query_id"], first["doc_id"], strict=True)),
    )


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    """Read the ids and ranks of a run file, some megabytes at a time."""
    if path.stat().st_size == 0:
        return
    with csv.open_csv(
        path,
        csv.ReadOptions(column_names=COLUMNS, block_size=BLOCK_BYTES),
        csv.ParseOptions(delimiter=" ", quote_char=False),
        csv.ConvertOptions(include_columns=list(TYPES), column_types=TYPES, null_values=[]),
    ) as reader:
        yield from reader


def _decoded(ids: pa.Array) -> pa.Array:
    """Undo the percent-encoding of ids, where there is any."""
    if not pc.any(pc.match_substring(ids, "%")).as_py():
        return ids
    return pa.array([unquote(text) for text in ids.to_pylist()], pa.string())
