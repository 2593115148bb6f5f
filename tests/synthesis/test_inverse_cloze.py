"""Queries from documents alone."""

import pandas as pd
import pytest

from retune.core.errors import InputError
from retune.params.synthesize import Synthesize
from retune.synthesis.inverse_cloze import synthesize

TEXT = "The first sentence stands here. A second sentence follows it!\n\nAnd the third one ends the text."


def params(**changes: object) -> Synthesize:
    values = {
        "dataset": "x",
        "method": "inverse_cloze",
        "queries_per_document": 1,
        "removal_rate": 1.0,
        "min_words": 3,
        "max_words": 10,
        "dev": 0.0,
    }
    return Synthesize(**values | changes)


def corpus(*texts: str) -> pd.DataFrame:
    return pd.DataFrame({"doc_id": [f"d{n}" for n in range(len(texts))], "title": None, "text": texts})


def test_query_is_a_sentence_that_leaves_its_document() -> None:
    dataset, _, _ = synthesize(corpus(TEXT), params(), seed=0)
    query = dataset.splits["train"].queries["text"].iloc[0]
    assert query in " ".join(TEXT.split())
    assert query not in dataset.corpus["text"].iloc[0]
    assert len(dataset.corpus["text"].iloc[0].split()) == len(TEXT.split()) - len(query.split())
    assert dataset.splits["train"].qrels[["query_id", "doc_id"]].to_numpy().tolist() == [["d0-q0", "d0"]]


def test_sentence_stays_at_removal_rate_zero() -> None:
    dataset, _, _ = synthesize(corpus(TEXT), params(removal_rate=0.0), seed=0)
    assert dataset.corpus["text"].tolist() == [TEXT]


def test_removal_rate_is_the_share_of_queries() -> None:
    texts = [f"{TEXT} Number {n} is here too." for n in range(400)]
    dataset, _, _ = synthesize(corpus(*texts), params(removal_rate=0.75), seed=0)
    removed = (dataset.corpus["text"] != pd.Series(texts)).mean()
    assert removed == pytest.approx(0.75, abs=0.07)  # three standard deviations of 400 draws


def test_document_is_never_emptied() -> None:
    dataset, _, _ = synthesize(
        corpus("Twice the same words. Twice the same words. One two three."), params(queries_per_document=9), seed=0
    )
    assert len(dataset.splits["train"].queries) == 1
    assert dataset.corpus["text"].iloc[0].strip()


def test_queries_do_not_depend_on_the_other_documents() -> None:
    alone, _, _ = synthesize(corpus(TEXT), params(), seed=5)
    among, _, _ = synthesize(corpus(TEXT, TEXT + " More to come later.", "Short."), params(), seed=5)
    assert alone.splits["train"].queries["text"].iloc[0] == among.splits["train"].queries["text"].iloc[0]


def test_rejects_are_kept_with_reasons() -> None:
    _, rejected, statistics = synthesize(
        corpus("Too short. === 12 + 34 = 46 ===. This one is just right.", "One."), params(), seed=0
    )
    assert dict(zip(rejected["text"], rejected["reason"], strict=True)) == {
        "Too short.": "sentence too short",
        "=== 12 + 34 = 46 ===.": "sentence is mostly not letters",
        "One.": "only sentence of its document",
    }
    assert statistics["dropped"] == {
        "sentence too short": 1,
        "sentence is mostly not letters": 1,
        "only sentence of its document": 1,
    }


def test_rest_of_the_document_stays_as_it_was() -> None:
    text = "Keep  this spacing.\n\nTake this sentence out. And = this = 1 2 3 4 5 6 7 8 9."
    dataset, _, _ = synthesize(corpus(text), params(min_words=4, max_words=4), seed=0)
    assert dataset.splits["train"].queries["text"].tolist() == ["Take this sentence out."]
    assert dataset.corpus["text"].tolist() == ["Keep  this spacing.\n\nAnd = this = 1 2 3 4 5 6 7 8 9."]


def test_dev_is_cut_by_document() -> None:
    texts = [f"{TEXT} Number {n} is here too." for n in range(50)]
    dataset, _, _ = synthesize(corpus(*texts), params(queries_per_document=3, dev=0.2), seed=0)
    train, dev = (set(dataset.splits[name].qrels["doc_id"]) for name in ("train", "dev"))
    assert len(dev) == 10
    assert not train & dev
    assert dataset.splits["test"].queries.empty


def test_corpus_without_a_usable_sentence_is_refused() -> None:
    with pytest.raises(InputError, match="expected documents with a sentence of 3 to 10 words and .* got none among 1"):
        synthesize(corpus("One."), params(), seed=0)
