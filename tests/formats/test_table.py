"""Format table on hand-made tables, and on real data where it is there."""

import csv
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from retune.core.errors import InputError
from tests.support.conversion import Converted, convert_raw
from tests.support.repository import SHARED_DATA

COLUMNS = {
    "query": "q",
    "query_id": None,
    "positive": "p",
    "positive_id": None,
    "negatives": [],
    "score": None,
    "relevant_from": None,
    "answer": None,
    "prompt": None,
    "group": None,
    "split": None,
}


def converted(tmp_path: Path, content: Any, **values: Any) -> Converted:
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(content))
    return convert_raw(path, tmp_path / "out", "table", **COLUMNS | values)


@pytest.mark.parametrize("name", ["rows.csv", "rows.tsv", "rows.parquet", "rows.jsonl", "rows.json"])
def test_every_kind_of_file_gives_the_same(name: str, tmp_path: Path) -> None:
    end = " " if name.endswith(".tsv") else "\n"  # a record of TSV is one line, and quotes are as others
    table = pd.DataFrame({"q": ["a", "b"], "p": ["one", f'two, "quoted"{end}line']})
    path = tmp_path / name
    match path.suffix:
        case ".tsv":
            table.to_csv(path, index=False, sep="\t", quoting=csv.QUOTE_NONE)
        case ".csv":
            table.to_csv(path, index=False)
        case ".parquet":
            table.to_parquet(path)
        case _:
            table.to_json(path, orient="records", lines=path.suffix == ".jsonl")
    data = convert_raw(path, tmp_path / "out", "table", **COLUMNS)
    assert data.judged() == {("a", "one", 1), ("b", f'two, "quoted"{end}line', 1)}
    assert list(data.queries()) == ["q1", "q2"]


def test_object_of_objects_is_a_table(tmp_path: Path) -> None:
    data = converted(tmp_path, {"x": {"q": "a", "p": "one"}, "y": {"q": "b", "p": "two"}})
    assert data.judged() == {("a", "one", 1), ("b", "two", 1)}


def test_cell_may_hold_texts_or_an_object_of_texts_by_id(tmp_path: Path) -> None:
    rows = [{"q": "a", "p": {"art. 1": "one", "art. 2": "two"}, "n": ["three", "four"]}, {"q": "b", "p": [], "n": None}]
    data = converted(tmp_path, rows, negatives=["n"])
    assert data.judged() == {("a", "one", 1), ("a", "two", 1), ("a", "three", 0), ("a", "four", 0)}
    assert {"art. 1", "art. 2"} < set(data.texts())
    assert data.statistics["dropped"] == {"query without a relevant document": 1}


def test_all_columns_are_used(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(
        "id,q,p,pid,n1,n2,answer,prompt,split\n7,a,one,d1,two,,yes,Find: ,train\n8,b,two,d2,one,three,,,val\n"
    )
    names = {"query_id": "id", "positive_id": "pid", "answer": "answer", "prompt": "prompt", "split": "split"}
    values = COLUMNS | names | {"negatives": ["n1", "n2"], "dev": "given"}
    data = convert_raw(tmp_path / "rows.csv", tmp_path / "out", "table", **values)
    assert data.splits["train"].queries.to_numpy().tolist() == [["7", "a", "Find: ", "yes"]]
    assert data.splits["dev"].queries.fillna("").to_numpy().tolist() == [["8", "b", "", ""]]
    assert data.judged() == {("a", "one", 1), ("a", "two", 0)}
    assert data.judged("dev") == {("b", "two", 1), ("b", "one", 0), ("b", "three", 0)}
    assert data.statistics["dropped"]["empty negative"] == 1


def test_rows_of_one_query_id_are_one_query(tmp_path: Path) -> None:
    rows = [{"id": "7", "q": "a", "p": "one"}, {"id": "7", "q": "a", "p": "two"}]
    data = converted(tmp_path, rows, query_id="id")
    assert data.counts() == {"train": (1, 2)}


def test_rows_of_one_query_text_are_one_query_where_scores_decide(tmp_path: Path) -> None:
    rows = [{"q": "a", "p": "one", "s": 0.25}, {"q": "a", "p": "two", "s": "0.5"}]
    data = converted(tmp_path, rows, score="s", relevant_from=0.5)
    assert data.queries() == {"q1": "a"}
    assert data.judged() == {("a", "one", 0), ("a", "two", 1)}
    assert sorted(data.splits["train"].scores["score"]) == [0.25, 0.5]


def test_score_without_a_threshold_is_kept_and_decides_nothing(tmp_path: Path) -> None:
    data = converted(tmp_path, [{"q": "a", "p": "one", "s": -4}], score="s")
    assert data.judged() == {("a", "one", 1)}
    assert data.splits["train"].scores["score"].tolist() == [-4.0]


def test_cut_by_group_keeps_its_rows_on_one_side(tmp_path: Path) -> None:
    rows = [{"q": f"{group} {number}", "p": f"text {number}", "g": group} for group in range(4) for number in range(3)]
    data = converted(tmp_path, rows, group="g", split_by="group", test=0.5)
    sides = [{text.split()[0] for text in data.queries(split).values()} for split in ("train", "test")]
    assert [len(side) for side in sides] == [2, 2]
    assert not sides[0] & sides[1]


def test_files_of_a_folder_are_splits(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    for name in ("train", "val", "test", "queries"):
        (tmp_path / f"raw/{name}.csv").write_text(f"q,p\nof {name},one\n")
    data = convert_raw(tmp_path / "raw", tmp_path / "out", "table", **COLUMNS | {"dev": "given", "test": "given"})
    assert data.queries() == {"train-q1": "of train"}
    assert data.queries("dev") == {"val-q1": "of val"}
    assert data.queries("test") == {"test-q1": "of test"}


@pytest.mark.parametrize(
    ("row", "values", "message"),
    [
        ({"q": "a"}, {}, "rows.json: 0: expected p, got the columns q"),
        ({"q": "a", "p": "one"}, {"answer": "x"}, "rows.json: 0: expected x, got the columns q, p"),
        (
            {"q": "a", "p": "one", "i": 7.0},
            {"query_id": "i"},
            "rows.json: 0: query_id: expected text or a whole number, got 7.0",
        ),
        (
            {"q": "a", "p": ["x", "y"], "i": "7"},
            {"positive_id": "i"},
            "p: expected an id .* for each of 2 texts, got 1",
        ),
        ({"q": "a", "p": {"1": "x"}, "i": "7"}, {"positive_id": "i"}, "p: expected texts because positive_id na"),
        ({"q": "a", "p": ["x", "y"], "s": 1.0}, {"score": "s"}, "p: expected a score for each of 2 texts, got 1"),
        ({"q": "a", "p": "x", "s": "much"}, {"score": "s"}, "rows.json: 0: s: expected a number, got 'much'"),
        ({"q": "a", "p": "x", "s": "held"}, {"split": "s"}, "s: expected one of train, dev, val, .* got 'held'"),
        ({"q": "a", "p": 5}, {}, "rows.json: 0: p: expected a text or a list of texts, got 5"),
        ({"q": "a", "p": "x"}, {"relevant_from": 1.0}, "relevant_from: expected null without a column score, got 1.0"),
    ],
)
def test_wrong_row_or_parameter_is_refused(
    row: dict[str, Any], values: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        converted(tmp_path, [row], **values)


def test_query_id_given_to_two_texts_is_refused(tmp_path: Path) -> None:
    rows = [{"id": "7", "q": "a", "p": "one"}, {"id": "7", "q": "b", "p": "two"}]
    with pytest.raises(InputError, match="rows.json: 1: query_id: expected .* got '7' again, first at .*rows.json: 0"):
        converted(tmp_path, rows, query_id="id")


LEGAL = COLUMNS | {"query": "问题", "positive": "相关法规"}


@pytest.mark.skipif(not (SHARED_DATA / "lecoqa").is_dir(), reason="real LeCoQA data is not beside the repository")
def test_real_lecoqa_has_the_published_counts(tmp_path: Path) -> None:
    values = LEGAL | {"answer": "答案文本", "test": "given"}
    data = convert_raw(SHARED_DATA / "lecoqa", tmp_path / "out", "table", **values)
    assert {split: count for split, (count, _) in data.counts().items()} == {"train": 1234, "test": 309}
    assert sum(judgments for _, judgments in data.counts().values()) == 2717
    assert len(data.corpus) + data.statistics["dropped"]["equal text"] == 1445
    assert "中华人民共和国民法典第五十四条" in data.texts()
    assert data.splits["train"].queries["answer"].isna().sum() == 1  # NaN in the file
    assert data.splits["test"].queries["answer"].notna().all()


@pytest.mark.skipif(not (SHARED_DATA / "stard").is_dir(), reason="real STARD data is not beside the repository")
def test_real_stard_has_the_published_counts(tmp_path: Path) -> None:
    data = convert_raw(SHARED_DATA / "stard/queries.json", tmp_path / "out", "table", **LEGAL)
    assert data.counts() == {"train": (1543, 2717)}


@pytest.mark.skipif(not (SHARED_DATA / "legal_summarization").is_dir(), reason="real data is not beside the repository")
def test_real_legal_summarization_merges_its_queries(tmp_path: Path) -> None:
    values = COLUMNS | {"query": "reference_summary", "positive": "original_text", "positive_id": "uid"}
    raw = SHARED_DATA / "legal_summarization/all_v1.json"
    data = convert_raw(raw, tmp_path / "out", "table", **values, merge_queries=True)
    assert len(data.splits["train"].queries) == 290
    assert len(data.corpus) == 445
    assert data.statistics["dropped"] == {"equal text": 1, "query merged": 156}
