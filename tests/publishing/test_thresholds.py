"""The threshold is the lowest score from which on the best documents are right often enough."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from retune.core.records import Dataset, Split, empty_split, write_dataset
from retune.encoding import encoder
from retune.publishing import thresholds
from retune.publishing.thresholds import Answered, BestHits, Wanted, answered, best_hits, lowest_threshold
from tests.support.keyword_encoder import KeywordEncoder
from tests.support.parameters import COMPUTE

WANTED = Wanted(0.7, 0.95, "float32", exclude_same_id=False)
HITS = BestHits(np.array([0.9, 0.8, 0.8, 0.7, 0.6]), np.array([True, True, False, True, False]))


@pytest.mark.parametrize(
    ("precision", "threshold", "count", "right"),
    [
        (0.5, 0.6, 5, 3),
        (0.7, 0.7, 4, 3),  # at 0.8 only 2 of 3 are right, at 0.7 more again
        (0.8, 0.9, 1, 1),
    ],
)
def test_threshold_is_the_lowest_that_reaches_the_precision(
    precision: float, threshold: float, count: int, right: int
) -> None:
    assert lowest_threshold(HITS, precision) == Answered(threshold, count, right)


def test_no_threshold_may_reach_the_precision() -> None:
    assert lowest_threshold(BestHits(np.array([0.9, 0.5]), np.array([False, True])), 0.9) is None
    assert lowest_threshold(BestHits(np.zeros(0), np.zeros(0, dtype=bool)), 0.9) is None


def test_threshold_that_answers_nothing_has_no_precision() -> None:
    assert answered(HITS, 0.95) == Answered(0.95, 0, 0)
    assert Answered(0.95, 0, 0).precision is None


def test_best_hits_are_cosines_of_the_first_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    documents = pd.DataFrame({"doc_id": ["d1", "d2"], "title": None, "text": ["sort", "plot plot graph"]})
    queries = pd.DataFrame({"query_id": ["q1", "q2"], "text": ["sort", "graph plot"], "prompt": None, "answer": None})
    qrels = pd.DataFrame({"query_id": ["q1", "q2", "q2"], "doc_id": ["d1", "d1", "d2"], "relevance": [1, 1, 0]})
    splits = {"train": empty_split(), "dev": Split(queries, qrels), "test": empty_split()}
    write_dataset(tmp_path, Dataset(documents, splits))
    keywords = KeywordEncoder("sort", "plot", "graph")
    monkeypatch.setattr(encoder.Encoder, "load", lambda *_, **__: keywords)
    hits = best_hits(tmp_path, tmp_path, COMPUTE, WANTED)
    assert hits.scores.tolist() == [1.0, 0.9487]  # 3 / (sqrt(5) * sqrt(2)) = 0.94868
    assert hits.is_relevant.tolist() == [True, False]


def test_document_with_the_id_of_its_query_is_left_out_as_in_the_evaluation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = pd.DataFrame({"doc_id": ["a", "b"], "title": None, "text": ["sort plot", "sort"]})
    queries = pd.DataFrame({"query_id": ["a", "q"], "text": ["sort plot", "sort"], "prompt": None, "answer": None})
    qrels = pd.DataFrame({"query_id": ["a", "q"], "doc_id": ["b", "b"], "relevance": 1})
    splits = {"train": empty_split(), "dev": Split(queries, qrels), "test": empty_split()}
    write_dataset(tmp_path, Dataset(documents, splits))
    monkeypatch.setattr(encoder.Encoder, "load", lambda *_, **__: KeywordEncoder("sort", "plot"))
    for exclude, relevant in ((False, [False, True]), (True, [True, True])):
        hits = best_hits(tmp_path, tmp_path, COMPUTE, replace(WANTED, exclude_same_id=exclude))
        assert hits.is_relevant.tolist() == relevant


def test_base_threshold_is_applied_to_the_tuned_model(monkeypatch: pytest.MonkeyPatch) -> None:
    shifted = BestHits(HITS.scores - 0.25, HITS.is_relevant)
    hits = {"base": HITS, "tuned": shifted}
    monkeypatch.setattr(thresholds, "best_hits", lambda model, *_, **__: hits[model.name])
    shift = thresholds.measure_shift([Path("base"), Path("tuned")], Path("home"), COMPUTE, WANTED)
    assert (shift.dataset, shift.queries) == ("home", 5)
    assert (shift.base.threshold, shift.tuned.threshold) == (0.7, pytest.approx(0.45))
    assert shift.kept == Answered(0.7, 0, 0)  # every score fell below 0.7
