"""From a source to a clean, split, counted data set."""

from pathlib import Path

import pandas as pd
import pytest

from retune.converters.source import Source, check_texts
from retune.converting import _drop_unusable, _merge_queries, _unique_documents
from retune.errors import InputError
from retune.params.convert import Convert
from retune.records import Dataset, Split, empty_split
from retune.splitting import assign_splits
from retune.statistics import describe


def source(
    texts: list[str], queries: list[str], qrels: list[tuple[int, int, int]], splits: list[str] | None = None
) -> Source:
    """Documents d0, d1, ..., queries q0, q1, ... and judgments as (query, document, relevance) numbers."""
    frame = pd.DataFrame({"query_id": [f"q{n}" for n in range(len(queries))], "text": queries})
    frame = frame.assign(
        prompt=None, answer=None, split=splits or "train", group=[f"g{n // 2}" for n in range(len(queries))]
    )
    judged = pd.DataFrame(
        [(f"q{q}", f"d{d}", grade) for q, d, grade in qrels], columns=["query_id", "doc_id", "relevance"]
    )
    corpus = pd.DataFrame({"doc_id": [f"d{n}" for n in range(len(texts))], "title": None, "text": texts})
    return Source(corpus, frame, judged, {})


def params(**changes: object) -> Convert:
    values = {"format": "beir", "raw": "raw", "merge_queries": True, "split_by": "query", "dev": 0.0, "test": 0.0}
    return Convert(**values | changes)


def triples(qrels: pd.DataFrame) -> list[tuple[str, str, int]]:
    return sorted(qrels[["query_id", "doc_id", "relevance"]].itertuples(index=False, name=None))


def test_documents_of_equal_text_become_the_first_and_judgments_follow() -> None:
    result = _unique_documents(source(["x", "y", "x"], ["a", "b"], [(0, 0, 1), (0, 2, 2), (1, 2, 1)]))
    assert result.corpus["doc_id"].tolist() == ["d0", "d1"]
    assert triples(result.qrels) == [("q0", "d0", 2), ("q1", "d0", 1)]
    assert result.dropped == {"equal text": 1}


def test_queries_of_equal_text_become_one_with_all_positives() -> None:
    result = _merge_queries(source(["x", "y"], ["a", "a", "b"], [(0, 0, 1), (1, 1, 1), (2, 0, 1)]))
    assert result.queries["query_id"].tolist() == ["q0", "q2"]
    assert triples(result.qrels) == [("q0", "d0", 1), ("q0", "d1", 1), ("q2", "d0", 1)]
    assert result.dropped == {"query merged": 1}


def test_queries_of_two_splits_are_not_merged() -> None:
    result = _merge_queries(source(["x", "y"], ["a", "a"], [(0, 0, 1), (1, 1, 1)], ["train", "test"]))
    assert result.queries["query_id"].tolist() == ["q0", "q1"]


def test_unknown_names_and_unanswered_queries_are_dropped_and_counted() -> None:
    result = _drop_unusable(source(["x"], ["a", "b"], [(0, 0, 1), (0, 7, 1), (9, 0, 1), (1, 0, 0)]))
    assert result.queries["query_id"].tolist() == ["q0"]
    assert triples(result.qrels) == [("q0", "d0", 1)]
    assert result.dropped == {
        "judgment of an unknown document": 1,
        "judgment of an unknown query": 1,
        "query without a relevant document": 1,
    }


@pytest.mark.parametrize("column", ["doc_id", "query_id"])
def test_repeated_ids_are_refused(column: str) -> None:
    broken = source(["x", "y"], ["a", "b"], [(0, 0, 1), (1, 1, 1)])
    table = broken.corpus if column == "doc_id" else broken.queries
    table[column] = "same"
    with pytest.raises(InputError, match=f"expected each {column} once, got 'same'"):
        _drop_unusable(_unique_documents(broken))


def test_cut_takes_the_shares_and_is_seeded() -> None:
    whole = source(["x"] * 100, [str(n) for n in range(100)], [(n, n, 1) for n in range(100)])
    cut = [assign_splits(whole, params(dev=0.1, test=0.3), seed=seed, where="").queries["split"] for seed in (1, 1, 2)]
    assert cut[0].value_counts().to_dict() == {"train": 60, "test": 30, "dev": 10}
    assert cut[0].equals(cut[1])
    assert not cut[0].equals(cut[2])


@pytest.mark.parametrize("split_by", ["document", "group"])
def test_what_belongs_together_is_never_cut(split_by: str) -> None:
    # q0 and q1 share d0, q2 and q3 share d1, ...; they also share groups.
    whole = source(["x"] * 20, [str(n) for n in range(40)], [(n, n // 2, 1) for n in range(40)])
    splits = assign_splits(whole, params(split_by=split_by, dev=0.2, test=0.3), seed=0, where="").queries["split"]
    assert set(splits) == {"train", "dev", "test"}
    assert splits[0::2].tolist() == splits[1::2].tolist()


def test_given_splits_are_kept_and_dev_is_cut_from_train_alone() -> None:
    splits = ["train"] * 50 + ["test"] * 50
    whole = source(["x"] * 100, [str(n) for n in range(100)], [(n, n, 1) for n in range(100)], splits)
    result = assign_splits(whole, params(dev=0.2, test="given"), seed=0, where="").queries["split"]
    assert result[50:].tolist() == ["test"] * 50
    assert result[:50].value_counts().to_dict() == {"train": 40, "dev": 10}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"dev": "given"}, "dev: the source has no dev split; give the share to cut from train"),
        ({"test": 0.5}, "test: the source has its own test split; write test: given"),
    ],
)
def test_split_that_contradicts_the_source_is_refused(values: dict, message: str) -> None:
    whole = source(["x", "y"], ["a", "b"], [(0, 0, 1), (1, 1, 1)], ["train", "test"])
    with pytest.raises(InputError, match=message):
        assign_splits(whole, params(**{"test": "given"} | values), seed=0, where="convert.x")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"dev": 0.001, "split_by": "document"},
            "got none in train: 3 train queries in 1 parts by document, the largest of 3",
        ),
        (
            {"test": 0.9, "split_by": "group", "dev": 0.01},
            "got none in dev, train: 3 train queries in 2 parts by group",
        ),
    ],
)
def test_split_that_ends_empty_is_refused(values: dict, message: str) -> None:
    whole = source(["x"], ["a", "b", "c"], [(0, 0, 1), (1, 0, 1), (2, 0, 1)])
    with pytest.raises(InputError, match=message):
        assign_splits(whole, params(**values), seed=0, where="convert.x")


def test_judged_irrelevant_documents_connect_no_queries() -> None:
    whole = source(
        ["x"] * 21, [str(n) for n in range(20)], [(n, n, 1) for n in range(20)] + [(n, 20, 0) for n in range(20)]
    )
    splits = assign_splits(whole, params(split_by="document", test=0.5), seed=0, where="").queries["split"]
    assert splits.value_counts().to_dict() == {"train": 10, "test": 10}


@pytest.mark.parametrize(
    ("table", "column", "value", "message"),
    [
        ("corpus", "text", " ", "raw: document 'd0': text: expected non-empty text, got ' '"),
        ("corpus", "text", None, "raw: document 'd0': text: expected non-empty text, got None"),
        ("corpus", "doc_id", 7, "raw: document 7: doc_id: expected non-empty text, got 7"),
        ("corpus", "title", 5, "raw: document 'd0': title: expected text or null, got 5"),
        ("queries", "answer", ["x"], "raw: query 'q0': answer: expected text or null"),
        ("queries", "text", "\ud800", "raw: query 'q0': text: expected text without lone surrogates"),
    ],
)
def test_value_that_is_no_text_is_refused(table: str, column: str, value: object, message: str) -> None:
    broken = source(["x"], ["a"], [(0, 0, 1)])
    frame = getattr(broken, table)
    frame[column] = pd.Series([value], dtype=object)
    with pytest.raises(InputError, match=message):
        check_texts(broken, Path("raw"))


def test_statistics_count_lengths_and_queries_shared_with_train() -> None:
    parts = source(["one two", "three"], ["a b", "a b", "c"], [(0, 0, 1), (1, 1, 1), (2, 0, 0)])
    train = Split(parts.queries[:1], parts.qrels[:1])
    test = Split(parts.queries[1:], parts.qrels[1:])
    statistics = describe(Dataset(parts.corpus, {"train": train, "dev": empty_split(), "test": test}), {"x": 2, "y": 0})
    assert statistics["corpus"]["documents"] == 2
    assert statistics["corpus"]["length"]["words"] == {"p0": 1, "p50": 1, "p95": 1, "p100": 2}
    assert statistics["splits"]["test"]["queries_also_in_train"] == 1
    assert statistics["splits"]["test"]["judged_irrelevant"] == 1
    assert statistics["splits"]["dev"]["length"] == {}
    assert statistics["dropped"] == {"x": 2}
