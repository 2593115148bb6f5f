"""Format sentence_transformers on hand-made tables in its shapes."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from retune.core.errors import InputError
from tests.support.conversion import Converted, convert_raw


def converted(tmp_path: Path, *rows: dict[str, Any], relevant_from: float | None = None) -> Converted:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return convert_raw(path, tmp_path / "out", "sentence_transformers", relevant_from=relevant_from)


def scores(data: Converted) -> dict[str, float]:
    texts = data.texts()
    return {texts[row.doc_id]: row.score for row in data.splits["train"].scores.itertuples()}


@pytest.mark.parametrize(
    "names",
    ["x y z w", "anchor positive negative_1 negative_2", "Question Answer neg1 neg2", "title body hard-negative n2"],
)
def test_order_of_columns_counts_where_names_do_not_contradict_it(names: str, tmp_path: Path) -> None:
    data = converted(tmp_path, dict(zip(names.split(), ("a", "one", "two", "three"), strict=True)))
    assert data.judged() == {("a", "one", 1), ("a", "two", 0), ("a", "three", 0)}


CONTRADICTIONS = [
    ("positive,anchor", "got 'positive' as the query in positive, anchor; reorder or rename the columns"),
    ("text,query", "got 'query' as the positive"),
    ("answer,question", "got 'answer' as the query"),
    ("document,text", "got 'document' as the query"),
    ("sentence2,sentence1", "got 'sentence2' as the query"),
    ("anchor,negative,positive", "got 'negative' as the positive"),
    ("negative_1,x", "got 'negative_1' as the query"),
    ("query,passage,positive_2", "got 'positive_2' as the negative"),
    ("anchor,positive,comment", "got 'comment' as the negative .*; call it negative, or remove it"),
    (",anchor,positive", "got a column without a name in '', anchor, positive; remove it .pandas: to_csv"),
    ("anchor,positive,", "got a column without a name"),
    ("Unnamed: 0,anchor,positive", "got column Unnamed: 0 in"),
    ("index,anchor,positive", "got column index in"),
    ("anchor,positive,__index_level_0__", "got column __index_level_0__ in"),
    ("id,anchor,positive", "got column id in"),
    ("query_id,x,y", "got column query_id in"),
    ("x,y,language", "got column language in"),
]


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "json", "parquet", "csv.gz", "folder"])
@pytest.mark.parametrize(("header", "message"), CONTRADICTIONS, ids=[case[0] for case in CONTRADICTIONS])
def test_names_that_contradict_their_position_are_refused(header: str, message: str, kind: str, tmp_path: Path) -> None:
    names = header.split(",")
    table = pd.DataFrame([[f"text {name}" for name in names]], columns=names)
    path = tmp_path / f"rows.{kind}"
    match kind:
        case "csv" | "csv.gz":
            table.to_csv(path, index=False)
        case "tsv":
            path.write_text("\t".join(names) + "\n" + "\t".join(table.iloc[0]) + "\n")
        case "jsonl":
            table.to_json(path, orient="records", lines=True)
        case "json":
            table.to_json(path, orient="records")
        case "parquet":
            table.to_parquet(path, index=False)
        case "folder":
            path.mkdir()
            pd.DataFrame({"anchor": ["a"], "positive": ["b"]}).to_csv(path / "train.csv", index=False)
            table.to_csv(path / "test.csv", index=False)
    with pytest.raises(InputError, match=message) as raised:
        convert_raw(path, tmp_path / "out", "sentence_transformers", relevant_from=None, test="given")
    assert "\n" not in str(raised.value)


def test_index_of_pandas_is_refused_in_parquet(tmp_path: Path) -> None:
    rows = pd.DataFrame({"anchor": ["a", "b"], "positive": ["one", "two"]}, index=[5, 9])
    rows.to_parquet(tmp_path / "rows.parquet")
    with pytest.raises(InputError, match="got column __index_level_0__ in anchor, positive, __index_level_0__"):
        convert_raw(tmp_path / "rows.parquet", tmp_path / "out", "sentence_transformers", relevant_from=None)


def test_first_row_gives_the_order_where_keys_of_later_rows_stand_otherwise(tmp_path: Path) -> None:
    data = converted(tmp_path, {"anchor": "a", "positive": "one"}, {"positive": "two", "anchor": "b"})
    assert data.judged() == {("a", "one", 1), ("b", "two", 1)}


def test_null_or_absent_negative_is_none_and_an_empty_one_is_counted(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("anchor,positive,negative_1,negative_2\na,one,two,\n")
    data = convert_raw(tmp_path / "rows.csv", tmp_path / "csv", "sentence_transformers", relevant_from=None)
    assert data.judged() == {("a", "one", 1), ("a", "two", 0)}
    assert data.statistics["dropped"] == {"empty negative": 1}
    rows = [{"a": "b", "p": "one", "n": None}, {"a": "c", "p": "two"}]
    assert converted(tmp_path, *rows).judged() == {("b", "one", 1), ("c", "two", 1)}


@pytest.mark.parametrize("name", ["label", "labels", "score", "scores"])
def test_scored_pairs_of_one_query_become_one_query(name: str, tmp_path: Path) -> None:
    rows = [{"s1": "a", "s2": "one", name: 0.75}, {name: 0, "s1": "a", "s2": "two"}]
    data = converted(tmp_path, *rows, relevant_from=0.75)
    assert data.queries() == {"q1": "a"}
    assert data.judged() == {("a", "one", 1), ("a", "two", 0)}
    assert scores(data) == {"one": 0.75, "two": 0.0}


def test_labelled_list_judges_every_document(tmp_path: Path) -> None:
    data = converted(tmp_path, {"query": "a", "docs": ["one", "two", "three"], "labels": [2, 0, 1]}, relevant_from=1.0)
    assert data.judged() == {("a", "one", 1), ("a", "two", 0), ("a", "three", 1)}
    assert scores(data) == {"one": 2.0, "two": 0.0, "three": 1.0}


def test_list_of_scores_belongs_to_positive_and_negatives_in_order(tmp_path: Path) -> None:
    row = {"query": "a", "positive": "one", "n1": None, "n2": "two", "score": [9.5, 3.0, 1.25]}
    data = converted(tmp_path, row)
    assert data.judged() == {("a", "one", 1), ("a", "two", 0)}
    assert scores(data) == {"one": 9.5, "two": 1.25}


def test_files_of_a_folder_are_splits_and_numbered_parts_one_split(tmp_path: Path) -> None:
    (tmp_path / "raw/data").mkdir(parents=True)
    for name in ("train-00000-of-00002", "train-00001-of-00002", "validation-00000-of-00001", "test-00000-of-00001"):
        rows = pd.DataFrame({"anchor": [f"of {name}"], "positive": ["one"]})
        rows.to_parquet(tmp_path / f"raw/data/{name}.parquet")
    (tmp_path / "raw/README.md").write_text("not data")
    values = {"relevant_from": None, "dev": "given", "test": "given"}
    data = convert_raw(tmp_path / "raw", tmp_path / "out", "sentence_transformers", **values)
    assert {split: len(data.queries(split)) for split in ("train", "dev", "test")} == {"train": 2, "dev": 1, "test": 1}
    assert data.queries("test") == {"test-00000-of-00001-q1": "of test-00000-of-00001"}


@pytest.mark.parametrize(
    "names", [["dev.csv", "validation.csv"], ["train-00000-of-00002.csv"], ["train.csv", "b/train.tsv"]]
)
def test_two_files_of_a_split_or_a_missing_part_are_refused(names: list[str], tmp_path: Path) -> None:
    for name in names:
        (tmp_path / "raw" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "raw" / name).write_text("anchor,positive\na,one\n")
    with pytest.raises(InputError, match=rf"expected one (dev|train) file or all its numbered parts, got .*{names[0]}"):
        convert_raw(tmp_path / "raw", tmp_path / "out", "sentence_transformers", relevant_from=None)


@pytest.mark.parametrize(
    ("row", "relevant_from", "message"),
    [
        ({"anchor": "a"}, None, "rows.jsonl:1: expected query, positive and at most one label, got anchor"),
        ({"a": "a", "b": "b", "label": 1, "score": 1}, None, "expected query, positive and at most one label"),
        ({"a": "a", "b": "b", "label": 1}, None, "label: expected relevant_from, the lowest label that means rel"),
        ({"a": "a", "b": "b"}, 0.5, "expected a label for each document, got none; write relevant_from: null"),
        ({"a": "a", "b": "b", "c": "c", "label": 1.5}, 0.5, "expected one column of documents besides label, got 2"),
        ({"a": "a", "b": ["b"], "label": [1, 0]}, 0.5, "label: expected a label for each of 1 documents, got"),
        ({"a": "a", "b": "b", "c": "c", "score": [1.0]}, None, "score: expected a score for each of 2 texts, got 1"),
        ({"a": "a", "b": ["b"]}, None, r"b: text: expected text, got \['b'\]"),
        ({"a": "a", "b": "b", "label": "high"}, 0.5, "label: expected a number, got 'high'"),
        ({"a": "a", "b": None}, None, "b: text: expected text, got None"),
    ],
)
def test_wrong_row_is_refused(row: dict[str, Any], relevant_from: float | None, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        converted(tmp_path, row, relevant_from=relevant_from)


def test_column_that_the_first_row_lacks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="rows.jsonl:2: expected the first row's columns a, b, got 'c' too"):
        converted(tmp_path, {"a": "a", "b": "b"}, {"a": "a", "b": "b", "c": "c"})


def test_splits_may_have_other_columns(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/train.csv").write_text("anchor,positive\na,one\n")
    (tmp_path / "raw/test.csv").write_text("anchor,positive,negative_1\nb,two,three\n")
    data = convert_raw(tmp_path / "raw", tmp_path / "out", "sentence_transformers", relevant_from=None, test="given")
    assert data.judged("test") == {("b", "two", 1), ("b", "three", 0)}
