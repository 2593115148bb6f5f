"""Metrics against numbers worked out by hand, against trec_eval and against sentence-transformers."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import pytrec_eval
import torch
from hypothesis import given
from hypothesis import strategies as st
from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator
from sentence_transformers.util import dot_score

from retune.core.errors import InputError
from retune.core.records import Split
from retune.evaluation import metrics
from retune.evaluation.metrics import mean_scores, parse_metric, relevant_judgments, score_lists, score_ranking
from retune.retrieval.exact import top_k
from tests.support.conversion import convert_raw
from tests.support.repository import SHARED_DATA


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


KS = [1, 2, 3, 5, 10, 25]
NAMES = {"ndcg": "ndcg_cut", "map": "map_cut", "recall": "recall", "precision": "P", "hit": "success"}
DOCUMENTS = [f"d{number}" for number in range(12)]
GRADES = st.dictionaries(st.sampled_from([*DOCUMENTS, "gone"]), st.integers(0, 3), min_size=1).filter(
    lambda judged: any(judged.values())
)


def trec_eval(qrels: dict[str, dict[str, int]], found: list[list[str]]) -> dict[str, dict[str, float]]:
    """Return pytrec_eval's values by query and by our keys, of rankings passed as strictly falling scores."""
    run = {
        query: {doc: float(-rank) for rank, doc in enumerate(docs)} for query, docs in zip(qrels, found, strict=True)
    }
    cuts = ",".join(map(str, KS))
    theirs = pytrec_eval.RelevanceEvaluator(qrels, {f"{name}.{cuts}" for name in NAMES.values()}).evaluate(run)
    values = {
        query: {f"{ours}_at_{k}": theirs[query][f"{name}_{k}"] for ours, name in NAMES.items() for k in KS}
        for query in qrels
    }
    reciprocal = pytrec_eval.RelevanceEvaluator(qrels, {"recip_rank"})
    for k in KS:  # trec_eval has no cut-off for it
        cut = {query: dict(list(scores.items())[:k]) for query, scores in run.items()}
        for query, measured in reciprocal.evaluate(cut).items():
            values[query][f"mrr_at_{k}"] = measured["recip_rank"]
    return values


@pytest.mark.slow
@given(st.lists(st.tuples(GRADES, st.permutations(DOCUMENTS)), min_size=1, max_size=4), st.integers(1, 12))
def test_every_metric_is_trec_eval_s_to_nine_decimals(
    queries: list[tuple[dict[str, int], list[str]]], depth: int
) -> None:
    qrels = {f"q{number}": judged for number, (judged, _) in enumerate(queries)}
    found = [order[:depth] for _, order in queries]
    ranking = np.array([[DOCUMENTS.index(doc) for doc in docs] for docs in found])
    ours = score_ranking(ranking, pd.Series(DOCUMENTS), split(qrels), KS).set_index("query_id")
    for query, measured in trec_eval(qrels, found).items():
        assert set(measured) == set(ours.columns)
        assert {key: ours.at[query, key] for key in measured} == pytest.approx(measured, abs=1e-9)


def test_ranking_that_ends_early_finds_no_more() -> None:
    judged = split({"a": {"d0": 1, "gone": 2}, "b": {"d1": 1}})  # -1 is no place, nor that of a document that is gone
    scores = score_ranking(np.array([[1, -1, -1], [-1, -1, -1]]), pd.Series(["d0", "d1"]), judged, [3])
    assert scores["hit_at_3"].tolist() == [0.0, 0.0]


def test_judgments_of_other_queries_do_not_count() -> None:
    judged = split({"a": {"d0": 1}, "b": {"d1": 1}})
    only_a = Split(judged.queries.iloc[:1], judged.qrels)
    assert score_ranking(np.array([[1, 0]]), pd.Series(["d0", "d1"]), only_a, [2])["recall_at_2"].tolist() == [1.0]


def test_relevant_judgments_are_sorted_by_query_and_count_once() -> None:
    judged = split({"b": {"d1": 1, "d0": 0}, "a": {"gone": 3, "d2": 1}, "other": {"d0": 1}})
    again = pd.DataFrame({"query_id": ["a"], "doc_id": ["d2"], "relevance": [2]})
    of_two = Split(judged.queries.iloc[[1, 0]], pd.concat([judged.qrels, again]))  # a is row 0, b is row 1
    rows, positions, grades = relevant_judgments(pd.Series(["d0", "d1", "d2"]), of_two)
    assert rows.tolist() == [0, 0, 1]
    assert positions.tolist() == [-1, 2, 1]
    assert grades.tolist() == [3, 2, 1]


def test_small_blocks_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    qrels = {
        f"q{query}": {f"d{doc}": int(grade) for doc, grade in enumerate(rng.integers(1, 3, 9))} for query in range(5)
    }
    ranking = np.stack([rng.permutation(12)[:6] for _ in range(5)])
    whole = score_ranking(ranking, pd.Series(DOCUMENTS), split(qrels), [3])
    monkeypatch.setattr(metrics, "BLOCK", 12)
    pd.testing.assert_frame_equal(score_ranking(ranking, pd.Series(DOCUMENTS), split(qrels), [3]), whole)


def test_list_is_scored_whole() -> None:
    # relevant d0 and d2 at ranks 2 and 4 of 4: (1/2 + 2/4) / 2 = 1/2; the second list ends after two
    lists = np.array([[1, 0, 3, 2], [2, 1, -1, -1]])
    scores = score_lists(lists, pd.Series(DOCUMENTS), split({"a": {"d0": 1, "d2": 1}, "b": {"d1": 1}}), [1])
    assert scores["map"].tolist() == [0.5, 0.5]
    assert scores["mrr"].tolist() == [0.5, 0.5]
    assert scores["map_at_1"].tolist() == [0.0, 0.0]


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED_DATA / "eedi").is_dir(), reason="real Eedi data is not beside the repository")
def test_means_are_sentence_transformers_to_six_decimals(tmp_path: Path) -> None:
    values = {"prompt": None, "example": None, "rule": "files", "test": "given", "split_by": "group"}
    data = convert_raw(SHARED_DATA / "eedi/raw_data/validation_v2", tmp_path / "eedi", "eedi", **values)
    test, doc_ids = data.splits["test"], data.corpus["doc_id"]
    # small whole numbers, so that products are exact in float32 and both sides see the same ties
    rng = np.random.default_rng(0)
    documents = rng.integers(-300, 300, (len(doc_ids), 16)).astype(np.float32)
    judged = test.qrels.set_index("query_id")["doc_id"].loc[test.queries["query_id"]]
    queries = documents[pd.Index(doc_ids).get_indexer(judged)] + rng.integers(-400, 400, (len(judged), 16))
    queries = queries.astype(np.float32)
    ks = [1, 3, 10, 100]
    _, ranking = top_k(queries, documents, 100, device=torch.device("cpu"))
    ours = score_ranking(ranking, doc_ids, test, ks).drop(columns="query_id").mean()

    names = [f"{row:05d}" for row in range(len(doc_ids))]  # ties go by id there, by place here
    place = dict(zip(doc_ids, names, strict=True))
    evaluator = InformationRetrievalEvaluator(
        dict.fromkeys(test.queries["query_id"], ""),
        dict.fromkeys(names, ""),
        {query_id: {place[doc_id]} for query_id, doc_id in judged.items()},
        **{f"{name}_at_k": ks for name in ("mrr", "ndcg", "accuracy", "precision_recall", "map")},
        score_functions={"dot": dot_score},
    )
    vectors = {"query": torch.from_numpy(queries), "document": torch.from_numpy(documents)}
    evaluator.embed_inputs = lambda *_, encode_fn_name, **__: vectors[encode_fn_name]  # type: ignore[method-assign]
    theirs = evaluator.compute_all_metrics(None)["dot"]
    assert 0.1 < ours["ndcg_at_10"] < 0.9
    names_there = {"ndcg": "ndcg@k", "map": "map@k", "mrr": "mrr@k", "recall": "recall@k", "precision": "precision@k"}
    for name, there in (names_there | {"hit": "accuracy@k"}).items():
        for k in ks:
            assert ours[f"{name}_at_{k}"] == pytest.approx(theirs[there][k], abs=1e-6), (name, k)


def test_query_without_a_relevant_document_is_refused() -> None:
    with pytest.raises(InputError, match="query 'q': expected a relevant document"):
        score_ranking(np.array([[0]]), pd.Series(["d0"]), split({"q": {"d0": 0}}), [1])


@pytest.mark.parametrize("key", ["ndcg@10", "ndcg_at_0", "accuracy_at_1", "map"])
def test_unknown_metric_key_is_refused(key: str) -> None:
    with pytest.raises(InputError, match="expected a metric such as ndcg_at_10"):
        parse_metric(key)
