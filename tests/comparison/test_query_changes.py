"""Queries that changed: what was wanted and found, and ranks before and after, read from run files."""

from pathlib import Path

import pandas as pd
import pytest

from retune.comparison.query_changes import Wanted, query_changes
from retune.comparison.score_tables import read_score_table
from retune.comparison.test_sets import JudgedQueries
from retune.core.errors import InputError
from retune.retrieval.trec_runs import look_up
from tests.support.comparisons import QUERIES, SCORES, TUNED, compared, concluded, params, write_project


def changes_of(inputs, dataset: str, **changed):
    found = concluded(inputs, **changed)
    return [change for change in found.details.changes if change.dataset == dataset]


def test_ranks_before_and_after_and_what_was_found_instead(tmp_path: Path) -> None:
    inputs = write_project(tmp_path, SCORES)
    # farther: 0.6 before, 0.5 now; make the tuned model rank the answer of q3 third, after d4 and d5
    path = inputs.run_files / "tuned/farther.trec"
    path.write_text(path.read_text().replace("q3 Q0 d3 1 ", "q3 Q0 d4 1 ").replace("q3 Q0 d4 2 ", "q3 Q0 d3 3 "))
    change = next(item for item in changes_of(inputs, "farther") if item.query_id == "q3")
    assert (change.base_score, change.score, change.change) == (0.6, 0.5, -0.1)
    assert change.wanted == [Wanted("d3", base_rank=1, rank=3)]
    assert (change.found, change.is_relevant, change.num_relevant) == ("d4", False, 1)


def test_query_that_did_not_change_is_not_listed(tmp_path: Path) -> None:
    changes = changes_of(write_project(tmp_path, SCORES), "far")
    assert [(change.query_id, change.change) for change in changes] == [("q38", 0.01), ("q39", -0.01)]


def test_queries_that_changed_most_are_listed_and_the_others_counted(tmp_path: Path) -> None:
    scores = {model: dict(datasets) for model, datasets in SCORES.items()}
    scores["tuned"]["home"] = [0.5 + n / 100 for n in range(QUERIES)]  # q0 did not change
    found = compared(tmp_path, scores, changed_queries=3)
    home = [change for change in found.details.changes if change.dataset == "home"]
    assert [change.query_id for change in home] == ["q39", "q38", "q37"]
    assert (len(found.details.changes), found.details.num_changed) == (3 + 2 + 3, 39 + 2 + 40)


def test_none_asked_for_reads_no_run_file(tmp_path: Path) -> None:
    inputs = write_project(tmp_path, SCORES)
    for path in inputs.run_files.rglob("*.trec"):
        path.unlink()
    assert concluded(inputs, changed_queries=0).details.changes == []


def test_documents_not_found_have_no_rank_and_come_last(tmp_path: Path) -> None:
    inputs = write_project(tmp_path, SCORES)
    table = read_score_table(inputs.scores, ["base", "tuned"], "home", ["ndcg_at_10"])
    relevant = pd.DataFrame([("q0", "d7"), ("q0", "d1"), ("q0", "d0")], columns=["query_id", "doc_id"])
    test = JudgedQueries(inputs.datasets / "home", pd.Series({"q0": "text"}), relevant, frozenset())
    first = query_changes(table, TUNED, test, inputs.run_files, params(changed_queries=1))[0]
    assert first.wanted == [Wanted("d0", 1, 1), Wanted("d1", 2, 2), Wanted("d7", None, None)]


def test_ids_of_a_run_file_are_decoded_and_quotes_are_letters(tmp_path: Path) -> None:
    path = tmp_path / "x.trec"
    path.write_text('q%201 Q0 a%20"b 1 0.5 m\nq%201 Q0 100%25 2 0.4 m\nq2 Q0 NA 1 0.3 m\n')
    wanted = pd.DataFrame({"query_id": ["q 1", "q2"], "doc_id": ["100%", "NA"]})
    found = look_up(path, wanted, pd.Index(["q 1", "q2"]))
    assert found.ranks == {("q 1", "100%"): 2, ("q2", "NA"): 1}
    assert found.first == {"q 1": 'a "b', "q2": "NA"}


def test_empty_run_file_has_found_nothing(tmp_path: Path) -> None:
    (tmp_path / "x.trec").touch()
    wanted = pd.DataFrame({"query_id": ["q"], "doc_id": ["d"]})
    assert look_up(tmp_path / "x.trec", wanted, pd.Index(["q"])).ranks == {}


def test_document_found_twice_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.trec").write_text("q Q0 d 1 0.5 m\nq Q0 d 2 0.4 m\n")
    wanted = pd.DataFrame({"query_id": ["q"], "doc_id": ["d"]})
    with pytest.raises(InputError, match=r"x.trec: query 'q': expected each document once, got 'd' twice"):
        look_up(tmp_path / "x.trec", wanted, pd.Index(["q"]))


def test_document_found_twice_is_named_though_no_one_wanted_it(tmp_path: Path) -> None:
    (tmp_path / "x.trec").write_text("q Q0 d 1 0.5 m\nq Q0 e 2 0.4 m\nq Q0 e 3 0.3 m\n")
    wanted = pd.DataFrame({"query_id": ["q"], "doc_id": ["d"]})
    with pytest.raises(InputError, match=r"x.trec: query 'q': expected each document once, got 'e' twice"):
        look_up(tmp_path / "x.trec", wanted, pd.Index(["q"]))


@pytest.mark.parametrize("line", ["q1 Q0 d1 1 0.5", "q1 Q0 d1 first 0.5 m"])
def test_broken_run_file_is_named(line: str, tmp_path: Path) -> None:
    (tmp_path / "x.trec").write_text(f"{line}\n")
    wanted = pd.DataFrame({"query_id": ["q"], "doc_id": ["d"]})
    with pytest.raises(InputError, match=r"x.trec: expected lines of query_id Q0 doc_id rank score model, got: "):
        look_up(tmp_path / "x.trec", wanted, pd.Index(["q"]))
