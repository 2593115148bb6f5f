"""The first line of a file is a header, a record, or refused if it might be either."""

from pathlib import Path

import pytest

from retune.core.errors import InputError
from retune.params.predict import Predict
from retune.reading.tables import read_qrels
from retune.retrieval.prediction import read_queries
from tests.support.conversion import convert_raw

PREDICT = Predict(model="m", dataset="d", queries="x", layout="queries", prompt=None, k=1)
TREC = {
    "documents": ["docs.tsv"],
    "splits": {"train": {"queries": "queries.tsv", "qrels": "qrels.tsv"}},
    "runs": [],
    "run_depth": None,
}

KNOWN = ["query_id\tquery_text", "query-id\ttext", "QID\tQuery", "_id\ttext", "#qid\tquestion", "queryId\tQuery Text", "topic\ttitle", '"id"\t"text"']  # fmt: skip
UNKNOWN = ["query_key\tquery_text", "id\tbody_of_it", "qid\tsentence1", "Kennung\tFrage", "编号\t问题", "text\tquery_id", "query_id\ttext\tlang", "\tquery_id\ttext", "Unnamed: 0\tquery_id\ttext", "nr\ttext"]  # fmt: skip
RECORDS = ["q0\ttext", "how-to\thow to plot a histogram", "a\tred"]


@pytest.mark.parametrize("header", KNOWN)
def test_known_header_of_queries_is_no_query(header: str, tmp_path: Path) -> None:
    (tmp_path / "q.tsv").write_text(f"{header}\nq1\thow to invert a matrix\n")
    assert read_queries(tmp_path / "q.tsv", PREDICT)["query_id"].tolist() == ["q1"]


@pytest.mark.parametrize("header", UNKNOWN)
def test_header_not_known_is_refused_with_the_known_names(header: str, tmp_path: Path) -> None:
    (tmp_path / "q.tsv").write_text(f"{header}\nq1\thow to invert a matrix\n")
    message = (
        r"q.tsv:1: expected a record or a header such as query_id<tab>text, got .*known names: query id: query_id, "
    )
    with pytest.raises(InputError, match=message):
        read_queries(tmp_path / "q.tsv", PREDICT)


@pytest.mark.parametrize("first", RECORDS)
def test_record_on_the_first_line_is_read(first: str, tmp_path: Path) -> None:
    (tmp_path / "q.tsv").write_text(f"{first}\nb\tgreen, or so\n")
    assert len(read_queries(tmp_path / "q.tsv", PREDICT)) == 2


def test_record_that_looks_like_a_header_is_read_below_a_header(tmp_path: Path) -> None:
    (tmp_path / "q.tsv").write_text("query_id\ttext\nname\tbody\nq1\ttwo\n")
    assert read_queries(tmp_path / "q.tsv", PREDICT)["query_id"].tolist() == ["name", "q1"]


@pytest.mark.parametrize(
    "header",
    ["query-id\tcorpus-id\tscore", "qid\tpid\trel", "topic docno relevance", "Query_ID\tDoc_ID\tGrade", "query_id product_id label"],
)  # fmt: skip
def test_known_header_of_judgments_is_skipped(header: str, tmp_path: Path) -> None:
    (tmp_path / "qrels.tsv").write_text(f"{header}\nq1\td1\t1\n")
    assert [row[1:] for row in read_qrels(tmp_path / "qrels.tsv")] == [("q1", "d1", 1)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "corpus-id\tquery-id\tscore\nd1\tq1\t1\n",
            "expected a record or a header such as query_id<tab>doc_id<tab>rel",
        ),
        ("corpus-id\tquery-id\nd1\tq1\n", "expected a record or a header such as query_id<tab>doc_id, got"),
        ("query-id\tscore\tcorpus-id\nq1\t1\td1\n", "expected a record or a header such as"),
        ("score\tquery-id\tcorpus-id\n1\tq1\td1\n", "expected a record or a header such as"),
        (
            "\tquery-id\tcorpus-id\tscore\n0\tq1\td1\t1\n",
            "expected a record or a header such as query_id<tab>iteration",
        ),
        ("Frage\tDokument\nq1\td1\n", "expected a record or a header such as query_id<tab>doc_id, got"),
        ("Frage\tDokument\tNote\nq1\td1\t1\n", "expected a record or a header such as"),
    ],
)
def test_other_header_of_judgments_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "qrels.tsv").write_text(text)
    with pytest.raises(InputError, match=rf"qrels.tsv:1: {message}"):
        list(read_qrels(tmp_path / "qrels.tsv"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"docs.tsv": "text\tid\none\td1\n"}, "docs.tsv:1: expected a record or a header such as id<tab>text, got"),
        ({"docs.tsv": "id\ttext\ttitle\nd1\tone\tT\n"}, "docs.tsv:1: .* such as id<tab>title<tab>text, got"),
        (
            {"queries.tsv": "qid\tquery\tdescription\nq1\ta\tb\n"},
            "queries.tsv:1: expected a record or a header such as",
        ),
        ({"queries.tsv": "q1\ta\tb\n"}, "queries.tsv:1: expected 2 fields separated by tabs, got 3"),
        ({"a.run": "query_id Q0 doc_id rank score tag\nq1 Q0 d1 1 0.5 t\n"}, "a.run:1: .* without a header, got"),
    ],
)
def test_files_of_trec_are_checked_alike(changes: dict[str, str], message: str, tmp_path: Path) -> None:
    files = {"docs.tsv": "d1\tone\n", "queries.tsv": "q1\ta\n", "qrels.tsv": "q1 0 d1 1\n", "a.run": "q1 Q0 d1 1 1 t\n"}
    for name, text in (files | changes).items():
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        convert_raw(tmp_path, tmp_path / "out", "trec", **TREC | {"runs": ["a.run"], "run_depth": 1})
