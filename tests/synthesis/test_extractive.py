"""Queries taken from documents: which texts become queries, and what stays of the documents."""

from collections import Counter

import pandas as pd
import pytest

from retune.params.synthesize import Synthesize
from retune.synthesis.drafts import Drafts
from retune.synthesis.extractive import draft, without_queries
from tests.support.parameters import EXTRACTION, SYNTHESIZE

SENTENCES = {"sentence": 1.0}
TEXT = "The first sentence stands here. A second sentence follows it!\n\nAnd the third one ends the text."


def corpus(*texts: str, title: str | None = None) -> pd.DataFrame:
    return pd.DataFrame({"doc_id": [f"d{n}" for n in range(len(texts))], "title": title, "text": texts})


def drafts(
    documents: pd.DataFrame, *, seed: int = 0, count: int = 1, kinds: dict[str, float] = SENTENCES, **changes: object
) -> Drafts:
    values = SYNTHESIZE | {"queries_per_document": count, "extraction": EXTRACTION | changes}
    params = Synthesize.parse("synthesize.x", values)
    return draft(documents, params, kinds_of=dict.fromkeys(documents["doc_id"], kinds), seed=seed)


def texts(result: Drafts) -> list[str]:
    return [query.text for query in result.queries]


def test_query_is_a_sentence_that_leaves_its_document() -> None:
    result = drafts(corpus(TEXT))
    [query] = result.queries
    assert (query.doc_id, query.kind) == ("d0", "sentence")
    assert query.text in " ".join(TEXT.split())
    [text] = result.corpus["text"]
    assert query.text not in text
    assert len(text.split()) == len(TEXT.split()) - len(query.text.split())


def test_sentence_stays_at_removal_rate_zero() -> None:
    assert drafts(corpus(TEXT), removal_rate=0.0).corpus["text"].tolist() == [TEXT]


def test_removal_rate_is_the_share_of_queries() -> None:
    many = [" ".join(f"Sentence {m} of document {n} stands here." for m in range(3)) for n in range(400)]
    removed = (drafts(corpus(*many), removal_rate=0.75).corpus["text"] != pd.Series(many)).mean()
    assert removed == pytest.approx(0.75, abs=0.07)  # three standard deviations of 400 draws


def test_document_is_never_emptied() -> None:
    result = drafts(corpus("Twice the same words. Twice the same words. One two three."), count=9)
    assert len(result.queries) == 1
    assert result.corpus["text"].iloc[0].strip()


def test_sentences_do_not_depend_on_the_other_documents() -> None:
    alone = drafts(corpus(TEXT), seed=5)
    among = drafts(corpus(TEXT, "Some other words stand here. And there are more to come later.", "Short."), seed=5)
    assert texts(alone)[0] == texts(among)[0]


def test_sentence_of_several_documents_has_no_one_answer() -> None:
    result = drafts(corpus("We are all here. This one is alone.", "We are all here. And so is this one."), count=3)
    assert texts(result) == ["This one is alone.", "And so is this one."]
    assert {item.reason for item in result.rejected} == {"sentence of several documents"}
    assert result.corpus["text"].tolist() == ["We are all here.", "We are all here."]


def test_words_of_rejected_queries_stay_in_their_documents() -> None:
    documents = corpus(TEXT, "Another text has this one. And it has that one too.", title="Its heading")
    result = drafts(documents, kinds={"sentence": 0.5, "heading": 0.5}, count=2, removal_rate=1.0)
    assert without_queries(documents, []).equals(documents)
    assert all(query.is_removed for query in result.queries)
    kept = without_queries(documents, [query for query in result.queries if query.doc_id == "d0"])
    assert kept["text"].iloc[1] == documents["text"].iloc[1]
    assert kept["text"].iloc[0] == result.corpus["text"].iloc[0] != documents["text"].iloc[0]


def test_texts_that_cannot_be_queries_are_kept_with_reasons() -> None:
    result = drafts(corpus("Too short. === 12 + 34 = 46 ===. This one is just right.", "One."))
    assert {item.text: item.reason for item in result.rejected} == {
        "Too short.": "sentence too short",
        "=== 12 + 34 = 46 ===.": "sentence is mostly not letters",
        "One.": "only sentence of its document",
    }


def test_rest_of_the_document_stays_as_it_was() -> None:
    text = "Keep  this spacing.\n\nTake this sentence out. And = this = 1 2 3 4 5 6 7 8 9."
    result = drafts(corpus(text), min_words=4, max_words=4)
    assert texts(result) == ["Take this sentence out."]
    assert result.corpus["text"].tolist() == ["Keep  this spacing.\n\nAnd = this = 1 2 3 4 5 6 7 8 9."]


def test_characters_are_counted_in_scripts_without_spaces() -> None:
    result = drafts(corpus("太短。这句话正好有十个字。还有另外一句话在这里。"), min_words=10, max_words=11)
    assert texts(result) in (["这句话正好有十个字。"], ["还有另外一句话在这里。"])
    assert [(item.text, item.reason) for item in result.rejected] == [("太短。", "sentence too short")]


def test_heading_is_the_last_part_of_the_title_or_all_of_it() -> None:
    documents = corpus(TEXT, title="Travel costs > Hotel bills")
    result = drafts(documents, kinds={"heading": 1.0}, count=5)
    assert texts(result) == ["Hotel bills", "Travel costs Hotel bills"]
    assert result.corpus["title"].tolist() == [None]
    assert drafts(documents, kinds={"heading": 1.0}, removal_rate=0.0).corpus["title"].tolist() == [
        documents["title"][0]
    ]


def test_title_like_query_is_the_first_clause_of_a_sentence_and_stays() -> None:
    text = "Refunds of travel costs, which take a week, are paid by bank transfer in all countries of the world."
    result = drafts(corpus(text), kinds={"title": 1.0}, count=3)
    assert texts(result) == ["Refunds of travel costs"]
    assert result.corpus["text"].tolist() == [text]
    long = "One two three four five six seven eight nine ten."
    assert texts(drafts(corpus(long), kinds={"title": 1.0})) == ["One two three four five six seven eight"]


def test_key_phrases_are_runs_of_rare_words_in_the_order_of_the_text() -> None:
    common = ["the cat is in the house of the king"] * 40
    text = "The bandgap solver is in the lattice constant of the phonon spectrum."
    result = drafts(corpus(text, *common), kinds={"keyphrases": 1.0}, count=4)
    allowed = ["bandgap solver", "lattice constant", "phonon spectrum"]
    queries = [query for query in result.queries if query.doc_id == "d0"]
    assert queries
    for query in queries:
        parts = [phrase for phrase in allowed if phrase in query.text]
        assert query.text == " ".join(parts)
        assert len(parts) >= 2


def test_kinds_are_drawn_by_their_shares() -> None:
    many = [" ".join(f"Sentence {m} of document {n} stands here." for m in range(3)) for n in range(400)]
    result = drafts(corpus(*many, title="A title"), kinds={"sentence": 0.25, "heading": 0.75})
    counts = Counter(query.kind for query in result.queries)
    assert counts["heading"] / 400 == pytest.approx(0.75, abs=0.07)
    assert counts.total() == 400


def test_kind_that_a_document_lacks_gives_way_to_another() -> None:
    result = drafts(corpus(TEXT), kinds={"sentence": 0.01, "heading": 0.99})
    assert [query.kind for query in result.queries] == ["sentence"]
