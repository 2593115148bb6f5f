"""C-MTEB's T2Reranking: a query with lists of texts."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from retune.core.errors import InputError
from tests.support.conversion import convert_raw

ROWS: list[dict[str, Any]] = [
    {"query": "first", "positive": ["a", "b"], "negative": ["c"]},
    {"query": "second", "positive": [], "negative": ["a"]},
    {"query": "third", "positive": ["c"], "negative": []},
]
VALUES: dict[str, Any] = {"assign_all_to": "train"}


def write_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_lines_are_read(tmp_path: Path) -> None:
    data = convert_raw(write_lines(tmp_path / "dev.jsonl", ROWS), tmp_path / "out", "t2_reranking", **VALUES)
    assert data.judged() == {("first", "a", 1), ("first", "b", 1), ("first", "c", 0), ("third", "c", 1)}
    assert list(data.queries()) == ["q1", "q3"]


def test_parquet_in_a_folder_is_read(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "raw/dev-00000-of-00001.parquet")
    data = convert_raw(tmp_path / "raw", tmp_path / "out", "t2_reranking", **VALUES)
    assert data.counts() == {"train": (2, 4)}


def test_query_without_a_positive_is_counted(tmp_path: Path) -> None:
    data = convert_raw(write_lines(tmp_path / "dev.jsonl", ROWS), tmp_path / "out", "t2_reranking", **VALUES)
    assert data.statistics["dropped"]["query without a relevant document"] == 1


def test_queries_are_of_dev(tmp_path: Path) -> None:
    data = convert_raw(write_lines(tmp_path / "dev.jsonl", ROWS), tmp_path / "out", "t2_reranking", dev="given")
    assert data.counts() == {"dev": (2, 4)}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"query": "x", "positive": ["a"]}, "dev.jsonl:1: expected negative, got the columns query, positive"),
        (
            {"query": "x", "positive": 7, "negative": []},
            "dev.jsonl:1: positive: expected a text or a list of texts, got 7",
        ),
        ({"query": "x", "positive": [""], "negative": []}, "dev.jsonl:1: text: expected non-empty text, got ''"),
    ],
)
def test_wrong_rows_are_refused(row: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        convert_raw(write_lines(tmp_path / "dev.jsonl", [row]), tmp_path / "out", "t2_reranking", **VALUES)


def test_folder_of_two_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    for name in ("dev", "test"):
        write_lines(tmp_path / f"raw/{name}.jsonl", ROWS)
    with pytest.raises(InputError, match=r"raw: expected one file \(.parquet, .jsonl\), found 2"):
        convert_raw(tmp_path / "raw", tmp_path / "out", "t2_reranking", **VALUES)
