"""Format flagembedding on hand-made files in its shapes, and on the package's own examples where they are there."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from retune.core.errors import InputError
from tests.support.conversion import Converted, convert_raw
from tests.support.repository import SHARED_DATA

EXAMPLES = SHARED_DATA / "flagembedding_examples"
ROW = {
    "query": "why does bread rise",
    "pos": ["yeast makes gas", "gas is held by gluten"],
    "neg": ["bread is sliced"],
    "pos_scores": [3, 2.5],
    "neg_scores": [0.25],
    "prompt": "Find a text that answers: ",
    "type": "normal",
    "category": "kitchen",
}


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def converted(tmp_path: Path, *rows: dict[str, Any], **values: Any) -> Converted:
    return convert_raw(write(tmp_path / "rows.jsonl", *rows), tmp_path / "out", "flagembedding", **values)


def test_row_gives_positives_negatives_scores_and_prompt(tmp_path: Path) -> None:
    data = converted(tmp_path, ROW)
    texts, split = data.texts(), data.splits["train"]
    assert data.judged() == {
        ("why does bread rise", "yeast makes gas", 1),
        ("why does bread rise", "gas is held by gluten", 1),
        ("why does bread rise", "bread is sliced", 0),
    }
    scores = {texts[row.doc_id]: row.score for row in split.scores.itertuples()}
    assert scores == {"yeast makes gas": 3.0, "gas is held by gluten": 2.5, "bread is sliced": 0.25}
    assert split.queries["query_id"].tolist() == ["q1"]
    assert split.queries["prompt"].tolist() == ["Find a text that answers: "]


def test_positive_may_be_a_text_and_negatives_absent_or_empty(tmp_path: Path) -> None:
    data = converted(tmp_path, {"query": "a", "pos": "one"}, {"query": "b", "pos": ["two"], "neg": []})
    assert data.judged() == {("a", "one", 1), ("b", "two", 1)}


def test_older_names_positive_and_content_are_read(tmp_path: Path) -> None:
    write(tmp_path / "raw/train.jsonl", {"query": "a", "positive": ["one", "two"]})
    write(tmp_path / "raw/corpus.jsonl", {"content": "one"}, {"content": "three"})
    data = convert_raw(tmp_path / "raw", tmp_path / "out", "flagembedding")
    assert data.judged() == {("a", "one", 1), ("a", "two", 1)}
    assert sorted(data.texts().values()) == ["one", "three", "two"]


def test_ids_and_answer_that_an_export_adds_are_kept(tmp_path: Path) -> None:
    row = {"query_id": "7", "query": "a", "pos": ["one"], "pos_ids": ["x"], "neg": ["two"], "neg_ids": ["y"]}
    data = converted(tmp_path, row | {"answer": "because", "neg_scores": [0.5]})
    assert data.texts() == {"x": "one", "y": "two"}
    assert data.splits["train"].queries[["query_id", "answer"]].to_numpy().tolist() == [["7", "because"]]
    assert data.splits["train"].scores.to_numpy().tolist() == [["7", "y", 0.5]]


def test_files_of_a_folder_are_splits_more_training_rows_and_candidates(tmp_path: Path) -> None:
    for name in ("train", "dev", "test", "more/msmarco"):
        write(tmp_path / f"raw/{name}.jsonl", {"query": f"query of {name}", "pos": [f"text of {name}"]})
    write(tmp_path / "raw/corpus.jsonl", {"id": "c1", "title": "T", "text": "one"}, {"text": "text of dev"})
    data = convert_raw(tmp_path / "raw", tmp_path / "out", "flagembedding", dev="given", test="given")
    assert data.queries() == {"more/msmarco-q1": "query of more/msmarco", "train-q1": "query of train"}
    assert data.queries("dev") == {"dev-q1": "query of dev"}
    assert data.queries("test") == {"test-q1": "query of test"}
    assert data.texts()["c1"] == "T one"
    assert len(data.corpus) == 5


def test_positives_of_a_row_find_the_titled_document_of_the_corpus(tmp_path: Path) -> None:
    write(tmp_path / "raw/corpus.jsonl", {"id": "c1", "title": "T", "text": "one"}, {"id": "c2", "text": "two"})
    rows = [{"query": "a", "pos": ["T one"]}, {"query": "b", "pos": ["T one"], "pos_ids": ["c1"]}]
    write(tmp_path / "raw/train.jsonl", *rows)
    data = convert_raw(tmp_path / "raw", tmp_path / "out", "flagembedding")
    assert data.texts() == {"c1": "T one", "c2": "two"}
    assert data.judged() == {("a", "T one", 1), ("b", "T one", 1)}


def test_relevance_that_an_export_adds_is_kept(tmp_path: Path) -> None:
    data = converted(tmp_path, {"query": "a", "pos": ["one", "two"], "pos_relevance": [3, 1], "neg": ["three"]})
    assert data.judged() == {("a", "one", 3), ("a", "two", 1), ("a", "three", 0)}


def test_custom_evaluation_layout_is_read(tmp_path: Path) -> None:
    write(tmp_path / "raw/corpus.jsonl", {"id": "d1", "title": "T", "text": "one"}, {"id": "d2", "text": "two"})
    for split in ("dev", "test"):
        write(tmp_path / f"raw/{split}_queries.jsonl", {"id": f"{split}1", "text": f"{split} query"})
        write(
            tmp_path / f"raw/{split}_qrels.jsonl",
            {"qid": f"{split}1", "docid": "d1", "relevance": 1},
            {"qid": f"{split}1", "docid": "d2", "relevance": 0},
        )
    data = convert_raw(tmp_path / "raw", tmp_path / "out", "flagembedding", dev="given", test="given")
    assert data.counts() == {"dev": (1, 2), "test": (1, 2)}
    assert data.judged("test") == {("test query", "one", 1), ("test query", "two", 0)}
    assert data.corpus["title"].fillna("").tolist() == ["T", ""]


def test_custom_evaluation_of_another_split_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "raw/held_out_qrels.jsonl", {"qid": "q", "docid": "d", "relevance": 1})
    with pytest.raises(InputError, match=r"expected splits named train, dev, .*, test, found held_out_qrels.jsonl"):
        convert_raw(tmp_path / "raw", tmp_path / "out", "flagembedding")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (ROW | {"pos_scores": [1.0]}, r"rows.jsonl:1: pos: expected a score for each of 2 texts, got 1"),
        (ROW | {"neg_scores": "high"}, r"rows.jsonl:1: neg_scores: expected a list of numbers, got 'high'"),
        (ROW | {"neg_scores": [float("nan")]}, r"rows.jsonl:1: neg_scores: expected a number, got nan"),
        (ROW | {"pos_relevance": [2]}, r"pos_relevance: expected a relevance for each of 2 texts, got \[2\]"),
        (ROW | {"pos_ids": ["x"]}, r"rows.jsonl:1: pos: expected an id .* for each of 2 texts, got 1 ids"),
        (ROW | {"pos": {"a": "b"}}, r"rows.jsonl:1: pos: expected a text or a list of texts, got \{"),
        (
            ROW | {"pos": ["", " "], "neg": [None], "pos_scores": None, "neg_scores": None},
            r"rows.jsonl:1: pos: text: expected non-empty text, got ''",
        ),
        ({"query": "a", "answers": ["b"]}, r"rows.jsonl:1: expected pos, got the columns query, answers"),
        (ROW | {"query_id": 7.0}, r"rows.jsonl:1: query_id: expected text or a whole number, got 7.0"),
    ],
)
def test_wrong_row_is_refused(row: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        converted(tmp_path, row)


def test_folder_without_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    with pytest.raises(InputError, match=r"raw: expected .jsonl files, found none"):
        convert_raw(tmp_path / "raw", tmp_path / "out", "flagembedding")


real = pytest.mark.skipif(not EXAMPLES.is_dir(), reason="real FlagEmbedding data is not beside the repository")


@real
def test_real_embedder_examples_are_read(tmp_path: Path) -> None:
    data = convert_raw(EXAMPLES / "embedder", tmp_path / "out", "flagembedding")
    assert data.counts() == {"train": (70, 2124)}
    assert data.splits["train"].queries["prompt"].notna().all()
    assert len(data.splits["train"].scores) == 1267


@real
def test_real_older_examples_are_read(tmp_path: Path) -> None:
    data = convert_raw(EXAMPLES / "old/toy_finetune_data.jsonl", tmp_path / "finetune", "flagembedding")
    assert data.counts() == {"train": (10, 80)}
    (tmp_path / "raw").mkdir()
    shutil.copy(EXAMPLES / "old/toy_query.json", tmp_path / "raw/train.jsonl")
    shutil.copy(EXAMPLES / "old/toy_corpus.json", tmp_path / "raw/corpus.jsonl")
    data = convert_raw(tmp_path / "raw", tmp_path / "out", "flagembedding")
    assert (len(data.corpus), data.counts()) == (5, {"train": (3, 4)})


@real
def test_real_in_context_examples_are_read(tmp_path: Path) -> None:
    data = convert_raw(EXAMPLES / "air_bench_icl/healthcare.jsonl", tmp_path / "out", "flagembedding")
    assert data.counts() == {"train": (3, 3)}
