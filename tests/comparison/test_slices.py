"""Slices of the test queries: the queries of each group, and the changes on them."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from retune.comparison.score_tables import ScoreTable, read_score_table
from retune.comparison.significance import bootstrap_sums, interval
from retune.comparison.slices import QueryGroup, divide, slice_changes
from retune.comparison.test_sets import JudgedQueries, read_documents, read_judged_queries
from retune.core.errors import InputError
from tests.support.comparisons import QUERIES, SCORES, TUNED, compared, concluded, params, write_project, write_scores


def judged(texts: dict[str, str], relevant: list[tuple[str, str]], trained_on: set[str]) -> JudgedQueries:
    frame = pd.DataFrame(relevant, columns=["query_id", "doc_id"])
    return JudgedQueries(Path("x"), pd.Series(texts), frame, frozenset(trained_on))


def members(groups: list[QueryGroup], name: str, queries: list[str]) -> dict[str, list[str]]:
    """Return the queries of each group of a slice."""
    return {
        group.value: [query for query, is_in in zip(queries, group.mask, strict=True) if is_in]
        for group in groups
        if group.slice == name
    }


def test_queries_are_divided_by_every_slice() -> None:
    texts = {"a": "x" * 5, "b": "x" * 10, "c": "x" * 20}
    relevant = [("a", "d1"), ("b", "d1"), ("b", "d2"), ("c", "d2"), *(("c", f"e{n}") for n in range(6))]
    characters = {"d1": 100, "d2": 300} | {f"e{n}": 300 for n in range(6)}
    groups = divide(judged(texts, relevant, {"d1"}), pd.Series(characters), None)
    assert members(groups, "query length", [*texts]) == {
        "up to 5 characters": ["a"],
        "6 to 10 characters": ["b"],
        "11 characters or more": ["c"],
    }
    # mean length of the relevant documents: 100, 200, 300
    assert list(members(groups, "relevant document length", [*texts]).values()) == [["a"], ["b"], ["c"]]
    assert members(groups, "relevant documents", [*texts]) == {"1": ["a"], "2 to 5": ["b"], "6 or more": ["c"]}
    assert members(groups, "relevant documents trained on", [*texts]) == {"all": ["a"], "none": ["c"], "some": ["b"]}


def test_slice_with_one_value_is_left_out() -> None:
    groups = divide(judged({"a": "xx", "b": "yy"}, [("a", "d"), ("b", "d")], set()), pd.Series({"d": 9}), None)
    assert groups == []


def test_changes_are_those_of_the_group(tmp_path: Path) -> None:
    inputs = write_project(tmp_path, SCORES)
    scores = [0.7] * 30 + [0.4] * 10  # of 0.5 before
    write_scores(inputs.scores / "tuned/home.parquet", scores)
    table = read_score_table(inputs.scores, ["base", "tuned"], "home", ["ndcg_at_10"])
    first = np.arange(QUERIES) < 30
    changes = slice_changes(
        table, TUNED, [QueryGroup("half", "first", first), QueryGroup("half", "last", ~first)], params(), 13
    )
    assert [(change.value, change.queries, change.base_score, change.score, change.change) for change in changes] == [
        ("first", 30, 0.5, 0.7, 0.2),
        ("last", 10, 0.5, 0.4, -0.1),
    ]
    assert (changes[0].low, changes[0].high) == (0.2, 0.2)  # all 30 changed alike
    assert (changes[1].low, changes[1].high) == (None, None)  # 10 queries are too few


def test_interval_of_a_group_is_as_wide_as_that_of_its_queries_alone(tmp_path: Path) -> None:
    values = np.random.default_rng(2).normal(0.05, 0.2, 400)
    scores = np.column_stack([np.zeros(400), values])
    table = ScoreTable("home", pd.Index(map(str, range(400))), ["base", "tuned"], {"ndcg_at_10": scores})
    mask = np.arange(400) % 4 == 0
    change = slice_changes(table, TUNED, [QueryGroup("x", "y", mask)], params(resamples=5000), 13)[0]
    alone = bootstrap_sums(values[mask][:, None], 5000, np.random.default_rng(0)) / 100
    low, high = interval(alone, 0.95)
    assert (change.low, change.high) == (pytest.approx(low[0], abs=0.005), pytest.approx(high[0], abs=0.005))


def test_users_classes_are_read(tmp_path: Path) -> None:
    inputs = write_project(tmp_path, SCORES)
    inputs.slices.mkdir()
    rows = "".join(f"q{n},{'odd' if n % 2 else 'even'}\n" for n in range(35))
    (inputs.slices / "home.csv").write_text(f"query_id,parity\n{rows}")
    changes = [change for change in concluded(inputs).details.slices if change.slice == "parity"]
    assert [(change.dataset, change.value, change.queries) for change in changes] == [
        ("home", "even", 18),
        ("home", "not given", 5),
        ("home", "odd", 17),
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "expected data, got an empty file"),
        (
            "query_id,topic\nq0,a\nq1,b,c\n",
            "expected 2 fields, got 3; quote values that contain commas",
        ),
        ("query_id,topic\nq0,a,\nq1,b,\n", "expected 2 fields, got a comma at the end of the line; remove it"),
        ("query_id,topic,\nq0,a,\n", "expected a name for each column, got a comma at the end of the header"),
        (",query_id,topic\n0,q0,a\n", "expected columns with names, got 'one without a name', as pandas writes"),
        ("index,query_id,topic\n0,q0,a\n", "expected columns with names, got 'index', as pandas writes an index"),
        ("query_id,topic,topic\nq0,a,b\n", "expected each column once, got query_id, topic, topic"),
        ("query,topic\nq0,a\n", "expected columns query_id and one or more others, got query, topic"),
        ("query_id\nq0\n", "expected columns query_id and one or more others, got query_id"),
        (
            "query_id,query length\nq0,a\n",
            "expected columns of other names than retune's own, got 'query length'; rename it",
        ),
        ("query_id,topic\nq0,a\nq0,b\n", "expected each query once, got 'q0' twice"),
        ("query_id,topic\nq0,a\nz,b\n", "expected test queries of home, got 'z' and 0 more; remove them"),
        (
            "query_id,topic\n" + "".join(f"q{n},{n}\n" for n in range(21)),
            "topic: expected at most 20 values, got 21; group them into classes",
        ),
    ],
)
def test_wrong_classes_are_refused(text: str, line: str, tmp_path: Path) -> None:
    inputs = write_project(tmp_path, SCORES)
    inputs.slices.mkdir()
    (inputs.slices / "home.csv").write_text(text)
    with pytest.raises(InputError, match=rf"slices/home.csv(:\d)?: {line}"):
        concluded(inputs)


def test_classes_that_were_not_pulled_are_refused(tmp_path: Path) -> None:
    inputs = write_project(tmp_path, SCORES)
    inputs.slices.mkdir()
    (inputs.slices / "home.csv.dvc").touch()
    with pytest.raises(InputError, match=r"slices/home.csv: expected the file that home.csv.dvc describes"):
        concluded(inputs)


def test_classes_of_a_dataset_that_is_not_evaluated_are_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    inputs = write_project(tmp_path, SCORES)
    inputs.slices.mkdir()
    (inputs.slices / "hone.csv").write_text("query_id,topic\n")
    with caplog.at_level(logging.WARNING):
        concluded(inputs)
    assert caplog.messages == [f"{inputs.slices}/hone.csv: not read, because eval.datasets has no hone"]


def test_what_was_trained_on_is_of_the_same_dataset(tmp_path: Path) -> None:
    changes = [
        change for change in compared(tmp_path).details.slices if change.slice == "relevant documents trained on"
    ]
    assert [(change.dataset, change.value, change.queries) for change in changes if change.dataset == "home"] == [
        ("home", "all", 20),
        ("home", "none", 20),
    ]


def test_documents_are_read_by_id_and_cut(tmp_path: Path) -> None:
    inputs = write_project(tmp_path, SCORES)
    test = read_judged_queries(inputs.datasets / "home", pd.Index(["q1"]))
    documents = read_documents(test.folder, ["d0", "d39"])
    assert documents.loc["d0"].tolist() == [len("answer 0 "), "answer 0 "]
    long = "answer 39 " + "word " * 39
    assert documents.loc["d39", "characters"] == len(long) == 205
    assert documents.loc["d39", "text"] == long
