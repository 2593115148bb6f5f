"""Systems of two models: what is reordered, what is added up, and what is left as it was."""

import numpy as np
import pandas as pd
import pytest

from retune.params.fuse import Fuse
from retune.params.search import Search, Torch
from retune.retrieval.cross_encoder import CrossEncoderScorer
from retune.retrieval.ranking import Pairs, Ranking, find_allowed, ranked
from retune.retrieval.systems import FusionRetriever, RerankingRetriever

SEARCH = Torch(backend="torch")
SIZE = 5  # documents
CORPUS = pd.DataFrame({"doc_id": list("abcde"), "title": None, "text": [f"text {n}" for n in range(SIZE)]})
QUERIES = pd.DataFrame({"query_id": ["p", "q"], "text": ["first", "second"], "prompt": ["Say: ", None]})


class Table:
    """A retriever whose scores are a table, (queries, documents); NaN: not found."""

    def __init__(self, *rows: list[float], recall: float | None = None) -> None:
        self.scores, self.recall = np.array(rows, dtype=np.float32), recall
        self.depths: list[int] = []

    def top_k(self, k: int, search: Search, *, seed: int, excluded: Pairs | None = None) -> Ranking:
        self.depths.append(k)
        pairs = Pairs(*np.nonzero(~np.isnan(self.scores)))
        whole = ranked(pairs, self.scores[pairs], len(self.scores))._replace(recall=self.recall)
        return find_allowed(whole.best, k, excluded, SIZE)

    def rank(self, candidates: Pairs) -> Ranking:
        return ranked(candidates, np.nan_to_num(self.scores)[candidates], len(self.scores))


class Scorer(CrossEncoderScorer):
    """Scores pairs from a table, and keeps what it was asked."""

    def __init__(self, *rows: list[float]) -> None:
        self.scores, self.asked = np.array(rows, dtype=np.float32), []

    def score(self, queries: list[str], documents: list[str]) -> np.ndarray:
        self.asked += list(zip(queries, documents, strict=True))
        rows = [list(QUERIES["text"]).index(query) for query in queries]
        return self.scores[rows, [int(text[-1]) for text in documents]]


def found(ranking: Ranking) -> list[str]:
    """Return the documents of each query as letters."""
    return ["".join("abcde"[position] for position in row if position >= 0) for row in ranking.positions]


FIRST = ([0.9, 0.8, 0.7, 0.6, 0.2], [0.1, 0.2, 0.3, 0.4, 0.5])  # abcde and edcba
PAIRS = ([-4.0, 2.0, -1.0, 9.0, 9.0], [9.0, 9.0, 9.0, 3.0, 3.0])


def reranking(k: int, first: Table | None = None, scorer: Scorer | None = None) -> RerankingRetriever:
    return RerankingRetriever(first or Table(*FIRST), scorer or Scorer(*PAIRS), CORPUS, QUERIES, k=k)


def test_best_k_are_reordered_and_the_others_stay_below() -> None:
    ranking = reranking(3).top_k(5, SEARCH, seed=0)
    assert found(ranking) == ["bcade", "cedba"]  # the documents after the third have the highest scores, but stay
    # p: d is 0.7 - 0.6 below the third of the first stage, so below -4; e 0.7 - 0.2
    np.testing.assert_allclose(ranking.scores[0], [2.0, -1.0, -4.0, -4.1, -4.5], rtol=1e-6)
    # q: e and d score alike, so keep their order; b and a are 0.1 and 0.2 below c
    np.testing.assert_allclose(ranking.scores[1], [9.0, 3.0, 3.0, 2.9, 2.8], rtol=1e-6)


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_fewer_documents_are_the_first_of_more(depth: int) -> None:
    first = Table(*FIRST)
    ranking = reranking(3, first).top_k(depth, SEARCH, seed=0)
    assert found(ranking) == [letters[:depth] for letters in ("bcade", "cedba")]
    assert first.depths == [max(depth, 3)]


def test_k_pairs_a_query_are_scored_without_prompts() -> None:
    scorer = Scorer(*PAIRS)
    reranking(2, scorer=scorer).top_k(5, SEARCH, seed=0)
    assert scorer.asked == [("first", "text 0"), ("first", "text 1"), ("second", "text 4"), ("second", "text 3")]


def test_query_that_finds_less_than_k_documents_keeps_them_all() -> None:
    nan = float("nan")
    first = Table([0.3, nan, 0.2, nan, nan], [nan] * 5, recall=0.97)
    ranking = reranking(4, first).top_k(3, SEARCH, seed=0)
    assert found(ranking) == ["ca", ""]
    assert ranking.scores[0].tolist() == [-1.0, -4.0]
    assert np.isneginf(ranking.scores[1]).all()
    assert ranking.recall == 0.97


def test_query_without_any_document_is_empty() -> None:
    none = [float("nan")] * 5
    assert reranking(4, Table(none, none)).top_k(3, SEARCH, seed=0).positions.shape == (2, 0)


def test_excluded_document_takes_none_of_the_k_places() -> None:
    excluded = Pairs(np.array([0, 0]), np.array([1, 4]))  # b and e for p
    scorer = Scorer(*PAIRS)
    ranking = reranking(3, scorer=scorer).top_k(5, SEARCH, seed=0, excluded=excluded)
    assert found(ranking) == ["dca", "cedba"]
    assert [pair for pair in scorer.asked if pair[0] == "first"] == [("first", f"text {n}") for n in (0, 2, 3)]


def test_candidates_of_a_list_are_reordered_among_themselves() -> None:
    candidates = Pairs(np.array([0, 0, 0, 1]), np.array([0, 2, 4, 1]))  # a, c, e for p; b for q
    ranking = reranking(2).rank(candidates)
    assert found(ranking) == ["cae", "b"]


def fusion(method: str, *parts: Table, depth: int = 5, weights: list[float] | None = None) -> FusionRetriever:
    values = {"first": "x", "second": "y", "method": method, "depth": depth, "weights": weights}
    return FusionRetriever(parts, Fuse.model_validate(values), SIZE)


NONE = float("nan")
ONE = Table([0.9, 0.8, 0.7, NONE, NONE])  # abc
OTHER = Table([NONE, 5.0, 4.0, 7.0, NONE])  # dbc


def test_reciprocal_ranks_are_added_up() -> None:
    ranking = fusion("rrf", ONE, OTHER).top_k(5, SEARCH, seed=0)
    assert found(ranking) == ["bcad"]  # a and d score alike, and keep corpus order
    expected = [1 / 62 + 1 / 62, 1 / 63 + 1 / 63, 1 / 61, 1 / 61]
    np.testing.assert_allclose(ranking.scores[0], expected, rtol=1e-6)


def test_weights_multiply_what_each_model_gives() -> None:
    ranking = fusion("rrf", ONE, OTHER, weights=[0.0, 3.0]).top_k(5, SEARCH, seed=0)
    assert found(ranking) == ["dbca"]
    np.testing.assert_allclose(ranking.scores[0], [3 / 61, 3 / 62, 3 / 63, 0.0], rtol=1e-6)


def test_documents_with_equal_scores_share_a_rank() -> None:
    level = Table([0.5, 0.9, 0.5, 0.5, 0.1])  # b; a, c and d; e
    ranking = fusion("rrf", level, Table([NONE] * 5)).top_k(5, SEARCH, seed=0)
    assert found(ranking) == ["bacde"]
    np.testing.assert_allclose(ranking.scores[0], [1 / 61, 1 / 62, 1 / 62, 1 / 62, 1 / 65], rtol=1e-6)


def test_scores_are_scaled_for_each_query_and_added_up() -> None:
    # one: a 1, b 0.5, c 0; the other: d 1, b 1 / 3, c 0
    ranking = fusion("weighted", ONE, OTHER, weights=[1.0, 0.6]).top_k(5, SEARCH, seed=0)
    assert found(ranking) == ["abdc"]
    np.testing.assert_allclose(ranking.scores[0], [1.0, 0.5 + 0.2, 0.6, 0.0], rtol=1e-6)


def test_scores_that_do_not_differ_count_as_the_highest() -> None:
    ranking = fusion("weighted", Table([NONE, 0.3, 0.3, NONE, NONE]), Table([NONE] * 4 + [7.0])).top_k(
        5, SEARCH, seed=0
    )
    assert found(ranking) == ["bce"]
    assert ranking.scores[0].tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("k", [1, 3, 5])
def test_each_model_gives_as_many_documents_as_the_depth_says(k: int) -> None:
    one, other = Table([0.9, 0.8, 0.7, 0.6, 0.5]), Table([0.1, 0.2, 0.3, 0.4, 0.5])
    ranking = fusion("rrf", one, other, depth=2).top_k(k, SEARCH, seed=0)
    assert found(ranking) == ["aebd"[:k]]
    assert one.depths == other.depths == [2]


def test_excluded_document_takes_no_rank() -> None:
    excluded = Pairs(np.array([0]), np.array([1]))  # b
    ranking = fusion("rrf", ONE, OTHER).top_k(5, SEARCH, seed=0, excluded=excluded)
    assert found(ranking) == ["cad"]
    np.testing.assert_allclose(ranking.scores[0], [2 / 62, 1 / 61, 1 / 61], rtol=1e-6)


def test_candidates_of_a_list_are_ranked_by_both_models() -> None:
    candidates = Pairs(np.array([0, 0, 0]), np.array([0, 1, 3]))
    ranking = fusion("rrf", ONE, OTHER, depth=1).rank(candidates)  # a, b, d and d, b, a
    assert found(ranking) == ["adb"]
    np.testing.assert_allclose(ranking.scores[0], [1 / 61 + 1 / 63, 1 / 61 + 1 / 63, 2 / 62], rtol=1e-6)


@pytest.mark.parametrize(("recalls", "expected"), [((None, None), None), ((None, 0.98), 0.98), ((0.99, 0.97), 0.97)])
def test_recall_is_that_of_the_worse_search(recalls: tuple[float | None, float | None], expected: float | None) -> None:
    parts = [Table([0.9, 0.8, 0.7, 0.6, 0.5], recall=recall) for recall in recalls]
    assert fusion("weighted", *parts).top_k(2, SEARCH, seed=0).recall == expected


def test_fusion_can_be_reranked_and_a_reranking_fused() -> None:
    one, other = Table(*FIRST), Table(*FIRST[::-1])
    fused = fusion("rrf", one, other, depth=3)
    # p: abc and edc: 1 / 61 for a and e, 2 / 63 for c, 1 / 62 for b and d: c, a, e, b, d; q likewise
    assert found(fused.top_k(5, SEARCH, seed=0)) == ["caebd", "caebd"]
    system = RerankingRetriever(fused, Scorer(*PAIRS), CORPUS, QUERIES, k=3)
    assert found(system.top_k(5, SEARCH, seed=0)) == ["ecabd", "caebd"]
    outer = fusion("rrf", system, one, depth=1)
    assert found(outer.top_k(5, SEARCH, seed=0)) == ["ae", "ce"]
