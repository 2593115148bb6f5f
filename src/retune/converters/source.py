"""What a converter returns, and the reading rules that formats share."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from retune.errors import InputError


@dataclass(frozen=True)
class Source:
    """A data set as its source has it, before merging and splitting.

    Attributes:
        corpus: `doc_id`, `title` (str or null), `text`.
        queries: `query_id`, `text`, `prompt`, `answer`, `split` (train, dev or test) and `group` (what a cut
            by group keeps together).
        qrels: `query_id`, `doc_id`, `relevance`.
        dropped: Records of the source left out, counted by reason.
    """

    corpus: pd.DataFrame
    queries: pd.DataFrame
    qrels: pd.DataFrame
    dropped: dict[str, int]


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    r"""Yield 1-based line numbers and non-empty lines: UTF-8, BOM or not, split on \n alone, \r stripped."""
    with path.open(encoding="utf-8-sig", newline="\n") as file:
        try:
            for number, line in enumerate(file, start=1):
                if stripped := line.rstrip("\r\n"):
                    yield number, stripped
        except UnicodeDecodeError as error:
            raise InputError(f"{path}: expected UTF-8, got {error.reason}; save it as UTF-8") from None


def read_json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield 1-based line numbers and the JSON object of each line."""
    for number, line in read_lines(path):
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(f"{path}:{number}: expected a JSON object, got {error.msg}") from None
        if not isinstance(record, dict):
            raise InputError(f"{path}:{number}: expected a JSON object, got {type(record).__name__}")
        yield number, record


def text_field(record: dict[str, Any], key: str, where: str) -> str:
    """Return a record's non-empty string, or raise with the place."""
    value = record.get(key)
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{where}: expected a non-empty string at {key!r}, got {value!r}")
    return value


def existing_file(path: Path) -> Path:
    """Return the path if it is a non-empty file, or raise."""
    if not path.is_file():
        raise InputError(f"{path}: expected a file, found {'a folder' if path.is_dir() else 'nothing'}; put it there")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: expected data, got an empty file")
    return path
