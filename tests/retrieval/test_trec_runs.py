"""Run files say what was found, and what is wrong with one is told with its place."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st

from retune.core.errors import InputError
from retune.retrieval.trec_runs import look_up, run_table, write_run

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


@pytest.mark.slow
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
    found = look_up(path, run[["query_id", "doc_id"]], pd.Index(query_ids))
    ranks = zip(run["query_id"], run["doc_id"], run["rank"], strict=True)
    assert found.ranks == {(query_id, doc_id): rank for query_id, doc_id, rank in ranks}
    assert found.first == dict.fromkeys(query_ids, doc_ids[0])
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    assert [np.float32(line.split(" ")[4]) for line in lines] == scores.ravel().tolist()


def test_row_that_ends_early_has_no_lines() -> None:
    scores = np.array([[0.5, -np.inf], [0.5, 0.4]], dtype=np.float32)
    positions = np.array([[1, -1], [0, 1]])
    run = run_table(scores, positions, pd.Series(["p", "q"]), pd.Series(["d0", "d1"]))
    assert run[["query_id", "doc_id", "rank"]].to_numpy().tolist() == [["p", "d1", 1], ["q", "d0", 1], ["q", "d1", 2]]


def test_score_that_is_no_number_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="query 'q': expected finite scores, got nan for document 'd1'"):
        write_run(tmp_path / "a.trec", table(("q", "d1", 1, float("nan"))), "m")
    assert not list(tmp_path.iterdir())
