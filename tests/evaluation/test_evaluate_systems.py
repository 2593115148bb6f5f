"""Evaluation of systems of two models: on a whole corpus, on candidate lists, and without excluded documents."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retune.core.errors import InputError
from retune.core.files import write_json
from retune.core.records import Dataset, empty_split, write_dataset
from retune.encoding.compute import Cache, Compute
from retune.evaluation.evaluate import Evaluation, measure
from retune.params.eval import Measuring
from retune.params.fuse import Fuse
from retune.params.rerank import Rerank
from retune.retrieval import cross_encoder
from retune.retrieval.cross_encoder import CrossEncoderScorer
from retune.retrieval.system_directory import write_fuse, write_rerank
from tests.evaluation.test_evaluate import CORPUS, LISTS, RED, asked, exclude, found
from tests.evaluation.test_evaluate import evaluation as evaluation
from tests.support.parameters import COMPUTE, MEASURING
from tests.support.systems import write_bm25, write_cross_encoder
from tests.support.training_task import corpus, split

Measure = Callable[..., Evaluation]


class ByLength(CrossEncoderScorer):
    """Takes a longer document for a better one."""

    asked: list[tuple[str, str]] = []

    def __init__(self) -> None:
        self.num_scored, self.truncated = 4, {"pairs": 1}

    def score(self, queries: list[str], documents: list[str]) -> np.ndarray:
        self.asked += zip(queries, documents, strict=True)
        return np.array([len(text) for text in documents], dtype=np.float32)


@pytest.fixture
def scorer(monkeypatch: pytest.MonkeyPatch) -> ByLength:
    """The cross-encoder of any directory."""
    scorer = ByLength()
    scorer.asked = []
    monkeypatch.setattr(CrossEncoderScorer, "load", lambda *_, **__: scorer)
    return scorer


@pytest.fixture
def systems(tmp_path: Path, scorer: ByLength) -> None:
    """Directories of a fusion of colours and words, of a reranking of colours, and of a reranking of the fusion."""
    fuse = Fuse(first="colours", second="words", method="rrf", depth=4)
    write_json(tmp_path / "both/system.json", {"fuse": fuse.model_dump()})
    write_bm25(tmp_path / "both/words")
    rerank = Rerank(first_stage="colours", reranker="length", k=2)
    write_json(tmp_path / "reordered/system.json", {"rerank": rerank.model_dump()})
    write_json(tmp_path / "twice/system.json", {"rerank": rerank.model_dump() | {"first_stage": "both"}})
    shutil.copytree(tmp_path / "both", tmp_path / "twice/both")


# "red" finds by colours d0, d1, d2, then d3, d4, d5, which score 0; by words d0, d1, d2
@pytest.mark.usefixtures("systems")
def test_whole_corpus_is_ranked(evaluation: Measure) -> None:
    fused = evaluation(RED, model="both", ks=[5])
    assert found(fused) == ["d0", "d1", "d2", "d3"]  # four of colours, three of words
    assert fused.run["score"].tolist() == pytest.approx([2 / 61, 2 / 62, 2 / 63, 1 / 64])
    reordered = evaluation(RED, model="reordered", ks=[1, 5])
    assert found(reordered) == ["d1", "d0", "d2", "d3", "d4"]  # "red red green" is longer than "red"
    assert reordered.means["mrr_at_1"] == 1.0
    assert found(evaluation(RED, model="twice", ks=[5])) == ["d1", "d0", "d2", "d3"]


@pytest.mark.usefixtures("systems")
def test_system_has_no_cosines_but_names_its_models(evaluation: Measure) -> None:
    assert evaluation(RED, model="both").pair_scores == {"parts": ("colours", "words")}
    assert evaluation(RED, model="reordered").pair_scores == {
        "parts": ("colours", "length"),
        "share_truncated": {"pairs": 0.25},  # the scorer says it cut 1 of 4
    }


@pytest.mark.usefixtures("systems")
def test_excluded_document_counts_for_neither_model(evaluation: Measure, tmp_path: Path, scorer: ByLength) -> None:
    exclude(tmp_path, "q,d1")
    fused = evaluation(RED, model="both", ks=[5])
    assert found(fused) == ["d0", "d2", "d3", "d4"]
    assert fused.run["score"].tolist() == pytest.approx([2 / 61, 2 / 62, 1 / 63, 1 / 63])  # d3 and d4 score alike
    assert found(evaluation(RED, model="reordered", ks=[5])) == ["d2", "d0", "d3", "d4", "d5"]
    assert [text for _, text in scorer.asked] == ["red", "red green"]


@pytest.mark.usefixtures("systems")
def test_own_document_counts_for_neither_model(evaluation: Measure) -> None:
    own = asked({"d0": "red"}, {"d0": {"d1": 1}})
    result = evaluation(own, model="twice", exclude_same_id=True, ks=[5])
    assert found(result, "d0") == ["d1", "d2", "d3", "d4"]


@pytest.mark.usefixtures("systems")
def test_candidate_lists_are_ranked_whole(evaluation: Measure, scorer: ByLength) -> None:
    # q: colours and words rank d1, d2, d5; r: d3, d0
    fused = evaluation(LISTS, model="both", judged_only=["colours"], ks=[1])
    assert (found(fused, "q"), found(fused, "r")) == (["d1", "d2", "d5"], ["d3", "d0"])
    assert fused.means["queries_left_out"] == 1
    reordered = evaluation(LISTS, model="reordered", judged_only=["colours"], ks=[1])
    assert (found(reordered, "q"), found(reordered, "r")) == (["d1", "d2", "d5"], ["d3", "d0"])
    assert scorer.asked == [("red", "red red green"), ("red", "red green"), ("green", "green"), ("green", "red")]


@pytest.mark.usefixtures("systems")
def test_vectors_of_a_system_are_cut(evaluation: Measure) -> None:
    # without its other axes "red green" is "red", so d0, d1 and d2 share the first rank
    result = evaluation(RED, model="both", documents=CORPUS.iloc[:3], dims=1)
    assert result.run["score"].tolist() == pytest.approx([1 / 61 + 1 / 61, 1 / 61 + 1 / 62, 1 / 61 + 1 / 63])


@pytest.mark.usefixtures("systems")
def test_recall_of_the_search_is_told(evaluation: Measure) -> None:
    search = {"backend": "faiss_ivf", "lists": 2, "probes": 2, "min_recall": 0.9}
    assert evaluation(RED, model="twice", search=search).means["search_recall"] == 1.0
    assert "search_recall" not in evaluation(RED, model="twice").means


@pytest.fixture
def real(tiny_model: Path, tiny_transformer: Path, tmp_path: Path) -> Path:
    """A data set of words, and a reranked fusion of BM25 and the tiny model, whose reranker leaves the format open."""
    splits = {"train": empty_split(), "dev": empty_split(), "test": split()}
    write_dataset(tmp_path / "words", Dataset(corpus(), splits))
    shutil.copytree(tiny_model, tmp_path / "tiny")
    write_bm25(tmp_path / "bm25")
    write_cross_encoder(tiny_transformer, tmp_path / "pairs", dtype="auto")
    fuse = Fuse(first="bm25", second="tiny", method="weighted", weights=[0.3, 1.0], depth=6)
    write_fuse(fuse, tmp_path / "bm25", tmp_path / "tiny", tmp_path / "both")
    rerank = Rerank(first_stage="both", reranker="pairs", k=4)
    write_rerank(rerank, tmp_path / "both", tmp_path / "pairs", tmp_path / "reordered")
    return tmp_path


def measured(folder: Path, model: str, compute: Compute = COMPUTE, **changed: Any) -> Evaluation:
    params = Measuring.parse("eval", MEASURING | {"dtype": "float32", "ks": [1, 5]} | changed)
    return measure(folder / model, folder / "words", params, compute, excluded=folder / "none", seed=13)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_reranker_scores_the_pairs_in_the_number_format_of_eval(dtype: str, real: Path) -> None:
    head = measured(real, "reordered", dtype=dtype).run.query("rank <= 4")
    queries = split().queries.set_index("query_id")["text"][head["query_id"]].tolist()
    documents = corpus().set_index("doc_id")["text"][head["doc_id"]].tolist()
    scorer = CrossEncoderScorer.load(real / "pairs", COMPUTE, dtype=dtype)
    np.testing.assert_array_equal(head["score"], scorer.score(queries, documents))


def test_documents_below_the_best_k_keep_their_order(real: Path) -> None:
    first, second = (dict(list(measured(real, model).run.groupby("query_id"))) for model in ("both", "reordered"))
    for query_id, reordered in second.items():
        before, after = first[query_id]["doc_id"].tolist(), reordered["doc_id"].tolist()
        assert sorted(after[:4]) == sorted(before[:4])
        assert after[4:] == before[4:]
        assert (np.diff(reordered["score"]) <= 0).all()
    assert any(first[name]["doc_id"].tolist() != second[name]["doc_id"].tolist() for name in first)


def test_second_evaluation_takes_all_scores_of_pairs_from_the_cache(
    real: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = measured(real, "reordered").run
    compute = COMPUTE.model_copy(update={"cache": Cache(folder=tmp_path / "cache", max_gb=1.0)})
    assert measured(real, "reordered", compute).run.equals(expected)

    def fail(*_: object) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(cross_encoder, "load_cross_encoder", fail)
    assert measured(real, "reordered", compute).run.equals(expected)


def test_cross_encoder_alone_is_refused(real: Path) -> None:
    with pytest.raises(
        InputError, match=r"pairs: expected an embedding model, got a cross-encoder; name it as .* or rera"
    ):
        measured(real, "pairs")


def test_system_is_measured_by_its_directory_alone(real: Path) -> None:
    before = measured(real, "reordered")
    for part in ("bm25", "tiny", "both", "pairs"):
        shutil.rmtree(real / part)
    after = measured(real, "reordered")
    assert after.run.equals(before.run)
    assert json.dumps(after.means) == json.dumps(before.means)
