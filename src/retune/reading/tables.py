"""Read rows from CSV, TSV, Parquet, JSON and qrels files."""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import TextIOWrapper
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from retune.core.errors import InputError
from retune.reading.headers import Kind, example, is_header, matches
from retune.reading.lines import (
    MAX_LINE_BYTES,
    errors_by_line,
    holds_array,
    open_bytes,
    read_json,
    read_json_lines,
    read_lines,
)
from retune.reading.raw_files import existing_file, num_unread, split_files
from retune.reading.source_records import Dropped
from retune.reading.values import shown

SUFFIXES = (".jsonl", ".jsonl.gz", ".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet", ".json")
BATCH_ROWS = 10_000
QRELS: Mapping[int, Sequence[Kind]] = {
    2: ("query id", "document id"),
    3: ("query id", "document id", "relevance"),
    4: ("query id", "iteration", "document id", "relevance"),
}
"""The columns of qrels by their number."""


class TableRow(NamedTuple):
    """A row of a table.

    Attributes:
        name: Query id for a row without one: the row's number, after the file's name if there are several files.
        split: The split that the file is named after, or train.
        where: File and line, for messages.
        values: The values by column.
    """

    name: str
    split: str
    where: str
    values: dict[str, Any]


def read_split_rows(raw: Path) -> Iterator[TableRow]:
    """Yield the rows of a table that is one file, or one file per split."""
    files = split_files(raw, *SUFFIXES)
    for split, path in files:
        prefix = f"{path.name.split('.')[0]}-" if len(files) > 1 else ""
        for number, (where, values) in enumerate(read_rows(path), start=1):
            yield TableRow(f"{prefix}q{number}", split, where, values)


def unread_tables(raw: Path) -> Dropped:
    """Return how many tables `read_split_rows` ignores because their names do not name a split."""
    return Dropped(
        "file not called after a split", num_unread(raw, (path for _, path in split_files(raw, *SUFFIXES)), *SUFFIXES)
    )


def read_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the place and the values by column of each row of a .csv, .tsv, .parquet, .jsonl or .json file.

    JSON must be an array of objects or an object of objects. CSV and TSV need a header; their values are texts.
    """
    name = path.name.removesuffix(".gz")
    match Path(name).suffix:
        case ".jsonl":
            yield from read_json_lines(path)
        case ".json":
            yield from _json_rows(path)
        case ".parquet":
            yield from read_parquet(path)
        case ".csv":
            yield from read_csv(path)
        case ".tsv":
            yield from _by_column(path, ((number, line.split("\t")) for number, line in read_lines(path)))
        case suffix:
            raise InputError(f"{path}: expected .csv, .tsv, .parquet, .jsonl or .json, got {suffix or 'no suffix'!r}")


def read_array_or_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the place and each object of a JSON array, which is loaded as a whole, or of JSON lines, streamed."""
    yield from _json_rows(path) if holds_array(path) else read_json_lines(path)


def read_csv(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the place and the values by column of each record; quoted fields may contain commas and line ends."""
    yield from _by_column(path, csv_records(path))


def read_parquet(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the place (`file:row`) and the values by column of each row, reading one batch of rows at a time."""
    number = 0
    try:
        with pq.ParquetFile(existing_file(path)) as file:
            names = file.schema_arrow.names
            if len(set(names)) != len(names):
                raise InputError(f"{path}: expected each column once, got {', '.join(map(shown, names)):.200}")
            for batch in file.iter_batches(batch_size=BATCH_ROWS):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}:{number}", row
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # not caused by the file's content
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        rows = f"rows {number + 1} to {number + BATCH_ROWS}"
        raise InputError(f"{path}: {rows}: expected a Parquet file, got: {reason:.200}") from None


def read_tsv(
    path: Path, columns: Sequence[Kind], *, header: Literal["required", "optional"], tabs_in_last: bool = False
) -> Iterator[tuple[str, list[str]]]:
    """Yield the place and the fields of each line; quotes are ordinary characters.

    Args:
        path: The file.
        columns: What its columns contain, in their order.
        header: Whether the file must have a header.
        tabs_in_last: Whether the last column may contain tabs.

    Raises:
        InputError: The header is missing, unknown or repeated, or a line has a different number of fields.
    """
    rows = ((number, line.split("\t", len(columns) - 1 if tabs_in_last else -1)) for number, line in read_lines(path))
    for position, number, fields, following in _with_next(rows):
        where = f"{path}:{number}"
        if position and matches(fields, columns):
            raise InputError(f"{where}: expected a record, got the header a second time")
        if not position and is_header(fields, columns, following, where):
            continue
        if not position and header == "required":
            line = "\t".join(fields)
            raise InputError(f"{where}: expected a header such as {example(columns)}, got {line!r:.80}")
        if len(fields) != len(columns):
            raise InputError(f"{where}: expected {len(columns)} fields separated by tabs, got {len(fields)}")
        yield where, fields


def read_qrels(path: Path) -> Iterator[tuple[str, str, str, int]]:
    """Yield the place, query id, document id and relevance of each judgment; a header is optional.

    Two columns mean `query document` (relevance 1), three mean `query document relevance`, and four are TREC's
    `query iteration document relevance`.
    """
    columns: Sequence[Kind] = ()
    rows = ((number, line.split("\t") if "\t" in line else line.split()) for number, line in read_lines(path))
    for position, number, fields, following in _with_next(rows):
        where = f"{path}:{number}"
        columns = columns or QRELS.get(len(fields), ())
        if len(fields) != len(columns) or not columns:
            raise InputError(f"{where}: expected {len(columns) or '2, 3 or 4'} fields, got {len(fields)}")
        if position and matches(fields, columns):
            raise InputError(f"{where}: expected a record, got the header a second time")
        relevance = 1 if len(columns) == 2 else _grade(fields[-1])
        if not position and (relevance is None or len(columns) == 2) and is_header(fields, columns, following, where):
            continue
        if relevance is None:
            raise InputError(f"{where}: expected a whole number as relevance, got {fields[-1]!r:.80}")
        yield where, fields[0], fields[-1 if len(columns) == 2 else -2], relevance


def _with_next(rows: Iterable[tuple[int, list[str]]]) -> Iterator[tuple[int, int, list[str], list[str]]]:
    """Yield the position, line number and fields of each row, and for the first also the fields of the next."""
    iterator = iter(rows)
    start = list(islice(iterator, 2))
    following = start[1][1] if len(start) == 2 else []
    for position, (number, fields) in enumerate(chain(start, iterator)):
        yield position, number, fields, following if position == 0 else []


def _grade(text: str) -> int | None:
    """Parse a relevance such as `1` or `1.0`; None if it is not a whole number."""
    try:
        number = float(text)
    except ValueError:
        return None
    return int(number) if number.is_integer() else None


def csv_records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the line on which each record begins, and its fields; blank lines are skipped."""
    csv.field_size_limit(MAX_LINE_BYTES)
    line = 1
    with errors_by_line(path, lambda: line), open_bytes(existing_file(path)) as binary:
        text = TextIOWrapper(binary, encoding="utf-8-sig", newline="")
        reader = csv.reader(text, strict=True)
        for fields in reader:
            if fields and (len(fields) > 1 or fields[0].strip()):
                yield line, fields
            line = reader.line_num + 1


def _by_column(path: Path, records: Iterable[tuple[int, list[str]]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the place and the values by column of each record; the first record is the header."""
    header: list[str] = []
    for line, fields in records:
        if not header:
            header = fields
            if len(set(header)) != len(header):
                names = ", ".join(map(shown, header))
                raise InputError(f"{path}:{line}: expected each column once in the header, got {names:.200}")
        elif fields == header:
            raise InputError(f"{path}:{line}: expected a record, got the header a second time")
        elif len(fields) != len(header):
            raise InputError(f"{path}:{line}: expected {len(header)} fields, got {len(fields)}")
        else:
            yield f"{path}:{line}", dict(zip(header, fields, strict=True))


def _json_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    content = read_json(path)
    rows = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, row in rows:
        if not isinstance(row, dict):
            raise InputError(f"{path}: {shown(key)}: expected a JSON object, got {type(row).__name__}")
        yield f"{path}: {shown(key)}", row
    if not rows:
        raise InputError(f"{path}: expected an array of objects or an object of objects, got {content!r:.80}")
