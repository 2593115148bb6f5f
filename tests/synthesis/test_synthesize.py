"""Synthetic data sets: splits, rejects, counts, and what is refused."""

import pandas as pd
import pytest

from retune.core.errors import InputError, ParameterError
from retune.params.synthesize import Synthesize
from retune.synthesis.synthesize import Synthetic, synthesize
from tests.support.parameters import SYNTHESIZE
from tests.synthesis.test_extractive import TEXT, corpus


def made(documents: pd.DataFrame, **changes: object) -> Synthetic:
    params = Synthesize.parse("synthesize.x", SYNTHESIZE | changes)
    return synthesize(documents, params, held_out=[], load=pytest.fail, seed=0)


def numbered(count: int) -> pd.DataFrame:
    return corpus(
        *(f"Document {n} begins here at {n}. It goes on with {n} things. The end of {n} is near." for n in range(count))
    )


def test_each_query_has_an_id_and_one_relevant_document() -> None:
    train = made(numbered(3), queries_per_document=2).dataset.splits["train"]
    assert train.queries["query_id"].tolist() == ["d0-q0", "d0-q1", "d1-q0", "d1-q1", "d2-q0", "d2-q1"]
    assert train.qrels["doc_id"].tolist() == ["d0", "d0", "d1", "d1", "d2", "d2"]
    assert set(train.qrels["relevance"]) == {1}


def test_splits_are_cut_by_document() -> None:
    splits = made(numbered(50), queries_per_document=3, dev=0.2, test=0.3).dataset.splits
    train, dev, test = (set(splits[name].qrels["doc_id"]) for name in ("train", "dev", "test"))
    assert (len(train), len(dev), len(test)) == (25, 10, 15)
    assert train.isdisjoint(dev | test)
    assert dev.isdisjoint(test)


def test_rejects_are_counted_by_reason_and_kinds_are_audited() -> None:
    result = made(corpus(TEXT, TEXT, TEXT.replace("sentence", "clause")), queries_per_document=3, removal_rate=0.0)
    reasons = dict(result.rejected["reason"].value_counts())
    assert result.statistics["dropped"] == reasons
    drafted = result.statistics["synthesis"]["kinds"]["sentence"]["drafted"]
    kept = result.statistics["synthesis"]["kinds"]["sentence"]["kept"]
    assert drafted == 6
    assert kept + reasons["query of several documents"] == drafted
    assert result.statistics["synthesis"]["documents_with_queries"] == len(
        result.dataset.splits["train"].qrels["doc_id"].unique()
    )


def test_corpus_without_a_usable_text_is_refused() -> None:
    line = "expected documents that give queries of 3 to 10 words, got none among 1 .only sentence of its document: 1."
    with pytest.raises(InputError, match=line):
        made(corpus("One."))


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"kinds": {"sentence": 0.5}}, "kinds: expected shares that add up to 1, got 0.5"),
        ({"kinds": {"riddle": 1.0}}, "kinds: expected some of sentence, title, heading, keyphrases, got 'riddle'"),
        ({"kinds": {"sentence": 1.5, "title": -0.5}}, "kinds.sentence: expected a share from 0 to 1, got 1.5"),
        ({"removal_rate": 2.0}, "removal_rate: expected a number from 0 to 1, got 2.0"),
        ({"min_words": 11}, r"max_words: expected at least min_words \(11\), got 10"),
        ({"dev": 0.5, "test": 0.5}, "dev and test: expected shares that leave documents to train on, got 1.0"),
        ({"filters": {"leak": 0.0}}, "filters.leak: expected greater than 0, got 0.0"),
        ({"method": "inverse_cloze"}, "method: expected 'extractive', got 'inverse_cloze'"),
    ],
)
def test_wrong_parameters_are_named(changes: dict[str, object], line: str) -> None:
    with pytest.raises(ParameterError, match=line):
        made(corpus(TEXT), **changes)
