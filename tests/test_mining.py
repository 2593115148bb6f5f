"""Mining with an encoder of one axis per word, so that ranks can be read off."""

import numpy as np
import pandas as pd
import pytest

from retune.errors import InputError
from retune.mining import mine
from retune.params.mine import Mine
from retune.records import Split

AXES = ["red", "green", "blue", "round", "square"]


class KeywordEncoder:
    """Counts each axis's word and normalises."""

    def encode_documents(self, texts: list[str]) -> np.ndarray:
        counts = np.array([[text.split().count(axis) for axis in AXES] for text in texts], dtype=np.float32)
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)

    def encode_queries(self, texts: list[str], prompts: list[str | None]) -> np.ndarray:
        return self.encode_documents(texts)


TEXTS = ["red", "red red green", "red green", "green", "blue round", "blue", "square"]
CORPUS = pd.DataFrame({"doc_id": [f"d{n}" for n in range(len(TEXTS))], "title": None, "text": TEXTS})


def split(queries: dict[str, str], positives: dict[str, list[str]]) -> Split:
    rows = [(query, doc, 1) for query, docs in positives.items() for doc in docs]
    frame = pd.DataFrame({"query_id": list(queries), "text": list(queries.values()), "prompt": None, "answer": None})
    return Split(frame, pd.DataFrame(rows, columns=["query_id", "doc_id", "relevance"]))


def params(first: int, stop: int, negatives: int, source: str = "mined") -> Mine:
    return Mine(dataset="colours", model="words", source=source, range=[first, stop], negatives=negatives)


def negatives(queries: dict[str, str], positives: dict[str, list[str]], recipe: Mine, seed: int = 0) -> dict:
    mined, _ = mine(CORPUS, split(queries, positives), KeywordEncoder(), recipe, seed=seed)
    return dict(zip(mined.examples["query_id"], mined.examples["negative_ids"], strict=True))


def test_range_is_a_slice_of_the_ranking_with_positives_in_it() -> None:
    # "red": d0 1.0, d1 0.894, d2 0.707, then ties at 0 in corpus order. Ranks 1 and 2 are d1 and d2.
    assert negatives({"q": "red"}, {"q": ["d0"]}, params(1, 3, 2)) == {"q": ["d1", "d2"]}


def test_positive_is_never_a_negative() -> None:
    assert negatives({"q": "red"}, {"q": ["d0", "d2"]}, params(0, 3, 2)) == {"q": ["d1"]}


def test_positive_of_another_query_with_the_same_text_is_never_a_negative() -> None:
    drawn = negatives({"a": "red", "b": "red"}, {"a": ["d0"], "b": ["d1"]}, params(0, 3, 2))
    assert drawn == {"a": ["d2"], "b": ["d2"]}


def test_negatives_do_not_depend_on_the_other_queries_or_their_order() -> None:
    queries, positives = {"a": "red", "b": "blue", "c": "green"}, {"a": ["d0"], "b": ["d5"], "c": ["d3"]}
    together = negatives(queries, positives, params(0, 7, 3))
    backwards = negatives(dict(reversed(queries.items())), positives, params(0, 7, 3))
    alone = negatives({"b": "blue"}, {"b": ["d5"]}, params(0, 7, 3))
    assert together == backwards
    assert together["b"] == alone["b"]


def test_seed_changes_the_draw() -> None:
    draws = {tuple(negatives({"q": "red"}, {"q": ["d0"]}, params(0, 7, 3), seed)["q"]) for seed in range(8)}
    assert len(draws) > 1


def test_audit_counts_shortage_and_negatives_above_the_positive() -> None:
    train = split({"q": "red"}, {"q": ["d2"]})  # d0 and d1 score above d2
    mined, audit = mine(CORPUS, train, KeywordEncoder(), params(0, 3, 3), seed=0)
    assert audit["negatives"] == 2
    assert audit["queries_with_fewer_negatives"] == 1
    assert audit["negatives_above_lowest_positive"] == 1.0
    assert mined.examples["positive_scores"].iloc[0] == pytest.approx([0.70711], abs=1e-5)
    assert mined.examples["negative_scores"].iloc[0] == pytest.approx([1.0, 0.89443], abs=1e-5)


def test_mined_set_holds_just_the_texts_it_names() -> None:
    mined, _ = mine(CORPUS, split({"q": "red"}, {"q": ["d0"]}), KeywordEncoder(), params(1, 3, 2), seed=0)
    assert mined.documents["doc_id"].tolist() == ["d0", "d1", "d2"]
    assert mined.queries["query_id"].tolist() == ["q"]


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (params(0, 10, 7), "expected documents for 7 negatives beside 1 positives, from rank 0 on, got 7"),
        (params(7, 10, 2), "from rank 7 on, got 7 documents; lower negatives or range"),
    ],
)
def test_corpus_too_small_is_refused(recipe: Mine, message: str) -> None:
    with pytest.raises(InputError, match=message):
        negatives({"q": "red"}, {"q": ["d0"]}, recipe)


def test_empty_train_split_is_refused() -> None:
    with pytest.raises(InputError, match="colours: expected training queries, got an empty train split"):
        negatives({}, {}, params(0, 3, 2))


def test_given_negatives_are_the_judged_ones_hardest_first_and_no_positive_of_an_equal_query() -> None:
    # "red": d2 0.707, d4 0, d6 0; d1 is positive for the other query of the same text
    train = split({"q": "red", "r": "red"}, {"q": ["d0"], "r": ["d1"]})
    judged = pd.DataFrame([("q", doc, 0) for doc in ("d6", "d1", "d4", "d2")], columns=train.qrels.columns)
    train = Split(train.queries, pd.concat([train.qrels, judged]))
    mined, audit = mine(CORPUS, train, KeywordEncoder(), params(0, 7, 2, source="given"), seed=0)
    assert mined.examples["negative_ids"].tolist() == [["d2", "d4"]]
    assert mined.examples["negative_scores"][0] == pytest.approx([0.7071, 0.0], abs=1e-4)
    assert mined.queries["query_id"].tolist() == ["q"]
    assert audit["queries_left_out"] == 1
    assert audit["negative_rank"] == {}


def test_given_negatives_that_no_query_has_are_refused() -> None:
    with pytest.raises(InputError, match="expected 2 judged negatives a query, no query has as many"):
        negatives({"q": "red"}, {"q": ["d0"]}, params(0, 7, 2, source="given"))
