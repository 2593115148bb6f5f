"""Layout `queries` of `predict`: a file of queries without judgments; it is not a format of `convert`."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from retune.core.errors import InputError
from retune.reading.lines import read_json_lines
from retune.reading.source_records import Query
from retune.reading.tables import read_csv, read_tsv
from retune.reading.values import shown

IDS = ("query_id", "_id", "id", "qid", "query-id")
TEXTS = ("text", "query", "query_text", "question")


def read_queries(path: Path) -> Iterator[Query]:
    """Yield the queries of a .jsonl or .csv file with an id and a text, or a .tsv of both columns; each also as .gz."""
    suffix = Path(path.name.removesuffix(".gz")).suffix
    if suffix == ".tsv":
        for where, (query_id, text) in read_tsv(path, ["query id", "text"], header="optional", tabs_in_last=True):
            yield Query(query_id, text, where)
        return
    if suffix not in (".jsonl", ".csv"):
        raise InputError(f"{path}: expected .jsonl, .csv or .tsv, got {suffix or 'no suffix'!r}")
    for where, row in read_json_lines(path) if suffix == ".jsonl" else read_csv(path):
        yield Query(row[_key(row, IDS, where)], row[_key(row, TEXTS, where)], where)


def _key(row: dict[str, Any], names: Sequence[str], where: str) -> str:
    """Return the key of a row that is one of some names; if there are several, the first of the names must be there."""
    found = [name for name in names if name in row]
    if not found or (len(found) > 1 and found[0] != names[0]):
        keys = ", ".join(map(shown, row))
        raise InputError(
            f"{where}: expected {names[0]} (or one of {', '.join(names[1:])}), got the columns {keys:.200}"
        )
    return found[0]
