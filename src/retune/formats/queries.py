"""Layout `queries` of `predict`: a file of queries without judgments; it is not a format of `convert`."""

from collections.abc import Iterator
from pathlib import Path

from retune.core.errors import InputError
from retune.reading.lines import read_json_lines
from retune.reading.source_records import Query
from retune.reading.tables import read_csv, read_tsv
from retune.reading.values import columns_in


def read_queries(path: Path) -> Iterator[Query]:
    """Yield the queries of a .jsonl or .csv file with `query_id` (or `_id`) and `text`, or a .tsv of both columns."""
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
