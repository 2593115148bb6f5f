"""Format trec on hand-made files in its shapes, and on real data where it is there."""

from pathlib import Path
from typing import Any

import pytest

from retune.core.errors import InputError
from retune.reading.tables import read_qrels
from tests.support.conversion import convert_raw
from tests.support.repository import SHARED_DATA

FILES = {
    "docs.tsv": "d1\tone\nd2\ttwo\nd3\tthree\n",
    "train.queries": "q1\tfirst\nq2\tsecond\nq9\tnobody judged it\n",
    "train.qrels": "q1 0 d1 2\nq1 0 d2 0\nq2 0 d2 1\n",
    "test.queries": "t1\tthird\n",
    "test.qrels": "t1\td3\n",
}
TRAIN = {"queries": "train.queries", "qrels": "train.qrels"}
TEST = {"queries": "test.queries", "qrels": "test.qrels"}
PARAMS = {"documents": ["docs.tsv"], "splits": {"train": TRAIN}, "runs": [], "run_depth": None}


def write(folder: Path, **files: str) -> Path:
    folder.mkdir()
    for name, text in (FILES | files).items():
        (folder / name).write_text(text, encoding="utf-8", newline="")
    return folder


def test_files_of_each_split_are_read_with_grades(tmp_path: Path) -> None:
    values = PARAMS | {"splits": {"train": TRAIN, "test": TEST}, "test": "given"}
    data = convert_raw(write(tmp_path / "raw"), tmp_path / "out", "trec", **values)
    assert data.judged() == {("first", "one", 2), ("first", "two", 0), ("second", "two", 1)}
    assert data.judged("test") == {("third", "three", 1)}
    assert data.statistics["dropped"] == {"query without judgments": 1}


@pytest.mark.parametrize(
    "qrels",
    [
        "q1\td1\nq2\td2\n",
        "qid\tpid\nq1\td1\nq2\td2\n",
        "query-id\tcorpus-id\tscore\r\nq1\td1\t1\r\nq2\td2\t1\r\n",
        "q1 d1 1\nq2 d2 1",
        "\ufeffq1 0 d1 1\nq2 0 d2 1\n",
    ],
)
def test_qrels_have_two_three_or_four_columns(qrels: str, tmp_path: Path) -> None:
    raw = write(tmp_path / "raw", **{"train.qrels": qrels})
    data = convert_raw(raw, tmp_path / "out", "trec", **PARAMS)
    assert data.judged() == {("first", "one", 1), ("second", "two", 1)}


def test_documents_may_have_titles_or_be_json_lines_and_several_files_unite(tmp_path: Path) -> None:
    files = {
        "titles.tsv": 'id\ttitle\ttext\nd1\tT\tone "quoted\nd2\t\ttwo\n',
        "more.jsonl": '{"_id": "d3", "title": "U", "text": "three"}\n{"id": "d4", "contents": "four"}\n',
    }
    values = PARAMS | {"documents": ["titles.tsv", "more.jsonl"]}
    data = convert_raw(write(tmp_path / "raw", **files), tmp_path / "out", "trec", **values)
    assert data.corpus.fillna("").to_numpy().tolist() == [
        ["d1", "T", 'one "quoted'],
        ["d2", "", "two"],
        ["d3", "U", "three"],
        ["d4", "", "four"],
    ]


def test_judged_query_without_text_is_counted(tmp_path: Path) -> None:
    raw = write(tmp_path / "raw", **{"train.queries": "q1\tfirst\n"})
    data = convert_raw(raw, tmp_path / "out", "trec", **PARAMS)
    assert data.queries() == {"q1": "first"}
    assert data.statistics["dropped"] == {"judgment of an unknown query or document": 1}


def test_one_file_of_queries_serves_two_splits_and_a_query_belongs_to_the_first(tmp_path: Path) -> None:
    raw = write(tmp_path / "raw", **{"test.qrels": "q2 d3\nq9 d1\n"})
    values = PARAMS | {"splits": {"train": TRAIN, "test": TEST | {"queries": "train.queries"}}, "test": "given"}
    data = convert_raw(raw, tmp_path / "out", "trec", **values)
    assert data.queries("test") == {"q9": "nobody judged it"}
    assert data.statistics["dropped"] == {"judgment in a second split": 1}


def test_best_unjudged_documents_of_a_run_become_negatives(tmp_path: Path) -> None:
    # By score q1 ranks d3, d1, d2: of the best two d1 has a judgment. The file's order and its ranks say otherwise.
    run = "q1 Q0 d2 1 0.1 bm25\nq1 Q0 d1 2 0.5 bm25\nq1 Q0 d3 3 9.5 bm25\nq2 Q0 d1 1 3 bm25\nq9 Q0 d1 1 3 bm25\n"
    values = PARAMS | {"runs": ["bm25.run"], "run_depth": 2}
    data = convert_raw(write(tmp_path / "raw", **{"bm25.run": run}), tmp_path / "out", "trec", **values)
    assert data.judged() == {
        ("first", "one", 2),
        ("first", "two", 0),
        ("first", "three", 0),
        ("second", "two", 1),
        ("second", "one", 0),
    }
    assert data.statistics["dropped"]["run's document for a query without judgments"] == 1


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"docs.tsv": "d1\tone\nd2\n"}, "docs.tsv:2: expected 2 fields separated by tabs, got 1"),
        ({"docs.tsv": "d1\tone\nd1\ttwo\n"}, "docs.tsv:2: doc_id 'd1': expected one text, got another"),
        ({"train.qrels": "q1 0 d1 1\nq1 0 d1 high\n"}, "train.qrels:2: expected a whole number as relevance, got"),
        ({"train.queries": "q1\t \n"}, "train.queries:1: text: expected non-empty text, got ' '"),
        ({"bm25.run": "q1 Q0 d1 1 3\n"}, "bm25.run:1: expected 6 fields of a run, got 5"),
        ({"bm25.run": "q1 Q0 d1 1 x tag\n"}, "bm25.run:1: expected a number, got 'x'"),
    ],
)
def test_wrong_file_is_refused(files: dict[str, str], message: str, tmp_path: Path) -> None:
    raw = write(tmp_path / "raw", **{"bm25.run": "q1 Q0 d3 1 3 tag\n"} | files)
    with pytest.raises(InputError, match=message):
        convert_raw(raw, tmp_path / "out", "trec", **PARAMS | {"runs": ["bm25.run"], "run_depth": 5})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"runs": ["bm25.run"]}, "run_depth: expected a number with runs and null without, got the opposite"),
        ({"run_depth": 5}, "run_depth: expected a number with runs and null without, got the opposite"),
        ({"documents": ["../docs.tsv"]}, "documents.0: expected a path inside the folder raw, got '../docs.tsv'"),
        ({"documents": []}, "convert.x.documents: expected list to have at least 1 item"),
        ({"splits": {}}, "convert.x.splits: expected dictionary to have at least 1 item"),
        ({"splits": {"held_out": TRAIN}}, "convert.x.splits.held_out"),
    ],
)
def test_wrong_parameters_are_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        convert_raw(tmp_path, tmp_path / "out", "trec", **PARAMS | changes)


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED_DATA / "nfcorpus").is_dir(), reason="real NFCorpus data is not beside the repository")
def test_real_nfcorpus_has_the_published_counts(tmp_path: Path) -> None:
    splits = {
        split: {"queries": f"{split}/raw/q-titles.queries", "qrels": f"{split}/raw/s-3.qrel"}
        for split in ("train", "dev", "test")
    }
    documents = ["dev/raw/d-collection.docs", "test/raw/d-collection.docs"]
    values = PARAMS | {"documents": documents, "splits": splits, "dev": "given", "test": "given"}
    data = convert_raw(SHARED_DATA / "nfcorpus", tmp_path / "out", "trec", **values)
    dropped = data.statistics["dropped"]
    assert len(data.corpus) + dropped["equal text"] == 3395
    kept = {split: len(data.queries(split)) for split in splits}
    kept["train"] += dropped["query without a relevant document"]  # all of theirs are in the file that is not there
    assert kept == {"train": 2590, "dev": 324, "test": 323}
    assert dropped["judgment of an unknown query or document"] == 500
    assert dropped["query without judgments"] == 4 + 1 + 2
    counts = {
        split: len(list(read_qrels(SHARED_DATA / "nfcorpus" / files["qrels"]))) for split, files in splits.items()
    }
    assert counts == {"train": 110575, "dev": 11385, "test": 12334}


@pytest.mark.skipif(not (SHARED_DATA / "stard").is_dir(), reason="real judgments are not beside the repository")
@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("beir_qrels_only/fiqa/qrels/train.tsv", 14166),
        ("beir_qrels_only/fiqa/qrels/dev.tsv", 1238),
        ("beir_qrels_only/fiqa/qrels/test.tsv", 1706),
        ("beir_qrels_only/scifact/qrels/train.tsv", 919),
        ("beir_qrels_only/scifact/qrels/test.tsv", 339),
    ],
)
def test_real_qrels_with_carriage_returns_are_read(name: str, count: int) -> None:
    rows = list(read_qrels(SHARED_DATA / name))
    assert len(rows) == count
    assert not any("\r" in doc_id for _, _, doc_id, _ in rows)


@pytest.mark.skipif(not (SHARED_DATA / "stard").is_dir(), reason="real judgments are not beside the repository")
def test_real_qrels_of_four_and_of_two_columns_are_read() -> None:
    rows = [row for split in ("train", "dev") for row in read_qrels(SHARED_DATA / f"stard/qrels.{split}.tsv")]
    assert len(rows) == 2717
    assert len({query_id for _, query_id, _, _ in rows}) == 1543
    assert {relevance for _, _, _, relevance in rows} == {1}
