"""Every pair comes once per epoch, negatives are drawn anew, and no answer of a query is among its negatives."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retune.core.errors import InputError
from retune.core.records import Mined
from retune.training.batches.plan import Plan
from tests.support.examples import batches, numbered
from tests.support.training_task import mined, params

pairs_of_numbers = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=60, unique=True)


@given(pairs_of_numbers, st.integers(1, 9), st.integers(0, 4), st.booleans())
def test_every_pair_is_seen_once_an_epoch_and_no_answer_is_a_negative(
    pairs: list[tuple[int, int]], batch_size: int, random_negatives: int, in_batch: bool
) -> None:
    sizes = {"batch_size": min(batch_size, len(pairs)), "random_negatives": min(random_negatives, 2)}
    options = {**sizes, "hard_negatives": 1}
    plan = Plan(numbered(pairs, negatives=[20, 21]), params(**options, in_batch_negatives=in_batch), seed=1)
    seen = []
    for batch in batches(plan):
        assert len(set(batch.documents.tolist())) == len(batch.documents)
        for row, query in enumerate(batch.queries.tolist()):
            name = int(plan.query_ids[query][1:])
            positive = batch.groups[row, 0]
            compared = {
                int(plan.documents[batch.documents[at]].split()[1]) for at in np.flatnonzero(batch.is_compared[row])
            }
            answer = int(plan.documents[batch.documents[positive]].split()[1])
            seen.append((name, answer))
            assert {document for query, document in pairs if query == name} & compared == {answer}
    assert sorted(seen) == sorted(pairs)


def test_queries_of_equal_text_share_their_positives_and_equal_texts_are_one_document() -> None:
    examples = numbered([(0, 0), (1, 1), (2, 2)])
    examples.queries.loc[1, "text"] = examples.queries.loc[0, "text"]
    examples.documents.loc[2, "text"] = examples.documents.loc[1, "text"]  # d2 is d1: it answers query 0 as well
    plan = Plan(examples, params(batch_size=3, hard_negatives=0), seed=0)
    batch = plan.batch(0)
    assert plan.documents == ["text 0", "text 1"]
    compared = {
        plan.query_ids[query]: int(row.sum()) for query, row in zip(batch.queries, batch.is_compared, strict=True)
    }
    assert compared == {"q0": 1, "q1": 1, "q2": 2}


def test_negatives_are_drawn_anew_each_epoch_regardless_of_the_other_queries() -> None:
    negatives = list(range(20, 40))
    options = params(batch_size=2, hard_negatives=3)
    many = Plan(numbered([(n, n) for n in range(8)], negatives), options, seed=5)
    few = Plan(numbered([(n, n) for n in range(2)], negatives), options, seed=5)

    def drawn(plan: Plan, epoch: int) -> dict[str, list[str]]:
        return {
            plan.query_ids[query]: [plan.documents[batch.documents[column]] for column in batch.groups[row, 1:]]
            for batch in batches(plan, epoch)
            for row, query in enumerate(batch.queries)
        }

    first, second = drawn(many, 0), drawn(many, 1)
    assert first["q0"] != second["q0"]
    assert all(len(set(own)) == 3 for own in first.values())
    assert drawn(few, 0) == {name: first[name] for name in ("q0", "q1")}
    assert drawn(many, 0) == first


def test_order_differs_between_epochs_and_seeds_and_repeats_with_the_same() -> None:
    examples = numbered([(n, n) for n in range(20)])
    orders = [
        [query for batch in batches(Plan(examples, params(batch_size=8, hard_negatives=0), seed=seed), epoch)
         for query in batch.queries.tolist()]
        for seed, epoch in ((1, 0), (1, 0), (1, 1), (2, 0))
    ]  # fmt: skip
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]
    assert orders[0] != orders[3]


def test_without_in_batch_negatives_a_query_has_its_mined_and_the_random_ones() -> None:
    options = {"batch_size": 4, "in_batch_negatives": False}
    examples = numbered([(n, n) for n in range(4)], negatives=[10, 11])
    own = Plan(examples, params(**options, hard_negatives=2), seed=0).batch(0)
    assert own.is_compared.sum(axis=1).tolist() == [3, 3, 3, 3]
    assert all(own.is_compared[row, columns].all() for row, columns in enumerate(own.groups))
    drawn = Plan(examples, params(**options, hard_negatives=0, random_negatives=6), seed=0).batch(0)
    assert drawn.is_compared.sum(axis=1).tolist() == [6, 6, 6, 6]  # there are six documents


def test_mined_negative_that_answers_by_its_text_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    examples = numbered([(0, 0), (1, 1)], negatives=[10, 11])
    examples.documents.loc[2, "text"] = examples.documents.loc[0, "text"]  # d10 is d0
    plan = Plan(examples, params(batch_size=2, hard_negatives=1), seed=0)
    assert "1 mined negatives left out: they have the text of a positive of their query" in caplog.text
    for batch in batches(plan):
        row = batch.queries.tolist().index(0)
        assert plan.documents[batch.documents[batch.groups[row, 1]]] == "text 11"


def test_more_random_negatives_than_documents_are_refused() -> None:
    with pytest.raises(
        InputError, match="random_negatives: expected at most 24, the number of documents of 'words', got 25"
    ):
        Plan(mined(), params(random_negatives=25), seed=0)


def test_fewer_mined_negatives_than_asked_for_is_refused() -> None:
    with pytest.raises(
        InputError, match="expected 3 mined negatives per query, got fewer for 24 of 24 queries, first: 'q0'"
    ):
        Plan(mined(), params(hard_negatives=3), seed=0)


def test_scores_are_those_of_the_group() -> None:
    examples = numbered([(0, 0), (1, 1)], negatives=[10, 11, 12])
    examples.examples["negative_scores"] = [[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]
    plan = Plan(examples, params(batch_size=2, hard_negatives=2), seed=0)
    batch = plan.batch(0)
    for row, query in enumerate(batch.queries.tolist()):
        texts = [plan.documents[batch.documents[column]] for column in batch.groups[row]]
        first = 0.1 if plan.query_ids[query] == "q0" else 0.4
        expected = [1.0, *(first + (int(text.split()[1]) - 10) * 0.1 for text in texts[1:])]
        np.testing.assert_allclose(batch.scores[row], expected, atol=1e-6)


def test_last_batch_is_dropped_if_the_library_s_argument_says_so() -> None:
    examples = numbered([(n, n) for n in range(10)])
    options = params(batch_size=4, hard_negatives=0, trainer={"dataloader_drop_last": True})
    plan = Plan(examples, options, seed=0)
    assert [len(batch.queries) for batch in batches(plan)] == [4, 4]
    assert {query for epoch in range(9) for batch in batches(plan, epoch) for query in batch.queries} == set(range(10))


@pytest.mark.parametrize(
    ("examples", "options", "found"),
    [
        (numbered([(0, 0)]), {}, "got 1 and 1"),
        (numbered([(0, 0), (1, 1)]), {}, "got 2 and 2"),
    ],
)
def test_fewer_examples_than_one_batch_are_refused(examples: Mined, options: dict[str, object], found: str) -> None:
    with pytest.raises(InputError, match=f"expected at least 2 documents and 8 pairs for a batch, {found}"):
        Plan(examples, params(hard_negatives=0, **options), seed=0)


def test_missing_scores_of_documents_are_refused() -> None:
    examples = numbered([(0, 0), (1, 1)], negatives=[10, 11])
    examples.examples.at[1, "negative_scores"] = [0.1]
    with pytest.raises(InputError, match="q1: expected a score for each of 2 negative_ids, got 1; mine again"):
        Plan(examples, params(), seed=0)


def test_cosent_refuses_pairs_of_equal_scores() -> None:
    examples = mined()
    examples.examples["negative_scores"] = examples.examples["positive_scores"].map(lambda scores: scores * 2)
    options = params(loss="cosent", hard_negatives=0, in_batch_negatives=False)
    with pytest.raises(
        InputError, match="loss cosent: expected pairs with different scores, got 1 for all of them; use infonce"
    ):
        Plan(examples, options, seed=0)
