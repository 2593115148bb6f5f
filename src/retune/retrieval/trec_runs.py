"""TREC run files: what was found for each query, best first.

A line has six fields, `query_id Q0 doc_id rank score model`; ranks count from 1 without a gap. White space and `%` in
ids are percent-encoded, as a field ends at a space.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from retune.core.errors import InputError
from retune.core.files import atomic_file

TO_ENCODE = re.compile(r"[\s%]")


def run_table(scores: np.ndarray, positions: np.ndarray, query_ids: pd.Series, doc_ids: pd.Series) -> pd.DataFrame:
    """Return what was found as rows, best first within each query.

    Args:
        scores: (queries, depth), higher is closer.
        positions: Of the documents, (queries, depth); -1 where a row ends early.
        query_ids: In the order of the rows.
        doc_ids: The corpus's, in order of position.

    Returns:
        `query_id`, `doc_id`, `rank` from 1, `score` float32.
    """
    rows, columns = np.nonzero(positions >= 0)
    return pd.DataFrame(
        {
            "query_id": query_ids.to_numpy()[rows],
            "doc_id": doc_ids.to_numpy()[positions[rows, columns]],
            "rank": columns + 1,
            "score": scores[rows, columns],
        }
    )


def write_run(path: Path, run: pd.DataFrame, model: str) -> None:
    """Write a run file atomically; scores read back are the same float32 numbers.

    Args:
        path: Where to.
        run: As `run_table` returns it.
        model: What is named as having found all this.

    Raises:
        InputError: A score is not finite.
    """
    _check_finite(run, str(path))
    columns = (
        _encoded(run["query_id"]),
        _encoded(run["doc_id"]),
        run["rank"].tolist(),
        map(str, run["score"].to_numpy(np.float32)),
    )
    with atomic_file(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        for query_id, doc_id, rank, score in zip(*columns, strict=True):
            file.write(f"{query_id} Q0 {doc_id} {rank} {score} {model}\n")


def _check_finite(run: pd.DataFrame, where: str) -> None:
    is_wrong = ~np.isfinite(run["score"].to_numpy())
    if is_wrong.any():
        first = run[is_wrong].iloc[0]
        raise InputError(
            f"{where}: query {first['query_id']!r}: expected finite scores, got {first['score']} "
            f"for document {first['doc_id']!r}"
        )


def _encoded(ids: pd.Series) -> list[str]:
    """Percent-encode what would end a field, and the sign that begins a code."""
    return [TO_ENCODE.sub(_code, text) if TO_ENCODE.search(text) else text for text in ids.tolist()]


def _code(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode())


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
        InputError: There is no such file, a line is not of six fields, or a query asked for has a document twice.
    """
    if not path.is_file():
        raise InputError(f"{path}: expected a run file, found none; run dvc repro eval")
    asked = pa.array(query_ids.to_list(), pa.string())
    doc_ids = pa.array(wanted["doc_id"].unique().tolist(), pa.string())
    parts = [pa.schema(list(TYPES.items())).empty_table().to_pandas()]
    try:
        for batch in _batches(path):
            lines = _asked_lines(batch, asked)
            _check_unique(lines, path)
            parts.append(lines.filter(_is_wanted(lines, doc_ids)).to_pandas())
    except pa.ArrowException as error:
        raise InputError(f"{path}: expected lines of {' '.join(COLUMNS)}, got: {error}; run dvc repro eval") from None
    run = pd.concat(parts, ignore_index=True)
    _check_unique(pa.Table.from_pandas(run[["query_id", "doc_id"]]), path)  # also from one batch to the next
    first = run[run["rank"] == 1]
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


def _asked_lines(batch: pa.RecordBatch, asked: pa.Array) -> pa.Table:
    """Return the lines of the queries asked for."""
    queries = pc.run_end_encode(batch["query_id"])  # a query's lines follow each other
    is_asked = pc.is_in(_decoded(queries.values), asked).to_numpy(zero_copy_only=False)
    lines = batch.filter(pa.array(np.repeat(is_asked, np.diff(queries.run_ends, prepend=0))))
    columns = [_decoded(lines["query_id"]), _decoded(lines["doc_id"]), lines["rank"]]
    return pa.table(columns, names=list(TYPES))


def _check_unique(lines: pa.Table, path: Path) -> None:
    """Refuse a document that a query has twice."""
    counts = lines.group_by(["query_id", "doc_id"], use_threads=False).aggregate([([], "count_all")])
    repeated = counts.filter(pc.greater(counts["count_all"], 1))
    if len(repeated):
        query_id, doc_id = (repeated[name][0].as_py() for name in ("query_id", "doc_id"))
        raise InputError(f"{path}: query {query_id!r}: expected each document once, got {doc_id!r} twice")


def _is_wanted(lines: pa.Table, doc_ids: pa.Array) -> pa.ChunkedArray:
    """Mark lines that are first or of a document asked for."""
    return pc.or_(pc.equal(lines["rank"], 1), pc.is_in(lines["doc_id"], doc_ids))


def _decoded(ids: pa.Array) -> pa.Array:
    """Undo the percent-encoding of ids, where there is any."""
    if not len(ids) or not pc.any(pc.match_substring(ids, "%")).as_py():
        return ids
    return pa.array([unquote(text) for text in ids.to_pylist()], pa.string())
