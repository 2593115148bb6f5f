"""Reading rows with named columns from CSV, TSV, Parquet and JSON."""

import csv
from collections.abc import Iterator, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from retune.errors import InputError
from retune.reading import MAX_LINE_BYTES, existing_file, open_bytes, read_json, read_json_lines, told_by_line

SEPARATORS = {".csv": ",", ".tsv": "\t"}


def read_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the place and the fields by column of a .csv, .tsv, .parquet, .jsonl or .json file.

    JSON is an array of objects or an object of objects. CSV and TSV have a header; every value is text.
    """
    name = path.name.removesuffix(".gz")
    match Path(name).suffix:
        case ".jsonl":
            yield from read_json_lines(path)
        case ".json":
            yield from _json_rows(path)
        case ".parquet":
            yield from read_parquet(path)
        case ".csv" | ".tsv" as suffix:
            yield from read_csv(path, SEPARATORS[suffix])
        case suffix:
            raise InputError(f"{path}: expected .csv, .tsv, .parquet, .jsonl or .json, got {suffix or 'no suffix'!r}")


def read_csv(path: Path, separator: str = ",") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the place and the fields by column; quoted fields may hold separators and line ends."""
    csv.field_size_limit(MAX_LINE_BYTES)
    line = 1
    with told_by_line(path, lambda: line), open_bytes(existing_file(path)) as binary:
        text = TextIOWrapper(binary, encoding="utf-8-sig", newline="")
        reader = csv.reader(text, delimiter=separator, strict=True)
        header = next(reader, [])
        if len(set(header)) != len(header):
            raise InputError(f"{path}:1: expected each column once in the header, got {header}")
        line = reader.line_num + 1
        for fields in reader:
            if fields == header:
                raise InputError(f"{path}:{line}: expected a record, got the header a second time")
            if fields and len(fields) != len(header):
                raise InputError(f"{path}:{line}: expected {len(header)} fields, got {len(fields)}")
            if fields:
                yield f"{path}:{line}", dict(zip(header, fields, strict=True))
            line = reader.line_num + 1


def read_parquet(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the place, `file:row`, and the fields by column, a batch of rows in memory at a time."""
    number = 0
    try:
        with pq.ParquetFile(existing_file(path)) as file:
            for batch in file.iter_batches(batch_size=10_000):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}:{number}", row
    except pa.ArrowException as error:
        raise InputError(f"{path}: expected a Parquet file, got: {str(error).splitlines()[0]}") from None


def columns_in(row: dict[str, Any], names: Sequence[str], where: str) -> None:
    """Check that a row has the columns named.

    Raises:
        InputError: Names what is missing and what there is.
    """
    if missing := [name for name in names if name not in row]:
        raise InputError(f"{where}: expected {', '.join(missing)}, got the columns {', '.join(map(str, row)):.200}")


def _json_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    content = read_json(path)
    rows = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, row in rows:
        if not isinstance(row, dict):
            raise InputError(f"{path}: {key}: expected a JSON object, got {type(row).__name__}")
        yield f"{path}: {key}", row
    if not rows:
        raise InputError(f"{path}: expected an array of objects or an object of objects, got {content!r:.80}")
