"""What a converter returns, and the reading rules that formats share."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from retune.errors import InputError

CORPUS_COLUMNS = ["doc_id", "title", "text"]
QUERY_COLUMNS = ["query_id", "text", "prompt", "answer", "split", "group"]
QREL_COLUMNS = ["query_id", "doc_id", "relevance"]


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


def check_texts(source: Source, raw: Path) -> None:
    """Check that ids and texts are non-empty text that UTF-8 can write, and optional texts text or null.

    Raises:
        InputError: Names the first record that is not so.
    """
    tables = (
        ("document", "doc_id", source.corpus, ["title"]),
        ("query", "query_id", source.queries, ["prompt", "answer"]),
    )
    for kind, key, table, optional in tables:
        for column in (key, "text", *optional):
            for name, value in zip(table[key], table[column], strict=True):
                if fault := _fault(value, may_be_null=column in optional):
                    raise InputError(f"{raw}: {kind} {name!r}: {column}: expected {fault}, got {value!r:.80}")


def _fault(value: Any, *, may_be_null: bool) -> str:
    """Say what was expected of a value, or nothing if it is right."""
    if may_be_null and (value is None or value != value):  # NaN is how pandas may write null
        return ""
    if not isinstance(value, str) or not (value.strip() or may_be_null):
        return "text or null" if may_be_null else "non-empty text"
    try:
        value.encode()
    except UnicodeEncodeError:
        return "text without lone surrogates"
    return ""


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
