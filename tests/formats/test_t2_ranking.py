"""The tab-separated files of T2Ranking."""

from pathlib import Path

import pytest

from retune.core.errors import InputError
from tests.support.conversion import convert_raw

FILES = {
    "collection.tsv": 'pid\tpassage\n0\t"quoted\n1\tone\ttab and two\ttabs\n2\t\n3\t <b>bold</b>\n4\t  \n',
    "queries.train.tsv": 'qid\tquery\n0\twhat is "quoted\n1\twhat has tabs\n2\twhat is never judged\n',
    "queries.dev.tsv": "qid\tquery\n0\twhat is bold\n",
    "queries.test.tsv": "qid\tquery\n0\twhat is hidden\n",
    "qrels.retrieval.train.tsv": "qid\tpid\n0\t0\n1\t1\n1\t2\n",
    "qrels.retrieval.dev.tsv": "qid\tpid\n0\t3\n",
    "qrels.train.tsv": "qid\t-\tpid\trel\n0\t0\t0\t3\n0\t0\t1\t0\n1\t0\t1\t2\n",
    "qrels.dev.tsv": "0\t0\t3\t1\n0\t0\t0\t0\n",
}


def write(folder: Path, *left_out: str, **changes: str) -> Path:
    folder.mkdir()
    for name, content in FILES.items():
        if name not in left_out:
            (folder / name).write_text(changes.get(name, content))
    return folder


def test_binary_judgments_of_both_splits_are_read(tmp_path: Path) -> None:
    data = convert_raw(write(tmp_path / "raw"), tmp_path / "out", "t2_ranking", graded=False, dev="given")
    assert data.judged() == {('what is "quoted', '"quoted', 1), ("what has tabs", "one\ttab and two\ttabs", 1)}
    assert data.judged("dev") == {("what is bold", " <b>bold</b>", 1)}


def test_quotes_are_ordinary_and_only_the_first_tab_splits(tmp_path: Path) -> None:
    data = convert_raw(write(tmp_path / "raw"), tmp_path / "out", "t2_ranking", graded=False, dev="given")
    assert data.texts() == {"0": '"quoted', "1": "one\ttab and two\ttabs", "3": " <b>bold</b>"}


def test_passages_without_text_are_counted_and_their_judgments_are_unknown(tmp_path: Path) -> None:
    data = convert_raw(write(tmp_path / "raw"), tmp_path / "out", "t2_ranking", graded=False, dev="given")
    assert data.statistics["dropped"]["document without text"] == 2
    assert data.statistics["dropped"]["judgment of an unknown query or document"] == 1


def test_graded_judgments_keep_their_grades(tmp_path: Path) -> None:
    data = convert_raw(write(tmp_path / "raw"), tmp_path / "out", "t2_ranking", graded=True, dev="given")
    assert ('what is "quoted', '"quoted', 3) in data.judged()
    assert ('what is "quoted', "one\ttab and two\ttabs", 0) in data.judged()
    assert data.judged("dev") == {("what is bold", " <b>bold</b>", 1), ("what is bold", '"quoted', 0)}


def test_query_numbers_may_repeat_between_the_splits(tmp_path: Path) -> None:
    data = convert_raw(write(tmp_path / "raw"), tmp_path / "out", "t2_ranking", graded=False, dev="given")
    assert list(data.queries("train")) == ["train-0", "train-1"]
    assert list(data.queries("dev")) == ["dev-0"]


def test_queries_without_judgments_are_counted(tmp_path: Path) -> None:
    data = convert_raw(write(tmp_path / "raw"), tmp_path / "out", "t2_ranking", graded=False, dev="given")
    assert data.statistics["dropped"]["query without judgments"] == 2  # train-2 and the one of test


def test_one_of_the_splits_may_be_missing(tmp_path: Path) -> None:
    raw = write(tmp_path / "raw", "queries.train.tsv", "qrels.retrieval.train.tsv", "queries.test.tsv")
    data = convert_raw(raw, tmp_path / "out", "t2_ranking", graded=False, assign_all_to="test", test="given")
    assert data.counts() == {"test": (1, 1)}


@pytest.mark.parametrize(
    ("name", "header"), [("collection.tsv", "doc_id<tab>text"), ("queries.dev.tsv", "query_id<tab>text")]
)
def test_file_without_its_header_is_refused(name: str, header: str, tmp_path: Path) -> None:
    raw = write(tmp_path / "raw", **{name: FILES[name].split("\n", 1)[1]})
    with pytest.raises(InputError, match=f"{name}:1: expected a header such as {header}, got"):
        convert_raw(raw, tmp_path / "out", "t2_ranking", graded=False, dev="given")


@pytest.mark.parametrize(
    ("graded", "expected"),
    [(False, "qrels.retrieval.train.tsv or qrels.retrieval.dev.tsv"), (True, "qrels.train.tsv or qrels.dev.tsv")],
)
def test_missing_judgments_are_named(graded: bool, expected: str, tmp_path: Path) -> None:
    raw = write(tmp_path / "raw", *(name for name in FILES if name.startswith("qrels")))
    with pytest.raises(InputError, match=f"raw: expected {expected}, found neither; put it there, or change graded"):
        convert_raw(raw, tmp_path / "out", "t2_ranking", graded=graded)


def test_line_without_a_tab_is_refused(tmp_path: Path) -> None:
    raw = write(tmp_path / "raw", **{"collection.tsv": "pid\tpassage\n0\tone\ntwo\n"})
    with pytest.raises(InputError, match=r"collection.tsv:3: expected 2 fields separated by tabs, got 1"):
        convert_raw(raw, tmp_path / "out", "t2_ranking", graded=False, dev="given")


def test_missing_queries_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"queries.dev.tsv: expected a file, found nothing"):
        raw = write(tmp_path / "raw", "queries.dev.tsv")
        convert_raw(raw, tmp_path / "out", "t2_ranking", graded=False, dev="given")
