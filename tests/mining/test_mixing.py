"""Mixtures: rows marked with their source, batches of one source, and pairs as often as their source weighs."""

import copy
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from retune.check.checking import check
from retune.comparison.lineage import trace
from retune.core.errors import InputError, ParameterError
from retune.core.records import Mined, read_mined, write_mined
from retune.layouts.export import export
from retune.mining.mixing import counts, mix
from retune.params.finetune import Finetune
from retune.params.mine import Mine
from retune.params.mix import Mix
from retune.params.synthesize import Synthesize
from retune.training.batches.plan import Plan, TrainingBatch
from tests.support.examples import batches, numbered
from tests.support.training_task import params


def entry(**changes: object) -> Mix:
    values = {"first": "one", "second": "two", "first_weight": 1.0, "second_weight": 1.0}
    return Mix.parse("mix.x", values | changes)


def other(size: int, negatives: list[int] | None = None) -> Mined:
    """Examples whose ids are those of `numbered`, and whose texts are not."""
    examples = numbered([(n, n) for n in range(size)], negatives)
    return replace(
        examples,
        examples=examples.examples.assign(source="others"),
        queries=examples.queries.assign(text="other " + examples.queries["text"]),
        documents=examples.documents.assign(text="other " + examples.documents["text"]),
    )


def one_and_other(first: int, second: int, **changes: object) -> Mined:
    return mix(numbered([(n, n) for n in range(first)]), other(second), entry(**changes))


def pairs_seen(plan: Plan, epoch: int = 0) -> Counter[str]:
    return Counter(plan.query_ids[query] for batch in batches(plan, epoch) for query in batch.queries.tolist())


def sources_of(plan: Plan, batch: TrainingBatch) -> set[str]:
    return {plan.query_ids[query].split("/")[0] for query in batch.queries.tolist()}


def test_equal_ids_do_not_meet_and_rows_say_where_they_come_from(tmp_path: Path) -> None:
    write_mined(tmp_path, one_and_other(2, 1, second_weight=0.5))
    mixture = read_mined(tmp_path)
    assert mixture.examples["query_id"].tolist() == ["one/q0", "one/q1", "two/q0"]
    assert mixture.examples["positive_ids"].map(list).tolist() == [["one/d0"], ["one/d1"], ["two/d0"]]
    assert mixture.examples["source"].tolist() == ["one/made", "one/made", "two/others"]
    texts = dict(zip(mixture.documents["doc_id"], mixture.documents["text"], strict=True))
    assert texts == {"one/d0": "text 0", "one/d1": "text 1", "two/d0": "other text 0"}
    assert dict(zip(mixture.queries["query_id"], mixture.queries["text"], strict=True))["two/q0"] == "other query 0"
    assert mixture.weights is not None
    assert mixture.weights.to_dict("list") == {"source": ["one/made", "two/others"], "weight": [1.0, 0.5]}


def test_same_sets_make_the_same_bytes_and_exporting_tells_that_weights_are_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a", "b"):
        write_mined(tmp_path / name, one_and_other(3, 2, first_weight=0.5))
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == ["documents.parquet", "examples.parquet", "provenance.json", "queries.parquet", "weights.parquet"]
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in names)
    caplog.set_level("INFO", "retune")
    export("beir", tmp_path / "a", tmp_path / "out")
    assert "no layout has a place for the weights of sources: 2" in caplog.text


def test_weights_of_mixtures_of_mixtures_multiply() -> None:
    inner = one_and_other(2, 1, first_weight=2.0, second_weight=0.5)
    names = {"first": "inner", "second": "plain", "first_weight": 0.5, "second_weight": 3.0}
    mixture = mix(inner, numbered([(0, 0), (1, 1)], [7]), Mix.parse("mix.y", names))
    found = counts(mixture)
    distribution = found.pop("score_distribution")
    assert sum(row["positives"] for row in distribution) == pytest.approx(1.0, abs=1e-4)
    assert found == {
        "queries": 5,
        "documents": 6,
        "sources": {
            "inner/one/made": {"weight": 1.0, "queries": 2, "positives": 2, "negatives": 0},
            "inner/two/others": {"weight": 0.25, "queries": 1, "positives": 1, "negatives": 0},
            "plain/made": {"weight": 3.0, "queries": 2, "positives": 2, "negatives": 2},
        },
    }


def test_document_of_both_is_one_and_no_negative_of_a_query_it_answers() -> None:
    first, second = numbered([(0, 0), (1, 1)], [2, 3]), numbered([(0, 0), (1, 2)], [1, 3])  # q0 and d0 are in both
    plan = Plan(mix(first, second, entry()), params(batch_size=2, hard_negatives=1), seed=0)
    assert sorted(plan.documents) == ["text 0", "text 1", "text 2", "text 3"]
    own = plan.query_ids.index("one/q1")  # query 1 has answer 1 in one set and 2 in the other
    for batch in batches(plan) + batches(plan, 1):
        for row in np.flatnonzero(batch.queries == own):
            compared = {plan.documents[at] for at in batch.documents[batch.is_compared[row]]}
            assert "text 2" not in compared


def test_batch_has_pairs_of_one_source_and_sources_take_turns() -> None:
    plan = Plan(one_and_other(40, 24), params(batch_size=4, hard_negatives=0), seed=1)
    assert plan.num_batches == 10 + 6
    turns = []
    for epoch in (0, 1):
        sources = [sources_of(plan, batch) for batch in batches(plan, epoch)]
        assert all(len(each) == 1 for each in sources)
        turns.append([each.pop() for each in sources])
        assert Counter(turns[-1]) == {"one": 10, "two": 6}
        assert turns[-1] != sorted(turns[-1])
        assert set(pairs_seen(plan, epoch).values()) == {1}
        assert len(pairs_seen(plan, epoch)) == 64
    assert turns[0] != turns[1]


def test_pairs_come_as_often_as_their_source_weighs() -> None:
    mixture = one_and_other(20, 11, first_weight=0.5, second_weight=2.0)
    plan = Plan(mixture, params(batch_size=4, hard_negatives=0), seed=1)
    assert plan.num_batches == 3 + 6  # 10 pairs of 20, and 22 of 11
    halves = []
    for epoch in range(8):
        seen = pairs_seen(plan, epoch)
        halves.append({name for name in seen if name.startswith("one/")})
        assert len(halves[-1]) == 10
        assert all(count == (1 if name in halves[-1] else 2) for name, count in seen.items())
        assert len(seen) == 10 + 11
    assert halves[0] != halves[1]
    assert len(set().union(*halves)) == 20


def test_weight_that_is_no_whole_number_draws_the_rest() -> None:
    plan = Plan(one_and_other(10, 4, first_weight=1.5), params(batch_size=4, hard_negatives=0), seed=1)
    seen = pairs_seen(plan)
    assert Counter(count for name, count in seen.items() if name.startswith("one/")) == {1: 5, 2: 5}


@pytest.mark.parametrize(("drop_last", "sizes"), [(False, [2, 3, 4, 4, 4]), (True, [4, 4, 4])])
def test_last_batch_of_each_source_is_short_or_dropped(drop_last: bool, sizes: list[int]) -> None:
    options = params(batch_size=4, hard_negatives=0, trainer={"dataloader_drop_last": drop_last})
    plan = Plan(one_and_other(10, 7), options, seed=0)  # 4 + 4 + 2 and 4 + 3
    assert sorted(len(batch.queries) for batch in batches(plan)) == sizes


def test_random_negatives_are_documents_of_the_source() -> None:
    plan = Plan(one_and_other(12, 12), params(batch_size=4, hard_negatives=0, random_negatives=6), seed=0)
    for batch in batches(plan):
        is_other = {plan.documents[at].startswith("other") for at in batch.documents.tolist()}
        assert is_other == {sources_of(plan, batch) == {"two"}}
        assert len(batch.documents) > 4


def test_batch_of_a_mixture_is_known_from_its_number() -> None:
    mixture = one_and_other(9, 5, first_weight=0.5, second_weight=3.0)
    first, again = (Plan(mixture, params(batch_size=2, hard_negatives=0, random_negatives=2), seed=4) for _ in "ab")
    other_seed = Plan(mixture, params(batch_size=2, hard_negatives=0, random_negatives=2), seed=5)
    numbers = range(3 * first.num_batches)
    expected = [first.batch(number) for number in numbers]
    for number in reversed(numbers):
        for name in ("queries", "documents", "groups", "is_compared"):
            np.testing.assert_array_equal(getattr(again.batch(number), name), getattr(expected[number], name))
    assert any(
        batch.queries.tolist() != other_seed.batch(number).queries.tolist()
        for number, batch in zip(numbers, expected, strict=True)
    )


def test_batches_of_one_source_are_cut_from_one_shuffle() -> None:
    plan = Plan(numbered([(n, n) for n in range(10)]), params(batch_size=4, hard_negatives=0), seed=7)
    for epoch in (0, 1):
        expected = np.random.default_rng([7, epoch]).permutation(10).tolist()
        assert [query for batch in batches(plan, epoch) for query in batch.queries.tolist()] == expected


@pytest.mark.parametrize(
    ("mixture", "options", "message"),
    [
        (
            one_and_other(9, 3),
            {"trainer": {"dataloader_drop_last": True}},
            "two/others: expected at least 2 documents and 4 pairs for a batch, got 3 and 3",
        ),
        (
            one_and_other(9, 4, second_weight=0.1),
            {},
            "two/others: expected at least 2 documents and 4 pairs for a batch, got 4 and 0",
        ),
        (
            one_and_other(9, 4),
            {"random_negatives": 5},
            "expected at most 4, the number of documents of 'two/others', got 5",
        ),
    ],
)
def test_source_that_makes_no_batch_is_refused(mixture: Mined, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Plan(mixture, params(**{"batch_size": 4, "hard_negatives": 0} | options), seed=0)


MIX = {"first": "science", "second": "sympy", "first_weight": 1.0, "second_weight": 0.5}


@pytest.mark.parametrize(
    ("mixtures", "run", "line"),
    [
        (
            {"both": MIX | {"second": "web"}},
            {},
            "mix.both.second: expected one of science, sympy, sympy_synthetic, both, got",
        ),
        ({"both": MIX | {"second_weight": 0.0}}, {}, "mix.both.second_weight: expected greater than 0, got 0.0"),
        (
            {"both": MIX | {"second": "science"}},
            {},
            "second: expected a different name than first, got 'science' for both",
        ),
        ({"sympy": MIX}, {}, "mix.sympy: mine has a recipe of this name; rename one"),
        ({"Both": MIX}, {}, "mix.Both: expected a name of a-z, 0-9 and _, got 'Both'"),
        (
            {"both": MIX | {"second": "more"}, "more": MIX | {"second": "both"}},
            {"data": "both"},
            "mix.both: expected a mixture of mining recipes, got one that contains itself",
        ),
        ({"both": MIX}, {"hard_negatives": 5, "data": "both"}, "expected at most mine.science.negatives (4), got 5"),
    ],
)
def test_wrong_mixture_gives_its_line(mixtures: dict, run: dict[str, object], line: str, default_params: dict) -> None:
    default_params["mix"] = mixtures
    default_params["finetune"]["minilm_science"] |= run
    with pytest.raises(InputError) as caught:
        check(default_params)
    assert any(line in found for found in str(caught.value).splitlines()), caught.value


def test_model_that_mined_a_part_of_a_mixture_is_not_trained_on_it(default_params: dict) -> None:
    default_params["mix"] = {"both": MIX}
    default_params["finetune"]["minilm_science"]["data"] = "both"
    default_params["mine"]["sympy"]["scorer"] = "minilm_science"
    with pytest.raises(InputError, match="finetune.minilm_science: expected a chain of models .* got a circle"):
        check(default_params)


def test_run_on_a_mixture_is_at_home_where_its_first_is(default_params: dict) -> None:
    mixtures = {"inner": MIX | {"first": "sympy_synthetic", "second": "science"}, "both": MIX | {"first": "inner"}}
    default_params["mix"] = mixtures
    default_params["finetune"]["minilm_science"] |= {"data": "both", "hard_negatives": 0}
    check(copy.deepcopy(default_params))
    kinds = {"finetune": Finetune, "mine": Mine, "mix": Mix, "synthesize": Synthesize}
    sections = [
        {
            name: kind.parse(name, value, default_params["defaults"].get(section))
            for name, value in default_params[section].items()
        }
        for section, kind in kinds.items()
    ]
    assert (
        trace(*sections, evaluated=["science", "sympy"])["minilm_science"].home == "sympy"
    )  # where sympy_synthetic's documents are from


def test_mixture_needs_no_weights_table_to_be_whole() -> None:
    mixture = one_and_other(8, 8)
    plain = Plan(replace(mixture, weights=None), params(batch_size=4, hard_negatives=0), seed=2)
    weighed = Plan(mixture, params(batch_size=4, hard_negatives=0), seed=2)
    assert [batch.queries.tolist() for batch in batches(plain)] == [
        batch.queries.tolist() for batch in batches(weighed)
    ]
    assert isinstance(mixture.weights, pd.DataFrame)


def scored(positives: list[float], negatives: list[float]) -> Mined:
    """Three queries with a positive and a negative each, which a teacher scored."""
    examples = numbered([(n, n) for n in range(3)], [3, 4, 5])
    columns = {"positive_scores": [[score] for score in positives], "negative_scores": [[score] for score in negatives]}
    return replace(examples, examples=examples.examples.assign(negative_ids=[["d3"], ["d4"], ["d5"]], **columns))


def test_scores_of_two_teachers_are_standardised_and_averaged() -> None:
    first, second = scored([3.0, 2.0, 3.0], [1.0, 0.0, 3.0]), scored([0.9, 0.9, 0.9], [0.1, 0.1, 0.1])
    mixed = mix(first, second, entry(of="scores", first_weight=3.0, second_weight=1.0))
    ours, theirs = (np.array([3, 2, 3, 1, 0, 3]), np.array([1, 1, 1, -1, -1, -1]))
    expected = 0.75 * (ours - ours.mean()) / ours.std() + 0.25 * theirs
    found = [*mixed.examples["positive_scores"], *mixed.examples["negative_scores"]]
    assert np.concatenate(found).tolist() == pytest.approx(expected.tolist(), abs=1e-6)
    assert mixed.examples["query_id"].tolist() == first.examples["query_id"].tolist()  # no prefix: the same examples
    assert mixed.weights is None
    assert counts(mixed)["sources"] == {"made": {"weight": 1.0, "queries": 3, "positives": 3, "negatives": 3}}


def test_pair_that_one_teacher_did_not_score_is_named() -> None:
    first, second = scored([3.0, 2.0, 3.0], [1.0, 0.0, 3.0]), scored([0.9, 0.9, 0.9], [0.1, 0.1, 0.1])
    second.examples["negative_ids"] = [["d3"], ["d3"], ["d5"]]
    with pytest.raises(
        InputError, match="expected a score in 'two' for each of 6 pairs of 'one', got none for 1, first: 'd4'"
    ):
        mix(first, second, entry(of="scores"))


def test_scores_that_are_all_equal_are_refused() -> None:
    first = scored([3.0, 2.0, 3.0], [1.0, 0.0, 3.0])
    with pytest.raises(InputError, match="expected scores that differ, got 1 for all pairs of 'two'"):
        mix(first, scored([1.0] * 3, [1.0] * 3), entry(of="scores"))


@pytest.mark.parametrize("weights", [(0.0, 0.0), (-1.0, 1.0)])
def test_weights_that_add_up_to_nothing_are_refused(weights: tuple[float, float]) -> None:
    with pytest.raises(ParameterError, match="mix.x.first_weight: "):
        entry(of="scores", first_weight=weights[0], second_weight=weights[1])
