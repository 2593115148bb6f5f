"""Read tables that a user adds to the data: classes of queries, or documents to exclude."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from retune.core.errors import InputError
from retune.reading.column_names import is_index
from retune.reading.tables import csv_records


def read_user_table(path: Path) -> pd.DataFrame:
    """Read comma-separated values with a header; every value is a string, missing ones are empty.

    Raises:
        InputError: The file is not in this form, a column is an index, or a line has another number of fields.
    """
    header: list[str] = []
    rows: list[list[str]] = []
    for line, fields in csv_records(path):
        if header:
            _check_width(fields, header, f"{path}:{line}")
            rows.append(fields)
        else:
            header = fields
            _check_header(header, f"{path}:{line}")
    return pd.DataFrame(rows, columns=header, dtype=str)


def _check_header(header: Sequence[str], where: str) -> None:
    if len(header) > 1 and not header[-1].strip():
        raise InputError(f"{where}: expected a name for each column, got a comma at the end of the header; remove it")
    if index := [name for name in header if is_index(name)]:
        raise InputError(
            f"{where}: expected columns with names, got {index[0] or 'one without a name'!r}, as pandas writes an "
            "index; remove it (pandas: to_csv(…, index=False))"
        )
    if len(set(header)) != len(header):
        raise InputError(f"{where}: expected each column once, got {', '.join(header):.200}")


def _check_width(fields: Sequence[str], header: Sequence[str], where: str) -> None:
    if len(fields) == len(header) + 1 and not fields[-1].strip():
        raise InputError(f"{where}: expected {len(header)} fields, got a comma at the end of the line; remove it")
    if len(fields) != len(header):
        raise InputError(f"{where}: expected {len(header)} fields, got {len(fields)}; quote values that contain commas")
