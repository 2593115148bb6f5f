"""Shares of the training queries are nested, drawn from each source, and at least a batch."""

import re

import pandas as pd
import pytest

from retune.core.errors import InputError
from retune.core.records import Mined
from retune.sweeping.labels import read_shares, subset
from tests.support.training_task import mined


def ids(found: Mined) -> list[str]:
    return found.examples["query_id"].tolist()


def test_larger_share_contains_the_smaller_and_the_whole_is_the_mined_set() -> None:
    whole = mined()
    few, more, every = (subset(whole, share, batch_size=2, seed=1) for share in (0.25, 0.5, 1.0))
    assert [len(ids(found)) for found in (few, more, every)] == [6, 12, 24]
    assert set(ids(few)) < set(ids(more))
    assert ids(more) == [query_id for query_id in ids(whole) if query_id in ids(more)]
    assert ids(more) != ids(whole)[:12]
    assert ids(subset(whole, 0.25, batch_size=2, seed=2)) != ids(few)
    for name in ("examples", "queries", "documents"):
        pd.testing.assert_frame_equal(getattr(every, name), getattr(whole, name))


def test_only_texts_of_the_drawn_queries_stay() -> None:
    few = subset(mined(), 0.25, batch_size=2, seed=1)
    assert few.queries["query_id"].tolist() == ids(few)
    named = {doc_id for row in few.examples.itertuples() for doc_id in (*row.positive_ids, *row.negative_ids)}
    assert set(few.documents["doc_id"]) == named
    assert len(named) < 24


def test_each_source_of_a_mixture_gives_its_share() -> None:
    whole = mined()
    whole.examples["source"] = ["first"] * 8 + ["second"] * 16
    drawn = subset(whole, 0.5, batch_size=4, seed=1)
    assert drawn.examples["source"].value_counts().to_dict() == {"second": 8, "first": 4}
    line = "--labels: expected at least a batch of 5 queries of 'first', got 0.5 of 8; raise it to 0.63, or lower"
    with pytest.raises(InputError, match=f"^{re.escape(line)} batch_size$"):
        subset(whole, 0.5, batch_size=5, seed=1)


def test_fewer_queries_than_a_batch_are_refused_with_what_helps() -> None:
    line = "--labels: expected at least a batch of 8 queries of 'words', got 0.1 of 24; raise it to 0.34, or lower"
    with pytest.raises(InputError, match=f"^{re.escape(line)} batch_size$"):
        subset(mined(), 0.1, batch_size=8, seed=1)
    assert len(ids(subset(mined(), 0.34, batch_size=8, seed=1))) == 8
    with pytest.raises(InputError, match=r"got 1 of 24; lower batch_size$"):
        subset(mined(), 1.0, batch_size=32, seed=1)


def test_shares_are_sorted() -> None:
    assert read_shares("1, 0.1,0.3") == [0.1, 0.3, 1.0]


@pytest.mark.parametrize("text", ["0,1", "0.5,1.1", "-0.1,1", "nan,1", "0.5", "0.5,0.5", "few,all", ","])
def test_wrong_shares_are_refused(text: str) -> None:
    line = f"--labels: expected at least two different shares above 0 and up to 1, such as 0.1,0.3,1, got {text!r}"
    with pytest.raises(InputError, match=f"^{re.escape(line)}$"):
        read_shares(text)
