"""Batches: every row once, no false negative beside its query."""

import logging

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retune.batches import DistinctBatchSampler


def rows_of(pairs: list[tuple[int, int]]) -> tuple[list[dict[str, str]], dict[str, set[str]]]:
    """Rows of (query, document) numbers, and the positives of every query."""
    rows = [{"anchor": f"query {query}", "positive": f"document {document}"} for query, document in pairs]
    positives: dict[str, set[str]] = {}
    for row in rows:
        positives.setdefault(row["anchor"], set()).add(row["positive"])
    return rows, positives


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=80, unique=True),
    st.integers(2, 9),
)
def test_every_row_is_seen_once_an_epoch_in_the_batches_announced(
    pairs: list[tuple[int, int]], batch_size: int
) -> None:
    rows, positives = rows_of(pairs)
    sampler = DistinctBatchSampler(rows, positives, batch_size, seed=1)
    batches = list(sampler)
    assert sorted(row for batch in batches for row in batch) == list(range(len(rows)))
    assert len(batches) <= len(sampler)


def test_batches_hold_no_false_negative() -> None:
    rng = np.random.default_rng(0)
    pairs = sorted({(int(query), int(document)) for query, document in rng.integers(0, 200, size=(300, 2))})
    rows, positives = rows_of(pairs)
    for batch in DistinctBatchSampler(rows, positives, 16, seed=1):
        for row in batch:
            others = {rows[other]["positive"] for other in batch if other != row}
            assert not others & positives[rows[row]["anchor"]]


def test_announced_batches_are_all_there_and_full_without_conflicts() -> None:
    rows, positives = rows_of([(number, number) for number in range(20)])
    sampler = DistinctBatchSampler(rows, positives, 8, seed=1)
    assert [len(batch) for batch in sampler] == [8, 8, 4]
    assert len(sampler) == 3


def test_epochs_and_seeds_differ_and_repeat() -> None:
    rows, positives = rows_of([(number, number) for number in range(20)])
    first, again, other = (DistinctBatchSampler(rows, positives, 8, seed) for seed in (1, 1, 2))
    assert list(first) == list(again)
    assert list(first) != list(other)
    again.set_epoch(1)
    assert list(first) != list(again)


def test_rows_may_share_a_negative_but_not_hold_each_others_positives() -> None:
    rows = [
        {"anchor": "a", "positive": "1", "negative_1": "9"},
        {"anchor": "b", "positive": "2", "negative_1": "9"},
        {"anchor": "c", "positive": "3", "negative_1": "1"},
        {"anchor": "d", "positive": "4", "negative_1": "8"},
    ]
    positives = {row["anchor"]: {row["positive"]} for row in rows}
    together = {frozenset(batch) for seed in range(20) for batch in DistinctBatchSampler(rows, positives, 2, seed)}
    assert frozenset({0, 1}) in together
    assert frozenset({0, 2}) not in together


def test_rows_that_fit_nowhere_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    rows = [
        {"anchor": "a", "positive": "1", "negative_1": "2"},
        {"anchor": "b", "positive": "2", "negative_1": "1"},
    ]
    sampler = DistinctBatchSampler(rows, {"a": {"1"}, "b": {"2"}}, 4, seed=1)
    with caplog.at_level(logging.WARNING):
        assert [sorted(batch) for batch in sampler] == [[0, 1]]
    assert "1 of 2 rows share a batch with a false negative" in caplog.text
