"""Read and write TREC run files: the documents found for each query, best first.

A line has six fields: `query_id Q0 doc_id rank score model`. Ranks count from 1 without gaps. White space and `%` in
ids are percent-encoded, because fields are separated by spaces.
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
    """Return a run as a table, with the best documents of each query first.

    Args:
        scores: (queries, depth), higher is closer.
        positions: Positions of the documents in the corpus, (queries, depth); -1 after the last one of a row.
        query_ids: The ids of the queries, in the order of the rows.
        doc_ids: The ids of the corpus, in the order of positions.

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
    """Write a run file atomically; reading it back gives the same float32 scores.

    Args:
        path: The file to write.
        run: A table as returned by `run_table`.
        model: The name of the model, for the last field.

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
            f"for document {first['doc_id']!r}; check the model"
        )


def _encoded(ids: pd.Series) -> list[str]:
    """Percent-encode white space, which would end a field, and the percent sign."""
    return [TO_ENCODE.sub(_code, text) if TO_ENCODE.search(text) else text for text in ids.tolist()]


def _code(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode())


COLUMNS = ["query_id", "Q0", "doc_id", "rank", "score", "model"]
TYPES = {"query_id": pa.string(), "doc_id": pa.string(), "rank": pa.int32()}
BLOCK_BYTES = 2**24


@dataclass(frozen=True)
class RunRanks:
    """The ranks (from 1) of documents by query and document, and the first document of each query."""

    ranks: dict[tuple[str, str], int]
    first: dict[str, str]


def look_up(path: Path, wanted: pd.DataFrame, query_ids: pd.Index) -> RunRanks:
    """Look up the first document of some queries, and the ranks of some documents for them.

    Args:
        path: A run file.
        wanted: `query_id`, `doc_id`: the pairs whose ranks are looked up.
        query_ids: The queries to look up; lines of other queries are ignored.

    Raises:
        InputError: The file does not exist, a line does not have six fields, or a query has a document twice.
    """
    if not path.is_file():
        raise InputError(f"{path}: expected a run file, found none; run dvc repro eval")
    wanted_queries = pa.array(query_ids.to_list(), pa.string())
    doc_ids = pa.array(wanted["doc_id"].unique().tolist(), pa.string())
    parts = [pa.schema(list(TYPES.items())).empty_table().to_pandas()]
    try:
        for batch in _batches(path):
            lines = _lines_of(wanted_queries, batch)
            _check_unique(lines, path)
            parts.append(lines.filter(_is_wanted(lines, doc_ids)).to_pandas())
    except pa.ArrowException as error:
        raise InputError(f"{path}: expected lines of {' '.join(COLUMNS)}, got: {error}; run dvc repro eval") from None
    run = pd.concat(parts, ignore_index=True)
    _check_unique(pa.Table.from_pandas(run[["query_id", "doc_id"]]), path)  # once more, as a query may span two batches
    first = run[run["rank"] == 1]
    ranks = run.merge(wanted, on=["query_id", "doc_id"])
    pairs = zip(ranks["query_id"], ranks["doc_id"], strict=True)
    return RunRanks(
        {pair: int(rank) for pair, rank in zip(pairs, ranks["rank"], strict=True)},
        dict(zip(first["query_id"], first["doc_id"], strict=True)),
    )


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    """Yield the ids and ranks of a run file, some megabytes at a time."""
    if path.stat().st_size == 0:
        return
    with csv.open_csv(
        path,
        csv.ReadOptions(column_names=COLUMNS, block_size=BLOCK_BYTES),
        csv.ParseOptions(delimiter=" ", quote_char=False),
        csv.ConvertOptions(include_columns=list(TYPES), column_types=TYPES, null_values=[]),
    ) as reader:
        yield from reader


def _lines_of(query_ids: pa.Array, batch: pa.RecordBatch) -> pa.Table:
    """Return the lines of the given queries, with decoded ids."""
    queries = pc.run_end_encode(batch["query_id"])  # the lines of a query are consecutive
    is_wanted = pc.is_in(_decoded(queries.values), query_ids).to_numpy(zero_copy_only=False)
    lines = batch.filter(pa.array(np.repeat(is_wanted, np.diff(queries.run_ends, prepend=0))))
    columns = [_decoded(lines["query_id"]), _decoded(lines["doc_id"]), lines["rank"]]
    return pa.table(columns, names=list(TYPES))


def _check_unique(lines: pa.Table, path: Path) -> None:
    """Check that no query has a document twice."""
    counts = lines.group_by(["query_id", "doc_id"], use_threads=False).aggregate([([], "count_all")])
    repeated = counts.filter(pc.greater(counts["count_all"], 1))
    if len(repeated):
        query_id, doc_id = (repeated[name][0].as_py() for name in ("query_id", "doc_id"))
        raise InputError(f"{path}: query {query_id!r}: expected each document once, got {doc_id!r} twice")


def _is_wanted(lines: pa.Table, doc_ids: pa.Array) -> pa.ChunkedArray:
    """Return whether each line has rank 1 or one of the documents."""
    return pc.or_(pc.equal(lines["rank"], 1), pc.is_in(lines["doc_id"], doc_ids))


def _decoded(ids: pa.Array) -> pa.Array:
    """Decode percent-encoded ids."""
    if not len(ids) or not pc.any(pc.match_substring(ids, "%")).as_py():
        return ids
    return pa.array([unquote(text) for text in ids.to_pylist()], pa.string())
