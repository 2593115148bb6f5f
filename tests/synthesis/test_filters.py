"""Filters of synthetic queries: what each rejects, why, and what it leaves alone."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
import torch

from retune.core.records import document_texts
from retune.params.synthesize import Filters
from retune.synthesis import filters
from retune.synthesis.drafts import Draft, Drafts

CORPUS = pd.DataFrame(
    {
        "doc_id": ["a", "b"],
        "title": None,
        "text": ["Hotels are paid by the company up to a limit.", "Trains are booked a week before the journey."],
    }
)


class Angles:
    """An encoder whose vectors are given: an angle in degrees for each text."""

    device = torch.device("cpu")

    def __init__(self, **angles: float) -> None:
        self.angles = angles

    def encode_queries(self, texts: Sequence[str], prompts: Sequence[str | None]) -> np.ndarray:
        radians = np.radians([self.angles[text] for text in texts])
        return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)

    def encode_documents(self, texts: Sequence[str], *, ids: Sequence[str]) -> np.ndarray:
        return self.encode_queries([text.split()[0] for text in texts], [])


def nearest(encoder: Angles, queries: Sequence[str], corpus: pd.DataFrame, rank: int) -> np.ndarray:
    documents = encoder.encode_documents(document_texts(corpus), ids=corpus["doc_id"].tolist())
    scores = encoder.encode_queries(queries, [None] * len(queries)) @ documents.T
    return np.argsort(-scores, axis=1)[:, :rank]


def reasons(
    queries: list[tuple[str, str]],
    held_out: Sequence[str] = (),
    angles: dict[str, float] | None = None,
    scores: dict[str, int | None] | None = None,
    **on: object,
) -> list[str]:
    """Return the reason for each (document, query), or an empty string."""
    drafts = [Draft(doc_id, "sentence", text) for doc_id, text in queries]
    encoder = Angles(**angles or {})
    aids = filters.Aids(
        held_out,
        language=lambda: "en",
        load=lambda: encoder if angles else pytest.fail("no filter needs a model"),  # type: ignore[arg-type]
        find=lambda *asked: nearest(encoder, *asked) if angles else pytest.fail("no filter needs a model"),
        judge=lambda asked: [(scores or {})[draft.text] for draft in asked],
    )
    kept, rejected = filters.keep(Drafts(drafts, [], CORPUS), Filters.parse("synthesize.x.filters", on), aids)
    assert sorted([*kept, *(Draft(*item[:3]) for item in rejected)]) == sorted(drafts)
    found = {(item.doc_id, item.text): item.reason for item in rejected}
    return [found.get(query, "") for query in queries]


def test_query_of_several_documents_is_rejected_and_a_repetition_too() -> None:
    queries = [("a", "who pays"), ("b", "Who  pays"), ("a", "hotel limit"), ("a", "Hotel limit")]
    assert reasons(queries) == ["query of several documents"] * 2 + ["", "repeated query"]


def test_query_of_another_language_than_the_documents() -> None:
    found = reasons([("a", "Who pays for the hotel?"), ("b", "谁支付酒店费用？")], language=True)
    assert found == ["", "language is zh, not en"]


@pytest.mark.parametrize(("count", "is_copied"), [(4, True), (5, False)])
def test_words_in_a_row_from_the_document(count: int, is_copied: bool) -> None:
    expected = f"{count} words in a row from its document" if is_copied else ""
    queries = [("a", "Is it PAID by - the company?"), ("b", "Is it PAID by the company or not?")]
    assert reasons(queries, copied_words=count) == [expected, ""]


def test_near_duplicate_of_a_held_out_query() -> None:
    found = reasons([("a", "who pays the hotel"), ("b", "when to book a train")], ["Who pays the hotel?"], leak=0.7)
    assert found == ["near-duplicate of a real dev or test query", ""]


def test_later_near_duplicate_is_rejected_unless_the_earlier_one_was() -> None:
    chain = ["a b c d e f", "b c d e f g", "c d e f g h"]  # each near the next, the first far from the last
    found = reasons([("a", text) for text in chain], near_duplicate=0.6)
    assert found == ["", "near-duplicate of another query", ""]


def test_later_cosine_duplicate_is_rejected_unless_the_earlier_one_was() -> None:
    found = reasons(
        [("a", "x"), ("a", "y"), ("b", "z")], angles={"x": 0, "y": 20, "z": 40}, cosine_duplicate=float(np.cos(0.4))
    )
    assert found == ["", "cosine near that of another query", ""]


def test_query_must_find_its_document_within_the_rank() -> None:
    angles = {"Hotels": 0.0, "Trains": 90.0, "near": 10.0, "far": 80.0}
    queries = [("a", "near"), ("a", "far")]
    assert reasons(queries, angles=angles, round_trip=1) == ["", "its document is not among the best 1"]
    assert reasons(queries, angles=angles, round_trip=2) == ["", ""]


def test_query_that_one_filter_rejects_does_not_reach_the_next() -> None:
    queries = [("a", "who pays the hotel"), ("b", "who pays the hotels")]
    found = reasons(queries, ["who pays the hotel"], leak=0.9, near_duplicate=0.5)
    assert found == ["near-duplicate of a real dev or test query", ""]


def test_query_that_is_too_long() -> None:
    assert reasons([("a", "one two three"), ("a", "谁支付酒")], max_words=3) == ["", "longer than 3 words"]


def test_query_that_the_language_model_scores_below_the_lowest() -> None:
    scores = {"good": 7, "bad": 6, "lost": None}
    found = reasons([("a", "good"), ("a", "bad"), ("b", "lost")], scores=scores, judge=7)
    assert found == ["", "judged below 7", "not judged"]
