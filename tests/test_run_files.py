"""Run files say what was found, and what is wrong with one is told with its place."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st

from retune.errors import InputError
from retune.run_files import read_run, run_table, write_run

IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)


def table(*rows: tuple[str, str, int, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["query_id", "doc_id", "rank", "score"]).astype({"score": np.float32})


def test_lines_are_those_of_trec(tmp_path: Path) -> None:
    write_run(tmp_path / "a.trec", table(("q 1", "d%1", 1, 0.5), ("q 1", "d\u30002", 2, 0.25)), "minilm")
    assert (tmp_path / "a.trec").read_text(encoding="utf-8") == (
        "q%201 Q0 d%251 1 0.5 minilm\nq%201 Q0 d%E3%80%802 2 0.25 minilm\n"
    )


def test_trec_eval_reads_it(tmp_path: Path) -> None:
    write_run(tmp_path / "a.trec", table(("q", "d1", 1, 0.5), ("q", "d2", 2, 0.25)), "minilm")
    with (tmp_path / "a.trec").open(encoding="utf-8") as file:
        assert pytrec_eval.parse_run(file) == {"q": {"d1": 0.5, "d2": 0.25}}


@given(st.lists(IDS, min_size=1, max_size=5, unique=True), st.lists(IDS, min_size=1, max_size=5, unique=True))
def test_any_ids_and_scores_are_read_as_written(
    tmp_path_factory: pytest.TempPathFactory, query_ids: list[str], doc_ids: list[str]
) -> None:
    path = tmp_path_factory.mktemp("runs") / "a.trec"
    shape = len(query_ids), len(doc_ids)
    scores = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    positions = np.tile(np.arange(len(doc_ids)), (len(query_ids), 1))
    run = run_table(scores, positions, pd.Series(query_ids), pd.Series(doc_ids))
    write_run(path, run, "m")
    pd.testing.assert_frame_equal(read_run(path), run, check_dtype=False)
    assert (read_run(path)["score"].to_numpy() == scores.ravel()).all()


def test_row_that_ends_early_has_no_lines() -> None:
    scores = np.array([[0.5, -np.inf], [0.5, 0.4]], dtype=np.float32)
    positions = np.array([[1, -1], [0, 1]])
    run = run_table(scores, positions, pd.Series(["p", "q"]), pd.Series(["d0", "d1"]))
    assert run[["query_id", "doc_id", "rank"]].to_numpy().tolist() == [["p", "d1", 1], ["q", "d0", 1], ["q", "d1", 2]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("q Q0 d1 1 0.5 m\nq Q0 d1 2 0.4 m\n", r"a.trec: query 'q': expected each document once, got 'd1' twice"),
        ("q Q0 d1 1 0.5 m\nq Q0 d2 2 0.4\n", r"a.trec:2: expected 6 fields, got 5"),
        ("q Q0 d 1 1 0.5 m\n", r"a.trec:1: expected 6 fields, got 7"),
        ("p Q0 d1 1 0.5 m\nq Q0 d2 1 nan m\n", r"a.trec: query 'q': expected finite scores, got nan for document 'd2'"),
        ("q Q0 d1 1 inf m\n", r"query 'q': expected finite scores, got inf"),
        ("q Q0 d1 1 high m\n", r"a.trec:1: expected a number as score, got 'high'"),
        ("q Q0 d1 1 0.5 m\nq Q0 d2 3 0.4 m\n", r"a.trec:2: expected rank 2 of query 'q', got '3'"),
        ("q Q0 d1 0 0.5 m\n", r"a.trec:1: expected rank 1 of query 'q', got '0'"),
    ],
)
def test_wrong_file_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.trec").write_text(text)
    with pytest.raises(InputError, match=message):
        read_run(tmp_path / "a.trec")


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a.trec: expected a run file, found none"):
        read_run(tmp_path / "a.trec")


def test_score_that_is_no_number_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="query 'q': expected finite scores, got nan for document 'd1'"):
        write_run(tmp_path / "a.trec", table(("q", "d1", 1, float("nan"))), "m")
    assert not list(tmp_path.iterdir())
