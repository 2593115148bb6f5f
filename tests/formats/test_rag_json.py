"""Format `rag_json` on a small file in its shape."""

import json
from pathlib import Path

import pytest

from retune.core.errors import InputError
from tests.support.conversion import convert_raw

CONTENT = {
    "queries": {"q-0": "first", "q-1": "second"},
    "corpus": {"c-0": "one", "c-1": "two"},
    "relevant_docs": {"q-0": ["c-0"], "q-1": ["c-1"]},
    "negative_docs": {"q-0": ["c-1"]},
    "reference_answers": {"q-1": "yes"},
    "queries_split": {"train": ["q-0"], "val": ["q-1"]},
}
RAG = {"val_is_test": True, "test": "given"}


def write_rag(path: Path, **changes: object) -> Path:
    path.write_text(json.dumps(CONTENT | changes), encoding="utf-8")
    return path


def test_negatives_answers_and_splits_are_kept(tmp_path: Path) -> None:
    result = convert_raw(write_rag(tmp_path / "rag.json"), tmp_path / "out", "rag_json", **RAG)
    assert result.judged() == {("first", "one", 1), ("first", "two", 0)}
    assert result.splits["test"].queries["answer"].tolist() == ["yes"]
    assert result.counts().keys() == {"train", "test"}


def test_val_is_dev_where_the_parameters_say_so(tmp_path: Path) -> None:
    raw = write_rag(tmp_path / "rag.json")
    result = convert_raw(raw, tmp_path / "out", "rag_json", val_is_test=False, dev="given")
    assert result.counts() == {"train": (1, 2), "dev": (1, 1)}


def test_corpus_without_queries_has_empty_splits(tmp_path: Path) -> None:
    empty = {key: {} for key in ("queries", "relevant_docs", "negative_docs", "queries_split", "reference_answers")}
    result = convert_raw(write_rag(tmp_path / "rag.json", **empty), tmp_path / "out", "rag_json", **RAG)
    assert result.counts() == {}
    assert result.statistics["corpus"]["documents"] == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"corpus": []}, "rag.json: corpus: expected an object, got list"),
        ({"corpus": {"c-0": ""}}, "rag.json: corpus.c-0: text: expected non-empty text, got ''"),
        (
            {"relevant_docs": {"q-0": "c-0"}},
            "relevant_docs.q-0: expected a list of ids as texts or whole numbers, got 'c-0'",
        ),
        ({"queries_split": {"held_out": []}}, "queries_split: expected train, dev, val, .*, got 'held_out'"),
        ({"relevant_docs": {}}, "query without a relevant document: expected at most 50.00% .* got 2 of 2"),
        ({"corpus": {}, "relevant_docs": {}}, "rag.json: expected documents, got none"),
        ({"reference_answers": {"q-0": 5}}, "queries.q-0: answer: expected text or null, got 5"),
        ({"queries_split": {"train": ["q-0"], "val": ["q-0"]}}, "expected 'q-0' in one split, got it in two"),
    ],
)
def test_error_names_the_place(changes: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        convert_raw(write_rag(tmp_path / "rag.json", **changes), tmp_path / "out", "rag_json", **RAG)


def test_key_given_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rag.json").write_text('{"queries": {"q": "a", "q": "b"}, "corpus": {}, "relevant_docs": {}}')
    with pytest.raises(InputError, match="expected each key once in an object, got 'q' twice"):
        convert_raw(tmp_path / "rag.json", tmp_path / "out", "rag_json", **RAG)
