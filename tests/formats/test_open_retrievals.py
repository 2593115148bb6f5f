"""Format open_retrievals on hand-made files in its shapes."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from retune.core.errors import InputError
from tests.support.conversion import Converted, convert_raw

TRIPLET = {
    "query_key": "query",
    "positive_key": "positive",
    "negative_key": "negative",
    "document_key": None,
    "label_key": None,
    "relevant_from": None,
}
PAIR = TRIPLET | {"negative_key": None}
SCORED = {
    "query_key": "query",
    "positive_key": None,
    "negative_key": None,
    "document_key": "document",
    "label_key": "label",
    "relevant_from": 0.5,
}


def converted(tmp_path: Path, rows: list[dict[str, Any]], **values: Any) -> Converted:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return convert_raw(path, tmp_path / "out", "open_retrievals", **values)


def test_triplets_hold_texts_or_lists_of_texts(tmp_path: Path) -> None:
    rows = [
        {"query": "a", "positive": ["one", "two"], "negative": ["three"]},
        {"query": "b", "positive": "two", "negative": "one"},
        {"query": "c", "positive": "four", "negative": None},
    ]
    assert converted(tmp_path, rows, **TRIPLET).judged() == {
        ("a", "one", 1),
        ("a", "two", 1),
        ("a", "three", 0),
        ("b", "two", 1),
        ("b", "one", 0),
        ("c", "four", 1),
    }


def test_titles_are_kept_and_tell_equal_texts_apart(tmp_path: Path) -> None:
    rows = [{"query": "a", "positive": [{"title": "T", "text": "one"}, {"text": "one"}, {"title": "", "text": "two"}]}]
    data = converted(tmp_path, rows, **PAIR)
    assert data.corpus[["title", "text"]].fillna("").to_numpy().tolist() == [["T", "one"], ["", "one"], ["", "two"]]


def test_keys_have_the_names_that_the_parameters_give(tmp_path: Path) -> None:
    rows = [{"question": "a", "positives": ["one"], "query": "not this"}]
    data = converted(tmp_path, rows, **PAIR | {"query_key": "question", "positive_key": "positives"})
    assert data.judged() == {("a", "one", 1)}


def test_query_without_positives_is_left_out_and_counted(tmp_path: Path) -> None:
    rows = [{"query": "a", "positive": ["one"]}, {"query": "b", "positive": []}]
    data = converted(tmp_path, rows, **PAIR)
    assert data.queries() == {"q1": "a"}
    assert data.statistics["dropped"] == {"query without a relevant document": 1}


def test_scored_rows_of_one_query_become_one_query(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("query,document,label\na,one,0.5\na,two,0.49\nb,two,1\n")
    data = convert_raw(path, tmp_path / "out", "open_retrievals", **SCORED)
    assert data.queries() == {"q1": "a", "q3": "b"}
    assert data.judged() == {("a", "one", 1), ("a", "two", 0), ("b", "two", 1)}
    assert data.splits["train"].scores["score"].tolist() == [0.5, 0.49, 1.0]


def test_parquet_files_of_a_folder_are_splits(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    for name in ("train", "validation"):
        pd.DataFrame({"query": [f"of {name}"], "positive": [["one"]]}).to_parquet(tmp_path / f"raw/{name}.parquet")
    data = convert_raw(tmp_path / "raw", tmp_path / "out", "open_retrievals", dev="given", **PAIR)
    assert data.queries() == {"train-q1": "of train"}
    assert data.queries("dev") == {"validation-q1": "of validation"}


@pytest.mark.parametrize(
    ("row", "values", "message"),
    [
        ({"query": "a", "positives": ["one"]}, PAIR, "rows.jsonl:1: expected positive, got the columns query, positiv"),
        ({"query": "a", "positive": [{"title": "T"}]}, PAIR, "positive: expected a text or an object with text, got"),
        ({"query": "a", "positive": 5}, PAIR, "rows.jsonl:1: positive: expected a text or a list of texts, got 5"),
        ({"query": "a", "document": "one", "label": "x"}, SCORED, "rows.jsonl:1: label: expected a number, got 'x'"),
        (
            {"query": "", "document": "one", "label": 1},
            SCORED,
            "rows.jsonl:1: text: expected non-empty text, got ''; 1 of 1 queries have no text",
        ),
    ],
)
def test_wrong_row_is_refused(row: dict[str, Any], values: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        converted(tmp_path, [row], **values)


@pytest.mark.parametrize(
    "changes",
    [
        {"positive_key": None},
        {"label_key": "label"},
        {"positive_key": None, "document_key": "d", "label_key": "l"},
        {"positive_key": None, "document_key": "d", "label_key": "l", "relevant_from": 0.5},
    ],
)
def test_keys_of_two_kinds_of_rows_or_of_none_are_refused(changes: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"convert.x.*expected positive_key|negative_key: expected null"):
        converted(tmp_path, [], **TRIPLET | changes)
