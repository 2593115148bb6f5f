"""Evaluation of one model on one data set: what is ranked, what is counted, and what a user can choose."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from retune.core.errors import InputError
from retune.core.records import Dataset, Split, empty_split, write_dataset
from retune.encoding.encoder import Encoder
from retune.evaluation.evaluate import Evaluation, measure
from retune.evaluation.metrics import mean_scores
from retune.evaluation.pair_scores import random_pairs
from retune.fetching import fetch
from retune.mining.inputs import load_models
from retune.models.directory import LEXICAL
from retune.params.eval import Measuring
from retune.params.fetch import Lexical
from retune.params.search import Torch
from retune.retrieval import retriever
from retune.training.dev_scoring import evaluate
from tests.support.keyword_encoder import KeywordEncoder
from tests.support.parameters import COMPUTE, MEASURING
from tests.support.training_task import corpus, split

TEXTS = ["red", "red red green", "red green", "green", "green blue", "blue"]
CORPUS = pd.DataFrame({"doc_id": [f"d{n}" for n in range(6)], "title": None, "text": TEXTS})
Measure = Callable[..., Evaluation]


def asked(queries: dict[str, str], judged: dict[str, dict[str, int]]) -> Split:
    rows = [(query, doc, grade) for query, grades in judged.items() for doc, grade in grades.items()]
    frame = pd.DataFrame({"query_id": list(queries), "text": list(queries.values()), "prompt": None, "answer": None})
    return Split(frame, pd.DataFrame(rows, columns=["query_id", "doc_id", "relevance"]))


RED = asked({"q": "red"}, {"q": {"d1": 1}})


@pytest.fixture
def evaluation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Measure:
    """Measure an encoder of the axes red, green and blue on six documents."""
    monkeypatch.setattr(retriever.Encoder, "load", lambda *_, **__: KeywordEncoder("red", "green", "blue"))

    def call(test: Split, *, documents: pd.DataFrame = CORPUS, model: str = "model", **changed: Any) -> Evaluation:
        (tmp_path / "model").mkdir(exist_ok=True)
        splits = {"train": empty_split(), "dev": empty_split(), "test": test}
        write_dataset(tmp_path / "colours", Dataset(documents, splits))
        params = Measuring.parse("eval", MEASURING | changed)
        excluded = tmp_path / "excluded"
        return measure(tmp_path / model, tmp_path / "colours", params, COMPUTE, excluded=excluded, seed=13)

    return call


def found(evaluation: Evaluation, query_id: str = "q") -> list[str]:
    return evaluation.run.loc[evaluation.run["query_id"] == query_id, "doc_id"].tolist()


def test_what_is_found_and_how_good_it_is(evaluation: Measure) -> None:
    # "red": d0 1.0, d1 2 / sqrt(5) = 0.894, d2 0.707
    result = evaluation(RED)
    assert found(result) == ["d0", "d1", "d2"]
    assert result.run["score"].tolist() == pytest.approx([1.0, 0.894427, 0.707107], abs=1e-6)
    assert result.run["rank"].tolist() == [1, 2, 3]
    assert result.means["mrr_at_3"] == 0.5
    assert "map" not in result.means


def test_cell_is_what_the_dev_score_of_training_would_be(tiny_model: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path, Dataset(corpus(), {"train": empty_split(), "dev": empty_split(), "test": split()}))
    measured = measure(tiny_model, tmp_path, Measuring.parse("eval", MEASURING), COMPUTE, excluded=tmp_path, seed=13)
    expected = evaluate(Encoder.load(tiny_model, COMPUTE), corpus(), split(), [1, 3])
    pd.testing.assert_frame_equal(measured.per_query, expected, check_dtype=False)
    assert measured.means == mean_scores(expected)


@pytest.mark.parametrize(
    ("of_model", "of_eval", "expected"),
    [("auto", "float32", "float32"), ("auto", "bfloat16", "bfloat16"), ("bfloat16", "float32", "bfloat16")],
)
def test_number_format_is_that_of_eval_unless_the_model_names_one(
    of_model: str, of_eval: str, expected: str, tiny_model: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    settings = json.loads((model / "retune.json").read_text())
    (model / "retune.json").write_text(json.dumps(settings | {"dtype": of_model}))
    write_dataset(tmp_path, Dataset(corpus(), {"train": empty_split(), "dev": empty_split(), "test": split()}))
    params = Measuring.parse("eval", MEASURING | {"dtype": of_eval})
    measured = measure(model, tmp_path, params, COMPUTE, excluded=tmp_path / "absent", seed=13)
    encoder = Encoder.load(model, COMPUTE, dtype=expected)
    assert encoder.dtype == getattr(torch, expected)
    vectors = retriever.VectorRetriever(encoder, corpus(), split().queries, dims=None)
    expected_scores = vectors.top_k(3, Torch(backend="torch"), seed=13).scores
    np.testing.assert_array_equal(measured.run["score"].to_numpy().reshape(expected_scores.shape), expected_scores)


def test_vectors_are_cut_and_scaled_again(evaluation: Measure) -> None:
    # without its second axis "red green" is "red"
    documents = CORPUS.iloc[:3]
    result = evaluation(RED, documents=documents, dims=1)
    assert found(result) == ["d0", "d1", "d2"]
    assert result.run["score"].tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("dims", "message"),
    [
        (4, "params.yaml: eval.dims: expected at most the model's 3 dimensions, got 4; lower it, or write null"),
        (1, "expected vectors that are not zero in their first 1 dimensions, got zeros for 'd3'"),
    ],
)
def test_dimensions_that_do_not_fit_are_refused(evaluation: Measure, dims: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        evaluation(RED, dims=dims)


@pytest.mark.parametrize(
    ("search", "recall"),
    [
        ({"backend": "torch"}, None),
        ({"backend": "faiss_flat"}, None),
        ({"backend": "faiss_ivf", "lists": 2, "probes": 2, "min_recall": 0.9}, 1.0),
        ({"backend": "faiss_hnsw", "links": 8, "build_depth": 16, "search_depth": 16, "min_recall": 0.9}, 1.0),
    ],
)
def test_any_search_finds_the_same_and_tells_its_recall(
    evaluation: Measure, search: dict[str, Any], recall: float | None
) -> None:
    result = evaluation(RED, search=search)
    assert found(result) == ["d0", "d1", "d2"]
    assert result.means.get("search_recall") == recall


def test_search_that_misses_too_much_is_refused(evaluation: Measure) -> None:
    documents = pd.DataFrame({"doc_id": [f"d{n}" for n in range(40)], "title": None, "text": ["red", "blue"] * 20})
    search = {"backend": "faiss_ivf", "lists": 2, "probes": 1, "min_recall": 0.9}
    with pytest.raises(InputError, match="search: min_recall: expected 0.9 of the exact neighbours, found 0"):
        evaluation(RED, documents=documents, search=search, ks=[30])  # more than one list holds


def test_document_of_the_query_s_own_id_is_not_found(evaluation: Measure) -> None:
    own = asked({"d0": "red", "q": "red"}, {"d0": {"d1": 1}, "q": {"d1": 1}})
    assert found(evaluation(own), "d0") == ["d0", "d1", "d2"]
    result = evaluation(own, exclude_same_id=True)
    assert found(result, "d0") == ["d1", "d2", "d3"]  # as many as without it
    assert found(result, "q") == ["d0", "d1", "d2"]
    assert result.per_query["mrr_at_1"].tolist() == [1.0, 0.0]


def test_own_document_is_left_out_of_a_corpus_that_is_found_whole(evaluation: Measure) -> None:
    result = evaluation(asked({"d0": "red"}, {"d0": {"d1": 1}}), documents=CORPUS.iloc[:2], exclude_same_id=True)
    assert found(result, "d0") == ["d1"]


def exclude(folder: Path, *pairs: str) -> None:
    (folder / "excluded").mkdir()
    (folder / "excluded/colours.csv").write_text("\n".join(["query_id,doc_id", *pairs]))


def test_documents_on_a_query_s_list_are_not_found(evaluation: Measure, tmp_path: Path) -> None:
    test = asked({"d0": "red", "q": "red"}, {"d0": {"d2": 1}, "q": {"d1": 1}})
    exclude(tmp_path, "d0,d1", "q,d0", "q,d1", "q,d2", "q,d0")
    result = evaluation(test)
    assert found(result, "d0") == ["d0", "d2", "d3"]
    assert found(result, "q") == ["d3", "d4", "d5"]  # as many as without a list
    assert result.per_query["recall_at_3"].tolist() == [1.0, 0.0]  # what is relevant and on the list stays relevant
    assert found(evaluation(test, exclude_same_id=True), "d0") == ["d2", "d3", "d4"]


def test_candidates_on_a_query_s_list_are_not_ranked(evaluation: Measure, tmp_path: Path) -> None:
    exclude(tmp_path, "q,d1")
    assert found(evaluation(LISTS, judged_only=["colours"]), "q") == ["d2", "d5"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("query_id,doc_id\nq,d9\nq,d8\n", "doc_id: expected documents of colours, got 'd9' and 1 more; remove them"),
        ("query_id,doc_id\nz,d1\n", "query_id: expected test queries of colours, got 'z' and 0 more; remove them"),
        ("query_id,document\nq,d1\n", "expected the columns query_id and doc_id, got query_id, document"),
        ("", "expected data, got an empty file"),
    ],
)
def test_wrong_list_is_refused(evaluation: Measure, tmp_path: Path, text: str, line: str) -> None:
    exclude(tmp_path)
    (tmp_path / "excluded/colours.csv").write_text(text)
    with pytest.raises(InputError, match=f"excluded/colours.csv: {line}"):
        evaluation(RED)


def test_list_that_was_not_pulled_is_refused(evaluation: Measure, tmp_path: Path) -> None:
    (tmp_path / "excluded").mkdir()
    (tmp_path / "excluded/colours.csv.dvc").touch()
    with pytest.raises(InputError, match=r"excluded/colours.csv: expected the file that colours.csv.dvc describes"):
        evaluation(RED)


LISTS = asked(
    {"q": "red", "r": "green", "s": "blue"},
    {"q": {"d5": 0, "d2": 1, "d1": 0}, "r": {"d3": 1, "d0": 0}, "s": {"d5": 1}},
)


def test_candidates_are_ranked_whole_with_metrics_without_a_cut(evaluation: Measure) -> None:
    # "red": d1 0.894, d2 0.707, d5 0; its relevant d2 comes second: map and mrr 1/2. "green": d3, d0: 1.
    # "s" has nothing but a relevant document, so any model would be right
    result = evaluation(LISTS, judged_only=["colours"], ks=[1])
    assert found(result, "q") == ["d1", "d2", "d5"]
    assert found(result, "r") == ["d3", "d0"]
    assert result.per_query["query_id"].tolist() == ["q", "r"]
    assert result.per_query["map"].tolist() == [0.5, 1.0]
    assert result.per_query["mrr"].tolist() == [0.5, 1.0]
    assert result.per_query["mrr_at_1"].tolist() == [0.0, 1.0]
    assert result.means["map"] == 0.75
    assert result.means["queries_left_out"] == 1


def test_candidates_of_words_include_those_without_a_shared_one(evaluation: Measure, tmp_path: Path) -> None:
    fetch.fetch(Lexical(source="bm25"), tmp_path / "words", where="x")
    result = evaluation(LISTS, model="words", judged_only=["colours"])
    assert found(result, "q") == ["d1", "d2", "d5"]
    assert result.run["score"].iloc[2] == 0.0


def test_own_document_is_no_candidate(evaluation: Measure) -> None:
    test = asked({"d0": "red"}, {"d0": {"d0": 0, "d1": 1, "d5": 0}})
    assert found(evaluation(test, judged_only=["colours"]), "d0") == ["d0", "d1", "d5"]
    assert found(evaluation(test, judged_only=["colours"], exclude_same_id=True), "d0") == ["d1", "d5"]


def test_lists_without_an_irrelevant_document_are_refused(evaluation: Measure) -> None:
    with pytest.raises(
        InputError, match=r"eval.judged_only: expected data sets .* got 'colours', which has none; remove it"
    ):
        evaluation(RED, judged_only=["colours"])


def test_data_set_without_test_queries_is_refused(evaluation: Measure) -> None:
    with pytest.raises(InputError, match=r"colours: expected test queries, got none; give it some \(convert.colours"):
        evaluation(empty_split())


def test_cosines_of_relevant_and_of_random_pairs(evaluation: Measure) -> None:
    # positives: red with d1 0.894, blue with d4 0.707. Random pairs, all five others: red 1, 0.707, 0, 0, 0;
    # blue 0, 0, 0, 0, 1
    scores = evaluation(asked({"q": "red", "r": "blue"}, {"q": {"d1": 1}, "r": {"d4": 2, "d0": 0}})).pair_scores
    assert scores["positives"] == {"mean": 0.80077, "p5": 0.71647, "p50": 0.80077, "p95": 0.88506}
    assert scores["random_pairs"]["mean"] == round((1 + 0.707107 + 1) / 10, 5)
    rows = scores["histogram"]
    assert len(rows) == 41  # of 0.025 each, from 0 to the bin that begins at 1
    assert rows[0] == {"score": 0.0125, "positives": 0.0, "random_pairs": 0.7}
    assert rows[28] == {"score": 0.7125, "positives": 0.5, "random_pairs": 0.1}
    assert sum(row["positives"] for row in rows) == pytest.approx(1.0)
    assert scores["share_truncated"] == {"queries": 0.0, "documents": 0.5}  # the encoder says it cut 3, here of 6
    assert scores["model_parameters"] is None  # the folder has no weights


def test_random_pairs_depend_on_the_seed_and_the_query_alone() -> None:
    rows, positions = np.array([1, 0]), np.array([3, 5])
    drawn_rows, drawn = random_pairs(pd.Series(["p", "q"]), rows, positions, 1000, 13)
    assert np.bincount(drawn_rows).tolist() == [10, 10]
    alone = random_pairs(pd.Series(["q"]), np.array([0]), np.array([3]), 1000, 13)[1]
    assert drawn[10:].tolist() == alone.tolist()
    other_seed = random_pairs(pd.Series(["q"]), np.array([0]), np.array([3]), 1000, 14)[1]
    assert drawn[10:].tolist() != other_seed.tolist()
    few_rows, few = random_pairs(pd.Series(["p", "q"]), rows, positions, 6, 13)
    assert sorted(few[few_rows == 0]) == [0, 1, 2, 3, 4]
    assert sorted(few[few_rows == 1]) == [0, 1, 2, 4, 5]


def test_query_that_shares_no_word_finds_nothing_by_words(evaluation: Measure, tmp_path: Path) -> None:
    fetch.fetch(Lexical(source="bm25"), tmp_path / "words", where="x")
    assert json.loads((tmp_path / "words" / LEXICAL).read_text()) == {"ranking": "bm25", "k1": 1.5, "b": 0.75}
    test = asked({"q": "red", "r": "round"}, {"q": {"d1": 1}, "r": {"d0": 1}})
    result = evaluation(test, model="words", ks=[5], dims=2)
    # documents have 5 / 3 words on average. d0: 1 / (1 + 1.5 * (0.25 + 0.75 * 0.6)) = 0.488 of the word's weight,
    # d1: 2 / (2 + 1.5 * (0.25 + 0.75 * 1.8)) = 0.455, d2: 1 / (1 + 1.5 * (0.25 + 0.75 * 1.2)) = 0.367
    assert found(result) == ["d0", "d1", "d2"]
    assert (np.diff(result.run["score"]) < 0).all()
    assert found(result, "r") == []
    assert result.per_query["hit_at_5"].tolist() == [1.0, 0.0]
    assert result.pair_scores == {}


def test_bm25_is_no_encoder(tmp_path: Path) -> None:
    fetch.fetch(Lexical(source="bm25"), tmp_path / "words", where="x")
    words = tmp_path / "words"
    for load in (lambda: Encoder.load(words, COMPUTE), lambda: load_models(words, words, tmp_path, COMPUTE)):
        with pytest.raises(InputError, match="words: expected an embedding model, got BM25, which has no vectors"):
            load()
