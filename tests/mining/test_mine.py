"""Mining with an encoder of one axis per word, so that ranks and scores can be read off."""

import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retune.core.errors import InputError
from retune.core.files import sha256
from retune.core.records import Mined, Split
from retune.encoding.compute import Compute
from retune.encoding.encoder import Encoder
from retune.fetching import fetch
from retune.mining import mine as mining
from retune.mining.audit import audit, suspects
from retune.mining.candidates import NegativeCandidates
from retune.mining.inputs import gather, load_models
from retune.mining.mine import mine
from retune.mining.outcome import Outcome
from retune.mining.selection import within_limits
from retune.params.fetch import Fetch
from retune.params.mine import Limits, Mine
from retune.retrieval import cosines
from retune.retrieval.cross_encoder import CrossEncoderScorer
from tests.support import parameters
from tests.support.cross_encoders import save_tiny_cross_encoder
from tests.support.keyword_encoder import KeywordEncoder

AXES = ["red", "green", "blue", "round", "square"]


TEXTS = ["red", "red red green", "red green", "green", "blue round", "blue", "square"]


def corpus_of(texts: list[str], first: str = "d") -> pd.DataFrame:
    return pd.DataFrame({"doc_id": [f"{first}{n}" for n in range(len(texts))], "title": None, "text": texts})


CORPUS = corpus_of(TEXTS)


def split(
    queries: dict[str, str], positives: dict[str, list[str]], judged: dict[str, list[str]] | None = None
) -> Split:
    rows = [(query, doc, 1) for query, docs in positives.items() for doc in docs]
    rows += [(query, doc, 0) for query, docs in (judged or {}).items() for doc in docs]
    frame = pd.DataFrame({"query_id": list(queries), "text": list(queries.values()), "prompt": None, "answer": None})
    return Split(frame, pd.DataFrame(rows, columns=["query_id", "doc_id", "relevance"]))


RED = split({"q": "red"}, {"q": ["d0"]})
LIMITS: dict[str, Any] = dict.fromkeys(
    ["absolute_margin", "relative_margin", "percent_of_positive", "share_of_range", "max_score", "min_score"]
)


def recipe(first: int | None = 0, stop: int | None = 7, negatives: int = 2, **changed: Any) -> Mine:
    return Mine(**parameters.recipe("colours", "words", range=[first, stop], negatives=negatives) | changed)


def run(
    train: Split, params: Mine, *, corpus: pd.DataFrame = CORPUS, pool: pd.DataFrame | None = None, seed: int = 0
) -> tuple[Mined, Outcome, dict[str, Any]]:
    encoder = KeywordEncoder(*AXES)
    inputs = gather(corpus, train, pool, params)
    mined, outcome = mine(inputs, encoder, encoder, params, seed=seed)
    return mined, outcome, audit(inputs, outcome, params)


def negatives(train: Split, params: Mine, **options: Any) -> dict[str, list[str]]:
    mined, _, _ = run(train, params, **options)
    return dict(zip(mined.examples["query_id"], mined.examples["negative_ids"], strict=True))


def test_range_is_a_slice_of_the_ranking_with_positives_in_it() -> None:
    # "red": d0 1.0, d1 0.894, d2 0.707, then ties at 0 in corpus order. Ranks 1 and 2 are d1 and d2.
    assert negatives(RED, recipe(1, 3)) == {"q": ["d1", "d2"]}
    assert negatives(RED, recipe(3, 5)) == {"q": ["d3", "d4"]}


def test_positive_is_never_a_negative() -> None:
    assert negatives(split({"q": "red"}, {"q": ["d0", "d2"]}), recipe(0, 3)) == {"q": ["d1"]}


def test_positive_of_another_query_with_the_same_text_is_never_a_negative() -> None:
    train = split({"a": "red", "b": " Red "}, {"a": ["d0"], "b": ["d1"]})
    mined, _, numbers = run(train, recipe(0, 3))
    assert mined.examples["negative_ids"].tolist() == [["d2"], ["d2"]]
    assert numbers["rejected"]["positive"] == 2
    assert numbers["rejected"]["positive_of_equal_query"] == 2


@pytest.mark.parametrize(
    ("text", "rule"),
    [("RED  paint", "text_of_positive"), ("red", "text_of_query"), (" ", "empty_text")],
)
def test_document_that_repeats_positive_or_query_is_never_a_negative(text: str, rule: str) -> None:
    corpus = corpus_of(["red paint", text, "red green"])
    mined, _, numbers = run(RED, recipe(0, 3), corpus=corpus)
    assert mined.examples["negative_ids"].tolist() == [["d2"]]
    assert numbers["rejected"][rule] == 1


LONG = "red paint dries in about two hours on wood and in three on metal if the room is warm"


@pytest.mark.parametrize(("near_duplicate", "expected"), [(0.7, ["d2"]), (None, ["d1", "d2"])])
def test_near_duplicate_of_a_positive_is_a_negative_only_if_the_recipe_allows(
    near_duplicate: float | None, expected: list[str]
) -> None:
    corpus = corpus_of([LONG, LONG.replace("warm", "hot"), "green paint"])  # 34 shingles of 36 in common: 0.89
    mined, _, numbers = run(RED, recipe(0, 3, near_duplicate=near_duplicate), corpus=corpus)
    assert mined.examples["negative_ids"].tolist() == [expected]
    assert numbers["rejected"]["near_duplicate"] == (near_duplicate is not None)


def test_negatives_are_distinct_in_text() -> None:
    corpus = corpus_of(["red", "green", "GREEN", "blue", " green"])
    assert negatives(RED, recipe(0, 5, 4, sampling="top"), corpus=corpus) == {"q": ["d1", "d3"]}


WORDS = st.lists(st.sampled_from(AXES), min_size=1, max_size=4).map(" ".join)


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(
    queries=st.lists(WORDS, min_size=2, max_size=6), documents=st.lists(WORDS, min_size=4, max_size=12), data=st.data()
)
def test_negatives_depend_on_no_other_query_and_no_order(queries: list[str], documents: list[str], data: Any) -> None:
    recipes = (
        recipe(1, 5),
        recipe(1, 5, sampling="score", sampling_temperature=0.2),
        recipe(0, 3, 3, extra_ranges=[{"range": [2, None], "share": 0.3}], shortage="random"),
    )
    texts = {f"q{n}": f"{text} {n}" for n, text in enumerate(queries)}
    answers = {name: [f"d{data.draw(st.integers(0, len(documents) - 1))}"] for name in texts}
    order = data.draw(st.permutations(list(texts)))
    documents = [f"{text} {n}" for n, text in enumerate(documents)]
    for params in recipes:
        together = negatives(split(texts, answers), params, corpus=corpus_of(documents))
        shuffled = negatives(split({name: texts[name] for name in order}, answers), params, corpus=corpus_of(documents))
        alone = negatives(split({"q0": texts["q0"]}, {"q0": answers["q0"]}), params, corpus=corpus_of(documents))
        assert together == shuffled
        assert together["q0"] == alone["q0"]


def test_seed_changes_the_draw() -> None:
    assert len({tuple(negatives(RED, recipe(0, 7, 3), seed=seed)["q"]) for seed in range(8)}) > 1


def test_top_sampling_takes_the_highest_scores() -> None:
    assert negatives(RED, recipe(0, 7, 2, sampling="top")) == {"q": ["d1", "d2"]}


def test_sampling_by_score_prefers_high_scores_and_uniform_does_not() -> None:
    def share_of_d1(**sampling: Any) -> float:
        texts = {f"q{n}": "red" for n in range(400)}
        drawn = negatives(split(texts, {name: ["d0"] for name in texts}), recipe(0, 7, 1, **sampling))
        return sum(one == ["d1"] for one in drawn.values()) / len(drawn)

    # weights exp(score / 0.5): d1 0.894 -> 5.98, d2 0.707 -> 4.11, four at 0 -> 1 each: 5.98 / 14.09 = 0.42
    assert share_of_d1(sampling="score", sampling_temperature=0.5) == pytest.approx(0.42, abs=0.08)
    assert share_of_d1() == pytest.approx(1 / 6, abs=0.06)


# positive d0 1.0; d1 0.894, d2 0.707, the others 0
@pytest.mark.parametrize(
    ("limit", "value", "expected"),
    [
        ("absolute_margin", 0.2, ["d2", "d3"]),  # at most 0.8
        ("relative_margin", 0.2, ["d2", "d3"]),
        ("percent_of_positive", 0.7, ["d3", "d4"]),
        ("max_score", 0.75, ["d2", "d3"]),
        ("min_score", 0.7, ["d1", "d2"]),
    ],
)
def test_limit_on_the_score(limit: str, value: float, expected: list[str]) -> None:
    limits = LIMITS | {limit: value}
    mined, _, numbers = run(RED, recipe(0, 7, 2, sampling="top", limits=limits))
    assert mined.examples["negative_ids"].tolist() == [expected]
    assert numbers["outside_limits"][limit] == {"percent_of_positive": 2, "min_score": 4}.get(limit, 1)


def test_limits_are_of_the_lowest_positive() -> None:
    train = split({"q": "red"}, {"q": ["d0", "d2"]})  # lowest 0.707, 0.95 of it 0.672
    assert negatives(train, recipe(0, 7, 1, sampling="top", limits=LIMITS | {"percent_of_positive": 0.95})) == {
        "q": ["d3"]
    }


def test_limits_that_leave_nothing_are_refused_with_their_shares() -> None:
    limits = LIMITS | {"max_score": 0.8, "min_score": 0.75}  # d1 is above, d2 below
    with pytest.raises(
        InputError, match=r"got all 2 outside \(max_score 50.0%, min_score 50.0%\); loosen the limits, or use another"
    ):
        run(RED, recipe(0, 3, limits=limits, shortage="random"))


def test_share_of_the_negatives_comes_from_a_range_of_its_own() -> None:
    params = recipe(1, 3, 3, extra_ranges=[{"range": [4, 5], "share": 0.34}])
    mined, _, numbers = run(RED, params)
    assert mined.examples["negative_ids"].tolist() == [["d1", "d2", "d4"]]
    assert numbers["negatives_from"] == {"[1, 3)": 2, "[4, 5)": 1}


def test_range_without_end_is_the_rest_of_the_corpus_at_random() -> None:
    drawn = {tuple(negatives(RED, recipe(3, None, 3), seed=seed)["q"]) for seed in range(40)}
    assert {doc for one in drawn for doc in one} == {"d3", "d4", "d5", "d6"}
    assert len(drawn) == 4  # every choice of three


@pytest.mark.parametrize(("shortage", "expected"), [("fewer", 3), ("random", 4)])
def test_shortage_is_counted_and_filled_as_the_recipe_says(shortage: str, expected: int) -> None:
    mined, _, numbers = run(RED, recipe(0, 4, 4, shortage=shortage))
    assert numbers["queries_short"] == 1
    assert len(mined.examples["negative_ids"][0]) == expected
    assert numbers["queries_with_fewer_negatives"] == 4 - expected


def test_shortage_can_be_refused() -> None:
    message = "expected 4 negatives for every query, got fewer for 1 of 1 queries, first: 'q'; widen the range, loosen"
    with pytest.raises(InputError, match=message):
        run(RED, recipe(0, 4, 4, shortage="fail"))


def test_random_fill_adds_no_positive_and_no_repeat() -> None:
    train = split({"q": "red"}, {"q": ["d0", "d3"]})
    mined, _, numbers = run(train, recipe(0, 6, 6, shortage="random"))
    assert sorted(mined.examples["negative_ids"][0]) == ["d1", "d2", "d4", "d5", "d6"]
    assert numbers["negatives_from"] == {"[0, 6)": 4, "random": 1}
    assert numbers["queries_with_fewer_negatives"] == 1


def test_bm25_ranks_by_shared_words() -> None:
    corpus = corpus_of(["red paint", "green brush brush", "a brush for paint", "nothing"])
    train = split({"q": "red brush"}, {"q": ["d0"]})
    # only three documents share a word with the query: the range ends with them
    assert sorted(negatives(train, recipe(0, 4, 3, ranking="bm25"), corpus=corpus)["q"]) == ["d1", "d2"]


def test_union_takes_the_range_of_both_rankings_once() -> None:
    corpus = corpus_of(["red", "red green", "rare word", "square"])
    train = split({"q": "red rare"}, {"q": ["d0"]})
    assert sorted(negatives(train, recipe(0, 2, 2), corpus=corpus)["q"]) == ["d1"]
    assert sorted(negatives(train, recipe(0, 2, 2, ranking="union"), corpus=corpus)["q"]) == ["d1", "d2"]


def test_pool_of_another_data_set_is_ranked_under_names_of_its_own() -> None:
    pool = corpus_of(["red", "red red green", "red blue"])
    mined, _, numbers = run(RED, recipe(0, 3, 3, pool="paints"), pool=pool)
    assert sorted(mined.examples["negative_ids"][0]) == ["paints:d1", "paints:d2"]  # paints:d0 has the positive's text
    assert mined.documents["doc_id"].tolist() == ["paints:d1", "paints:d2", "d0"]
    assert numbers["documents_ranked"] == 3


def test_judged_negatives_come_first_and_mined_ones_fill_up() -> None:
    train = split({"q": "red"}, {"q": ["d0"]}, {"q": ["d6"]})
    mined, _, numbers = run(train, recipe(1, 3, 2, keep_judged=True, sampling="top"))
    assert mined.examples["negative_ids"].tolist() == [["d1", "d6"]]
    assert numbers["negatives_from"] == {"judged": 1, "[1, 3)": 1}
    assert negatives(train, recipe(1, 3, 2, sampling="top")) == {"q": ["d1", "d2"]}


def test_given_negatives_are_the_judged_ones_and_no_positive_of_an_equal_query() -> None:
    # "red": d2 0.707, d4 0, d6 0; d1 is positive for the other query of the same text
    train = split({"q": "red", "r": "red"}, {"q": ["d0"], "r": ["d1"]}, {"q": ["d6", "d1", "d4", "d2"]})
    mined, _, numbers = run(train, recipe(negatives=2, negatives_from="given", sampling="top"))
    assert mined.examples["negative_ids"].tolist() == [["d2", "d4"], []]
    assert mined.examples["negative_scores"][0] == pytest.approx([0.7071, 0.0], abs=1e-4)
    assert numbers["queries_short"] == 1
    assert numbers["negatives_from"] == {"judged": 2}


def test_given_and_none_encode_only_what_the_judgments_name() -> None:
    train = split({"q": "red"}, {"q": ["d0"]}, {"q": ["d6"]})
    for source, count in (("given", 1), ("none", 0)):
        encoder, params = KeywordEncoder(*AXES), recipe(negatives=count, negatives_from=source)
        mine(gather(CORPUS, train, None, params), encoder, encoder, params, seed=0)
        assert sorted(encoder.encoded) == ["d0", "d6", "q"]


def test_source_none_gives_positives_alone() -> None:
    mined, _, numbers = run(RED, recipe(negatives=0, negatives_from="none"))
    assert "suspects" not in numbers  # DVC would fail to draw a file with an empty list
    assert mined.examples["negative_ids"].tolist() == [[]]
    assert mined.examples["positive_scores"][0] == pytest.approx([1.0])
    assert mined.documents["doc_id"].tolist() == ["d0"]
    assert numbers["negatives"] == 0


def test_another_encoder_may_score() -> None:
    ranker, scorer, params = KeywordEncoder(*AXES), KeywordEncoder("green"), recipe(1, 3, 2)
    inputs = gather(CORPUS, split({"q": "red green"}, {"q": ["d2"]}), None, params)
    mined, _ = mine(inputs, ranker, scorer, params, seed=0)
    # by red and green: d2 1.0, d1 0.95, d0 0.71; to the scorer d1 is green, d0 is nothing
    assert mined.examples["negative_ids"].tolist() == [["d1", "d0"]]
    assert mined.examples["negative_scores"][0] == pytest.approx([1.0, 0.0])


def test_queries_without_positives_are_left_out_and_counted() -> None:
    train = split({"q": "red", "lost": "blue"}, {"q": ["d0"]}, {"lost": ["d3"]})
    mined, _, numbers = run(train, recipe(1, 3))
    assert mined.queries["query_id"].tolist() == ["q"]
    assert numbers["queries_without_positives"] == 1
    with pytest.raises(
        InputError, match="colours: expected training queries with a relevant document, got none with one"
    ):
        run(split({"q": "red"}, {}), recipe(1, 3))


def test_audit_describes_scores_ranks_and_suspects() -> None:
    train = split({"q": "red"}, {"q": ["d2"]})  # d0 and d1 score above d2; d0 repeats the query, so it is rejected
    mined, outcome, numbers = run(train, recipe(0, 3, 3))
    assert numbers["negatives"] == 1
    assert numbers["queries_with_fewer_negatives"] == 1
    assert numbers["negatives_above_lowest_positive"] == 1.0
    assert numbers["positive_score"]["p50"] == pytest.approx(0.70711)
    assert numbers["negative_rank"]["p50"] == 1.0
    assert numbers["suspects"] == [["q", "d1", "d2"]]
    assert numbers["texts_truncated"] == {"queries": 0, "documents": 3}
    assert sum(row["negatives"] for row in numbers["score_distribution"]) == pytest.approx(1.0)
    assert "red" not in str(numbers)  # numbers and ids only
    table = suspects(gather(CORPUS, train, None, recipe(0, 3, 3)), outcome)
    assert table[["document", "positive", "rank"]].to_numpy().tolist() == [["red red green", "red green", 1]]
    assert mined.examples["positive_scores"].iloc[0] == pytest.approx([0.70711], abs=1e-5)


def test_mined_set_holds_just_the_texts_it_names() -> None:
    mined, _, _ = run(RED, recipe(1, 3))
    assert mined.documents["doc_id"].tolist() == ["d0", "d1", "d2"]
    assert mined.queries["query_id"].tolist() == ["q"]


def test_range_that_begins_beyond_the_corpus_is_refused() -> None:
    with pytest.raises(InputError, match="expected a first rank below the 7 documents of 'colours', got 7; lower it"):
        run(RED, recipe(7, 10))


def test_empty_train_split_is_refused() -> None:
    with pytest.raises(InputError, match="colours: expected training queries, got an empty train split"):
        run(split({}, {}), recipe())


@pytest.mark.parametrize(
    ("search", "recall"),
    [
        ({"backend": "faiss_flat"}, None),
        ({"backend": "faiss_ivf", "lists": 2, "probes": 2, "min_recall": 0.9}, 1.0),
        ({"backend": "faiss_hnsw", "links": 8, "build_depth": 16, "search_depth": 16, "min_recall": 0.9}, 1.0),
    ],
)
def test_index_of_faiss_mines_the_same_and_tells_its_recall(search: dict[str, Any], recall: float | None) -> None:
    mined, _, numbers = run(RED, recipe(1, 3, search=search))
    assert mined.examples["negative_ids"].tolist() == [["d1", "d2"]]
    assert numbers["search_recall"] == recall


def test_blocks_of_any_size_mine_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {f"q{n}": f"{AXES[n % 5]} {n}" for n in range(9)}
    train = split(texts, {name: ["d0"] for name in texts})
    params = recipe(1, 4, 5, ranking="union", extra_ranges=[{"range": [2, None], "share": 0.4}], shortage="random")
    whole = negatives(train, params)
    monkeypatch.setattr(mining, "CANDIDATES_A_BLOCK", 8)  # two queries of four ranks
    monkeypatch.setattr(cosines, "BLOCK_PAIRS", 3)
    assert negatives(train, params) == whole
    assert len(whole) == 9


# "red": positive d0 0.707; d1 0.577, d2 2 / sqrt(13) = 0.555, d3 0.5
MARGINS = corpus_of(["red green", "red green blue", "red red green green green", "red green blue round"])


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"absolute_margin": 0.18}, ["d3"]),  # at most 0.527
        ({"relative_margin": 0.2}, ["d2", "d3"]),  # at most 0.566
        ({"percent_of_positive": 0.8}, ["d2", "d3"]),
        ({"percent_of_positive": 0.8, "min_score": 0.52}, ["d2"]),
    ],
)
def test_margins_are_of_the_positive(limits: dict[str, float], expected: list[str]) -> None:
    drawn = negatives(RED, recipe(0, 4, 3, sampling="top", limits=LIMITS | limits), corpus=MARGINS)
    assert drawn == {"q": expected}


def test_margins_tighten_below_zero_as_well() -> None:
    pairs = replace(NegativeCandidates.of(np.zeros(4, int), np.arange(4)), score=np.array([-1.9, -2.05, -2.15, -3.0]))
    for limit in ({"percent_of_positive": 0.95}, {"relative_margin": 0.05}, {"absolute_margin": 0.1}):
        kept = within_limits(pairs, np.array([-2.0]), 0.0, Limits(**LIMITS | limit), Counter())  # at most -2.1
        assert kept.document.tolist() == [2, 3]


@pytest.mark.parametrize(
    ("positive", "expected"),
    [
        (0.90, [2, 3]),  # floor 0.80, ceiling 0.80 + 0.75 * 0.10 = 0.875
        (0.78, []),  # below the floor: at most 0.78 - 0.25 * 0.02 = 0.775
    ],
)
def test_share_of_range_measures_from_the_floor(positive: float, expected: list[int]) -> None:
    pairs = replace(NegativeCandidates.of(np.zeros(4, int), np.arange(4)), score=np.array([0.92, 0.88, 0.87, 0.79]))
    rejected: Counter[str] = Counter()
    limits = Limits(**LIMITS | {"share_of_range": 0.75})
    kept = within_limits(pairs, np.array([positive]), 0.80, limits, rejected)
    assert kept.document.tolist() == expected
    assert rejected == {"share_of_range": 4 - len(expected)}


class CrowdedEncoder(KeywordEncoder):
    """Vectors with a large part in common, as those of e5 have: "query 7" is near "document 7"."""

    def encode_documents(self, texts: list[str], *, ids: list[str]) -> np.ndarray:
        rows = []
        for kind, number in (text.split() for text in texts):
            topic = np.random.default_rng(int(number)).normal(size=64)
            noise = np.random.default_rng([int(number), len(kind)]).normal(size=64)
            rows.append(np.r_[17**0.5, topic / np.linalg.norm(topic), 2**0.5 * noise / np.linalg.norm(noise)])
        # squared length 17 + 1 + 2 = 20; cosine of random pairs 17 / 20 = 0.85, of positives 18 / 20 = 0.90
        return np.array(rows, dtype=np.float32) / np.float32(20**0.5)


def crowded(limits: dict[str, float]) -> dict[str, Any]:
    """Mine 200 queries in 200 documents with an encoder whose cosines are all high; return the audit."""
    numbers = range(200)
    train = split({f"q{n}": f"query {n}" for n in numbers}, {f"q{n}": [f"d{n}"] for n in numbers})
    params = recipe(1, 50, 4, limits=LIMITS | limits, shortage="random")
    encoder = CrowdedEncoder(*AXES)
    inputs = gather(corpus_of([f"document {n}" for n in numbers]), train, None, params)
    _, outcome = mine(inputs, encoder, encoder, params, seed=0)
    return audit(inputs, outcome, params)


def test_share_of_range_leaves_negatives_of_the_range_where_all_cosines_are_high(
    caplog: pytest.LogCaptureFixture,
) -> None:
    literal = crowded({"percent_of_positive": 0.95})
    assert literal["random_score"]["p50"] == pytest.approx(0.85, abs=0.01)
    assert literal["positive_score"]["p50"] == pytest.approx(0.90, abs=0.01)
    of_literal = literal["negatives_from"]
    assert of_literal["random"] > 0.5 * literal["negatives"]
    assert "are random documents" in caplog.text
    assert "limits: {percent_of_positive: null, share_of_range: 0.9}" in caplog.text
    caplog.clear()
    of_range = crowded({"share_of_range": 0.9})["negatives_from"]
    assert of_range.get("random", 0) < 0.1 * sum(of_range.values())
    assert "are random documents" not in caplog.text


def test_share_of_range_needs_a_floor() -> None:
    corpus = corpus_of(["red", "red green"])
    train = split({"q": "red"}, {"q": ["d0", "d1"]})
    with pytest.raises(InputError, match="share_of_range: expected random pairs .* got none"):
        run(train, recipe(0, 2, 1, limits=LIMITS | {"share_of_range": 0.9}), corpus=corpus)


def test_judged_negatives_need_not_keep_limits_nor_differ_from_positives() -> None:
    corpus = corpus_of([LONG, LONG.replace("warm", "hot"), "green paint", "red"])
    train = split({"q": "red"}, {"q": ["d0"]}, {"q": ["d1", "d2"]})
    params = recipe(0, 4, 2, keep_judged=True, near_duplicate=0.7, limits=LIMITS | {"max_score": 0.1})
    assert sorted(negatives(train, params, corpus=corpus)["q"]) == ["d1", "d2"]


def test_share_of_a_range_is_of_what_judged_negatives_leave() -> None:
    train = split({"q": "red"}, {"q": ["d0"]}, {"q": ["d6"]})
    params = recipe(1, 3, 3, keep_judged=True, extra_ranges=[{"range": [3, 5], "share": 0.5}])
    assert run(train, params)[2]["negatives_from"] == {"judged": 1, "[1, 3)": 1, "[3, 5)": 1}


def test_range_without_end_keeps_limits_and_comes_from_the_pool() -> None:
    pool = corpus_of(["red blue", "green", *[f"blue {n}" for n in range(300)], "red"])
    params = recipe(0, None, 4, pool="paints", limits=LIMITS | {"min_score": 0.5})  # only "red blue", 0.707, and "red"
    assert negatives(RED, params, pool=pool) == {"q": ["paints:d0"]}


def test_random_fill_comes_from_the_pool_whatever_it_scores() -> None:
    pool = corpus_of(["red blue", "red green", *[f"red blue {n}" for n in range(30)]])  # all 0.707
    params = recipe(0, 2, 2, pool="paints", limits=LIMITS | {"max_score": 0.6}, keep_judged=True, shortage="random")
    train = split({"q": "red", "r": "red"}, {"q": ["d0"], "r": ["d0"]}, {"q": ["d6"]})
    with pytest.raises(InputError, match="limits: expected candidates within the limits, got all 4 outside"):
        run(train, params, pool=pool)
    params = recipe(0, 2, 2, pool="paints", limits=LIMITS | {"max_score": 0.71}, shortage="random")
    pool.loc[0, "text"] = "red red red blue"  # 0.949: one of two is left in the range
    mined, _, numbers = run(RED, params, pool=pool)
    assert numbers["negatives_from"] == {"[0, 2)": 1, "random": 1}
    assert all(doc.startswith("paints:") for doc in mined.examples["negative_ids"][0])


def test_copy_of_the_positive_of_an_equal_query_is_never_a_negative() -> None:
    corpus = corpus_of(["green", LONG, LONG.upper(), LONG.replace("warm", "hot"), "red"])
    train = split({"a": "red paint", "b": "Red paint"}, {"a": ["d0"], "b": ["d1"]})
    mined, _, numbers = run(train, recipe(0, 5, 4, near_duplicate=0.7), corpus=corpus)
    assert mined.examples["negative_ids"].tolist() == [["d4"], ["d4"]]
    assert numbers["rejected"]["text_of_positive"] == numbers["rejected"]["near_duplicate"] == 2


def test_index_that_misses_too_much_is_refused() -> None:
    corpus = corpus_of([f"{AXES[n % 5]} {n}" for n in range(60)])
    search = {"backend": "faiss_ivf", "lists": 5, "probes": 1, "min_recall": 0.99}
    with pytest.raises(InputError, match="min_recall: expected 0.99 of the exact neighbours, found 0"):
        run(split({"q": "red"}, {"q": ["d0"]}), recipe(0, 50, search=search), corpus=corpus)


def test_suspects_are_the_twenty_furthest_above_their_positive() -> None:
    corpus = corpus_of(["green", *[f"red {'red ' * n}blue {n}" for n in range(30)]])
    _, outcome, numbers = run(RED, params := recipe(0, 31, 30), corpus=corpus)
    table = suspects(gather(corpus, RED, None, params), outcome)
    assert len(table) == len(numbers["suspects"]) == 20
    assert table["score"].tolist() == sorted(table["score"], reverse=True)
    assert table["score"][0] == outcome.negatives.score.max()


def test_random_pairs_hold_no_positive() -> None:
    _, outcome, _ = run(RED, recipe(0, 2, 1), corpus=corpus_of(["red", "red green"]))
    np.testing.assert_allclose(outcome.random_pairs, 0.7071, atol=1e-4)
    assert len(outcome.random_pairs) > 300


def test_range_beyond_the_corpus_and_limits_that_reject_most_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    corpus = corpus_of(["red", "red green", *[f"red {n}" for n in range(20)]])
    run(RED, recipe(0, 99, 1, limits=LIMITS | {"max_score": 0.9}), corpus=corpus)
    assert "range [0, 99) is cut to the 22 documents of the pool" in caplog.text
    assert "limits reject 20 of 21 candidates" in caplog.text


def test_recipe_that_finds_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="expected negatives, got none .rejected: positive 100.0%.; widen the range"):
        run(RED, recipe(0, 1, 1))


def test_judgments_that_name_an_absent_document_are_refused() -> None:
    message = "colours: expected judgments of documents in the corpus, got 1 of 2 whose document is absent, first: 'd9'"
    with pytest.raises(InputError, match=message):
        run(split({"q": "red"}, {"q": ["d0", "d9"]}), recipe())


def test_pool_whose_names_meet_the_data_sets_is_refused() -> None:
    corpus = CORPUS.assign(doc_id=["paints:d1", *CORPUS["doc_id"][1:]])
    with pytest.raises(InputError, match="expected document ids other than those of pool 'paints', got 'paints:d1'"):
        run(split({"q": "red"}, {"q": ["paints:d1"]}), recipe(pool="paints"), corpus=corpus, pool=CORPUS)


def test_bm25_takes_the_best_of_many_and_only_words_count() -> None:
    corpus = corpus_of(["red paint", "red?", "red red", "red red red", "why?", "red fox in a very long text"])
    train = split({"q": "red?"}, {"q": ["d0"]})
    assert negatives(train, recipe(0, 2, 2, ranking="bm25"), corpus=corpus)["q"] == ["d2", "d3"]
    assert "d4" not in negatives(train, recipe(0, 6, 6, ranking="bm25"), corpus=corpus)["q"]
    with pytest.raises(InputError, match="expected negatives, got none"):
        run(train, recipe(0, 2, 2, ranking="bm25"), corpus=corpus_of(["?", "!", "..."]))


def test_union_leaves_out_what_either_ranking_has_before_the_range() -> None:
    corpus = corpus_of(["rare", "red", "red red green", "red rare", "green rare"])
    train = split({"q": "red rare"}, {"q": ["d0"]})
    drawn = negatives(train, recipe(1, 3, 2, ranking="union"), corpus=corpus)["q"]
    # dense: d1, d3 first (both 1.0), BM25: d3 first. Rank 0 of either is left out.
    assert "d1" not in drawn
    assert "d3" not in drawn


class PromptedEncoder(KeywordEncoder):
    def encode_queries(self, texts: list[str], prompts: list[str | None], *, ids: list[str]) -> np.ndarray:
        return self.encode_documents(
            [f"{prompt or ''}{text}" for text, prompt in zip(texts, prompts, strict=True)], ids=ids
        )


def test_prompts_of_queries_reach_the_encoder() -> None:
    queries = pd.DataFrame({"query_id": ["q"], "text": ["red"], "prompt": ["green green green "], "answer": [None]})
    encoder, params = PromptedEncoder(*AXES), recipe(0, 1, 1)
    inputs = gather(CORPUS, Split(queries, RED.qrels), None, params)
    mined, _ = mine(inputs, encoder, encoder, params, seed=0)
    assert mined.examples["negative_ids"].tolist() == [["d3"]]


class LengthScorer(CrossEncoderScorer):
    """Scores a pair by the letters of query and document."""

    def __init__(self) -> None:
        self.pairs: list[tuple[str, str]] = []
        self.truncated = {"pairs": 0}

    def score(self, queries: Sequence[str], documents: Sequence[str]) -> np.ndarray:
        self.truncated["pairs"] += sum(len(text) > 9 for text in documents)
        self.pairs += list(zip(queries, documents, strict=True))
        return np.array([len(query) - len(text) for query, text in self.pairs[-len(queries) :]], dtype=np.float32)


def test_cross_encoder_scores_the_candidates_of_the_range_or_just_those_chosen() -> None:
    for limits, count in ((None, 2), (LIMITS | {"max_score": -5.0}, 4)):
        scorer, params = LengthScorer(), recipe(1, 5, 2, limits=limits)
        inputs = gather(CORPUS, RED, None, params)
        mined, outcome = mine(inputs, KeywordEncoder(*AXES), scorer, params, seed=0)
        assert outcome.truncated["pairs"] == sum(len(text) > 9 for _, text in scorer.pairs) > 0
        texts = dict(zip(CORPUS["doc_id"], TEXTS, strict=True))
        expected = [3.0 - len(texts[doc]) for doc in mined.examples["negative_ids"][0]]
        assert list(mined.examples["negative_scores"][0]) == expected
        assert mined.examples["positive_scores"].tolist() == [[0.0]]
        chosen_from = {text for _, text in scorer.pairs[-count:]}
        assert len(chosen_from) == count
        assert {texts[doc] for doc in mined.examples["negative_ids"][0]} <= chosen_from


def test_models_of_a_recipe_are_loaded_by_what_they_are(
    tiny_model: Path, tiny_transformer: Path, fetch_values: dict[str, Any], tmp_path: Path
) -> None:
    raw = save_tiny_cross_encoder(tiny_transformer, tmp_path / "raw")
    own = {
        "path": str(raw),
        "sha256": sha256(raw / "model.safetensors"),
        "pooling": "as_saved",
        "document_max_length": 32,
    }
    fetch.fetch(Fetch.parse("fetch.cross", fetch_values | own), tmp_path / "cross", where="fetch.cross")
    shutil.copytree(tiny_model, tmp_path / "other")
    compute = Compute.parse("compute", {"device": "cpu", "token_budget": 512})
    ranker, scorer = load_models(tiny_model, tiny_model, tmp_path, compute)
    assert ranker is scorer
    assert isinstance(load_models(tiny_model, tmp_path / "other", tmp_path, compute)[1], Encoder)
    assert isinstance(load_models(tiny_model, tmp_path / "cross", tmp_path, compute)[1], CrossEncoderScorer)
