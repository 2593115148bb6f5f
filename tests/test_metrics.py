"""Metrics against numbers worked out by hand, and against trec_eval."""

import math

import numpy as np
import pandas as pd
import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st

from retune.errors import InputError
from retune.metrics import mean_scores, parse_metric, score_ranking
from retune.records import Split


def split(qrels: dict[str, dict[str, int]]) -> Split:
    rows = [(query, doc, grade) for query, judged in qrels.items() for doc, grade in judged.items()]
    queries = pd.DataFrame({"query_id": list(qrels), "text": "", "prompt": None, "answer": None})
    return Split(queries, pd.DataFrame(rows, columns=["query_id", "doc_id", "relevance"]))


def test_values_of_one_query() -> None:
    doc_ids = pd.Series(["d0", "d1", "d2", "d3", "d4"])
    ranking = np.array([[3, 0, 4, 1, 2]])  # d3 d0 d4 d1 d2; relevant: d0 (grade 2) at rank 2, d2 (grade 1) at rank 5
    scores = score_ranking(ranking, doc_ids, split({"q": {"d0": 2, "d2": 1, "d4": 0}}), [3, 5]).iloc[0]
    ideal = 2 / math.log2(2) + 1 / math.log2(3)
    assert scores["ndcg_at_3"] == pytest.approx(2 / math.log2(3) / ideal)
    assert scores["ndcg_at_5"] == pytest.approx((2 / math.log2(3) + 1 / math.log2(6)) / ideal)
    assert scores["map_at_3"] == pytest.approx((1 / 2) / 2)
    assert scores["map_at_5"] == pytest.approx((1 / 2 + 2 / 5) / 2)
    assert scores["recall_at_3"] == 0.5
    assert scores["recall_at_5"] == 1.0
    assert scores["precision_at_3"] == pytest.approx(1 / 3)
    assert scores["mrr_at_3"] == 0.5
    assert scores["hit_at_3"] == 1.0


def test_query_without_a_hit_counts_zero() -> None:
    scores = score_ranking(np.array([[1], [0]]), pd.Series(["d0", "d1"]), split({"a": {"d0": 1}, "b": {"d0": 1}}), [1])
    assert scores["mrr_at_1"].tolist() == [0.0, 1.0]
    assert mean_scores(scores)["hit_at_1"] == 0.5


def test_corpus_smaller_than_k() -> None:
    scores = score_ranking(np.array([[1, 0]]), pd.Series(["d0", "d1"]), split({"a": {"d0": 1}}), [10]).iloc[0]
    assert scores["precision_at_10"] == 0.1  # divided by k, as trec_eval does
    assert scores["recall_at_10"] == 1.0


@given(st.integers(0, 2**32 - 1))
def test_equal_to_trec_eval(seed: int) -> None:
    rng = np.random.default_rng(seed)
    num_documents, num_queries, ks = 30, 4, [1, 3, 10, 25]
    doc_ids = pd.Series([f"d{number}" for number in range(num_documents)])
    qrels = {}
    for query in range(num_queries):
        judged = rng.choice(num_documents, size=rng.integers(1, 15), replace=False)
        grades = rng.integers(0, 4, size=len(judged))
        grades[0] = max(1, grades[0])
        qrels[f"q{query}"] = {f"d{doc}": int(grade) for doc, grade in zip(judged, grades, strict=True)}
    ranking = np.stack([rng.permutation(num_documents)[:25] for _ in range(num_queries)])
    run = {
        f"q{query}": {f"d{doc}": float(100 - rank) for rank, doc in enumerate(ranking[query])}
        for query in range(num_queries)
    }
    measures = {f"{name}.{','.join(map(str, ks))}" for name in ("ndcg_cut", "map_cut", "recall", "P", "success")}
    theirs = pytrec_eval.RelevanceEvaluator(qrels, measures | {"recip_rank"}).evaluate(run)
    ours = score_ranking(ranking, doc_ids, split(qrels), ks).set_index("query_id")
    names = {"ndcg": "ndcg_cut", "map": "map_cut", "recall": "recall", "precision": "P", "hit": "success"}
    for query in qrels:
        for name, their_name in names.items():
            for k in ks:
                assert ours.at[query, f"{name}_at_{k}"] == pytest.approx(theirs[query][f"{their_name}_{k}"], abs=1e-9)
        assert ours.at[query, "mrr_at_25"] == pytest.approx(theirs[query]["recip_rank"], abs=1e-9)


def test_query_without_a_relevant_document_is_refused() -> None:
    with pytest.raises(InputError, match="query 'q': expected a relevant document"):
        score_ranking(np.array([[0]]), pd.Series(["d0"]), split({"q": {"d0": 0}}), [1])


@pytest.mark.parametrize("key", ["ndcg@10", "ndcg_at_0", "accuracy_at_1", "map"])
def test_unknown_metric_key_is_refused(key: str) -> None:
    with pytest.raises(InputError, match="expected a metric such as ndcg_at_10"):
        parse_metric(key)
