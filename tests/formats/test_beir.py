"""Format `beir` on small files in its shape, and on real judgments."""

from pathlib import Path

import pytest

from retune.core.errors import InputError
from retune.reading.tables import read_qrels
from tests.support.conversion import convert_raw
from tests.support.repository import SHARED_DATA


def write_beir(folder: Path, **files: str) -> Path:
    contents = {
        "corpus.jsonl": '\ufeff{"_id":"1","title":"T","text":"one"}\r\n{"_id":"2","title":"","text":"two"}',
        "queries.jsonl": '{"_id":"a","text":"first"}\n{"_id":"b","text":"second"}\n{"_id":"c","text":"third"}\n',
        "qrels/train.tsv": "query-id\tcorpus-id\tscore\r\na\t1\t2\r\na\t2\t0\r\n",
        "qrels/test.tsv": "b\t2\t1\n",
    }
    for name, text in (contents | files).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8", newline="")
    return folder


def test_byte_order_mark_carriage_returns_and_missing_headers_are_read(tmp_path: Path) -> None:
    result = convert_raw(write_beir(tmp_path / "raw"), tmp_path / "out", "beir", test="given")
    assert result.corpus["title"].fillna("none").tolist() == ["T", "none"]
    assert result.judged("train") == {("first", "one", 2), ("first", "two", 0)}
    assert result.judged("test") == {("second", "two", 1)}
    assert result.statistics["dropped"] == {"query without judgments": 1}


def test_query_judged_in_two_splits_stays_in_the_first(tmp_path: Path) -> None:
    raw = write_beir(tmp_path / "raw", **{"qrels/test.tsv": "a\t2\t1\nb\t2\t1\n"})
    result = convert_raw(raw, tmp_path / "out", "beir", test="given")
    assert result.counts() == {"train": (1, 2), "test": (1, 1)}
    assert result.statistics["dropped"]["judgment in a second split"] == 1


def test_title_is_the_text_of_a_document_without_one(tmp_path: Path) -> None:
    raw = write_beir(
        tmp_path / "raw", **{"corpus.jsonl": '{"_id":"1","title":"T","text":""}\n{"_id":"2","text":"two"}'}
    )
    assert convert_raw(raw, tmp_path / "out", "beir", test="given").texts() == {"1": "T", "2": "two"}


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        (
            "corpus.jsonl",
            '{"_id":"1","text":"x"}\n{"_id":2.5}\n',
            r"corpus.jsonl:2: doc_id: expected text or a whole number, got 2.5",
        ),
        (
            "queries.jsonl",
            '{"_id":true,"text":"x"}\n',
            r"queries.jsonl:1: _id: expected an id as text or a whole number, got True",
        ),
        ("qrels/train.tsv", "a\t1\t1\t1\t1\n", r"train.tsv:1: expected 2, 3 or 4 fields, got 5"),
        ("qrels/train.tsv", "a\t1\t1\na\t2\thigh\n", r"train.tsv:2: expected a whole number as relevance, got 'high'"),
    ],
)
def test_error_names_file_and_line(file: str, text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        convert_raw(write_beir(tmp_path / "raw", **{file: text}), tmp_path / "out", "beir", test="given")


@pytest.mark.skipif(
    not (SHARED_DATA / "beir_qrels_only").is_dir(), reason="real BEIR judgments are not beside the repository"
)
@pytest.mark.parametrize(
    ("name", "rows"), [("fiqa/train", 14166), ("fiqa/dev", 1238), ("fiqa/test", 1706), ("scifact/train", 919)]
)
def test_real_judgments_with_carriage_returns_are_read(name: str, rows: int) -> None:
    folder, split = name.split("/")
    judgments = list(read_qrels(SHARED_DATA / "beir_qrels_only" / folder / "qrels" / f"{split}.tsv"))
    assert len(judgments) == rows
    assert {relevance for *_, relevance in judgments} == {1}
